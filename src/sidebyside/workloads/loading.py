"""Find workloads: the builtin ones by name, a user's own in a Python file."""

from __future__ import annotations

import linecache
import os
import sys
import tokenize
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from oplibrary.messages.errors import SideBySideError, WorkloadError
from oplibrary.messages.source import Source, is_ours, user_source
from oplibrary.messages.suggestion import did_you_mean
from sidebyside.workloads.registry import load, names
from sidebyside.workloads.workload import Workload


def find_workload(reference: str | os.PathLike[str]) -> Workload:
    """Return the workload of a name or file; the first one, if the file has several.

    Raises
    ------
    WorkloadError
        See `find_workloads`.
    """
    return find_workloads(reference)[0]


def find_workloads(reference: str | os.PathLike[str]) -> tuple[Workload, ...]:
    """Return the workloads that a builtin name or a Python file stands for.

    A file defines `Workload` objects under any names; or two functions, ``f(xp, *inputs)`` and
    ``inputs(rng, size)``, and if needed ``wrt``, ``sizes``, ``learning_rate`` and ``tolerance``.

    Parameters
    ----------
    reference : str or path
        What contains a path separator or ends in ``.py`` is a file. ``file.py:name`` chooses one
        of its workloads.

    Raises
    ------
    WorkloadError
        If the name is unknown, or the file is missing, does not parse, fails when it is imported or
        has no workload.
    """
    text = os.fspath(reference)
    path, _, chosen = text.partition(".py:")
    if chosen:
        path += ".py"
    if path.endswith(".py") or os.sep in path or (os.altsep or os.sep) in path:
        return _of_file(Path(path), chosen)
    if Path(f"{text}.py").is_file() and text not in names():
        raise WorkloadError(
            f"there is no builtin workload {text!r}; did you mean the file {text}.py?",
            cause="a workload without .py at its end is a builtin one",
            fix=f"name the file, {text}.py",
        )
    try:
        return (load(text),)
    except WorkloadError as error:
        error.source = user_source()  # the builtin programs count as a user's
        raise


_REQUIRED = object()


def find_object(reference: str, missing: Any = _REQUIRED) -> Any:
    """Return what a name in a Python file stands for.

    Parameters
    ----------
    reference : str
        ``file.py:name``.
    missing : any, optional
        What is returned where the file has no such name.

    Raises
    ------
    WorkloadError
        If the file is missing, does not parse, fails when it is run or has no such name.
    """
    path, _, name = reference.partition(".py:")
    if not name:
        raise WorkloadError(
            f"{reference} names nothing in a file",
            cause="a program of your own is a name in a Python file",
            fix=f"write {_as_name_in_file(reference)}",
        )
    file = Path(path + ".py").resolve()
    if file not in _RUN:
        _RUN[file] = _load(Path(path + ".py"))
    members = vars(_RUN[file])
    if name in members:
        return members[name]
    if missing is not _REQUIRED:
        return missing
    raise _no_such_name(f"{path}.py", members, name)


def _as_name_in_file(reference: str) -> str:
    """Return what was meant by a reference that names no file, or nothing in it."""
    file, _, name = reference.partition(":")
    file = file.removesuffix(".py")
    return f"{file}.py:{name or 'name'}"


_RUN: dict[Path, ModuleType] = {}
"""The files that were run for a name in them: a program and its inputs are of one run."""


def _no_such_name(path: str, members: Mapping[str, Any], name: str) -> WorkloadError:
    known = [
        each
        for each, value in members.items()
        if each[0] != "_" and not isinstance(value, ModuleType)
    ]
    return WorkloadError(
        f"{path} has no {name!r}{did_you_mean(name, known)}",
        cause="the file was run, and defines no such name",
        fix=f"its names are {', '.join(known)}" if known else f"define {name} in it",
    )


# files --------------------------------------------------------------------------------------------


def _of_file(path: Path, chosen: str) -> tuple[Workload, ...]:
    module = _load(path)
    found = _collect(module, path)
    if chosen not in found and callable(vars(module).get(chosen)):
        raise WorkloadError(
            f"{path}:{chosen} is a program, and no workload",
            cause="a workload has inputs of its own, so that it can be run in every mode",
            fix=f"measure it with: sidebyside decide {path}:{chosen} --inputs NAME, a tuple in "
            "that file; or make it a sidebyside.Workload",
        )
    if chosen and not found and not hasattr(module, chosen):
        raise _no_such_name(str(path), vars(module), chosen)
    if not found:
        raise WorkloadError(
            f"{path} has no workload",
            cause="it has no Workload, and no functions f(xp, *inputs) and inputs(rng, size)",
            fix="define workload = sidebyside.Workload(f, inputs=...); a program is measured "
            f"without one by: sidebyside decide {path}:NAME --inputs NAME",
        )
    if not chosen:
        return tuple(found.values())
    if chosen not in found:
        raise WorkloadError(
            f"{path} has no workload {chosen!r}{did_you_mean(chosen, found)}",
            cause=f"its workloads are {', '.join(found)}",
            fix="name one of them, or leave the name out for all",
        )
    return (found[chosen],)


def _load(path: Path) -> ModuleType:
    """Run a user's file as a module; nothing is written beside it."""
    if not path.is_file():
        raise WorkloadError(
            f"{path} is a folder" if path.is_dir() else f"there is no file {path}",
            cause="a workload of your own is one Python file",
            fix="check the path",
        )
    linecache.checkcache(str(path))  # it may have been edited since it was shown last
    code = _parse(path)
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    module.__package__, root = _package_of(path.resolve().parent)
    for folder in (str(root), str(path.resolve().parent)):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    sys.modules.setdefault(path.stem, module)  # dataclasses and pickle look their module up
    try:
        exec(code, module.__dict__)
    except SideBySideError:
        raise
    except (Exception, SystemExit) as error:
        raise WorkloadError(
            f"{path} failed when it was imported: {_spelled(error)}",
            cause="the file is run from top to bottom to find its workloads",
            fix="correct that line, or move it behind if __name__ == '__main__':",
            source=_user_line(error),
        ) from None
    return module


def _package_of(folder: Path) -> tuple[str, Path]:
    """Return the package that a folder is, for relative imports, and the folder that holds it."""
    names: list[str] = []
    while (folder / "__init__.py").is_file():
        names.insert(0, folder.name)
        folder = folder.parent
    return ".".join(names), folder


def _parse(path: Path) -> Any:
    try:
        with tokenize.open(path) as file:
            text = file.read()
        return compile(text, str(path), "exec")
    except SyntaxError as error:
        source = Source(str(path), error.lineno, "") if error.lineno else None
        raise WorkloadError(
            f"{path} does not parse: {error.msg}",
            cause=f"it is not valid Python {sys.version_info.major}.{sys.version_info.minor}",
            fix="correct that line",
            source=source,
        ) from None
    except (ValueError, OSError) as error:  # null bytes, another encoding, no permission
        raise WorkloadError(
            f"{path} cannot be read: {error}",
            cause="a workload of your own is a Python file in UTF-8",
            fix="check the file",
        ) from None


def _spelled(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _user_line(error: BaseException) -> Source | None:
    """Return the innermost line of the user's code that led to `error`."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not is_ours(frame.f_code):
            found = Source(frame.f_code.co_filename, line, frame.f_code.co_name)
    return found


def _collect(module: ModuleType, path: Path) -> dict[str, Workload]:
    """Return the workloads of a module by name, in the order of its definitions."""
    members = vars(module)
    found: dict[str, Workload] = {}
    for attribute, value in members.items():
        if isinstance(value, Workload):
            name = value.name if value.name not in found else attribute
            found[name] = replace(value, name=name, path=str(path))
    if found or not (callable(members.get("f")) and callable(members.get("inputs"))):
        return found
    options = {
        name: members[name]
        for name in ("wrt", "sizes", "learning_rate", "tolerance", "title")
        if name in members
    }
    for name in ("wrt", "sizes"):
        if name in options:
            given = options[name]
            options[name] = tuple(given) if isinstance(given, (tuple, list, range)) else (given,)
    try:
        whole = Workload(members["f"], members["inputs"], name=path.stem, path=str(path), **options)
    except WorkloadError as error:
        if error.source is not None and error.source.filename != str(path):
            error.source = None  # no line of the file made the workload
        raise
    return {whole.name: whole}
