"""What an example offers to the matrix, and how it is loaded."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from oplibrary.messages.errors import WorkloadError
from sidebyside.workloads.workload import Workload


@dataclass(frozen=True)
class Example:
    """One function of an example, and the calls that every mode makes of it.

    Parameters
    ----------
    function : callable
        ``function(xp, *inputs)``: the program with Python's own control flow. It returns arrays
        and numbers, in tuples or lists if there are several.
    inputs : callable
        ``inputs()`` returns the arguments of each call, as an iterable of tuples: trees of
        ndarrays, or Python values. It is read one call at a time.
    rewrite : callable, optional
        ``rewrite(xp, *inputs)``: the same function written for a static graph.
    wrt : tuple of int
        Arguments whose gradients are part of a call; the first result is then summed and
        differentiated.
    static : tuple of int
        Arguments that a traced mode is told to take as constants, and to trace anew for each
        value.
    name : str
        Tells several programs of an example apart.
    tolerance : float
        Largest difference from dyngraph's results that still counts as rounding, relative to the
        largest element of a result.
    """

    function: Callable[..., Any]
    inputs: Callable[[], Iterable[tuple[Any, ...]]]
    rewrite: Callable[..., Any] | None = None
    wrt: tuple[int, ...] = ()
    static: tuple[int, ...] = ()
    name: str = ""
    tolerance: float = 1e-4

    def as_workload(self, function: Callable[..., Any]) -> Workload:
        """Return what the modes know how to call: `function` and what to differentiate."""
        return Workload(function, lambda rng, size: (), wrt=self.wrt)

    def calls(self) -> Iterator[tuple[Any, ...]]:
        """Yield the arguments of each call."""
        for arguments in self.inputs():
            yield tuple(arguments)


# files --------------------------------------------------------------------------------------------


def examples_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of the examples: `given`, or the one of the source tree.

    Raises
    ------
    WorkloadError
        If there is none.
    """
    if given is not None:
        folder = Path(given)
        if not folder.is_dir():
            raise WorkloadError(
                f"there is no folder {folder}",
                cause="the matrix runs the Python files of one folder",
                fix="check the path after --examples",
            )
        return folder
    for folder in (Path(__file__).parents[4] / "examples", Path("examples")):
        if (folder / "kepler.py").is_file():
            return folder
    raise WorkloadError(
        "the examples are not installed",
        cause="they are programs to be read: the package leaves them to the source tree",
        fix="get the folder examples/ of the source distribution, and pass --examples FOLDER",
    )


def find_examples(
    names: Iterable[str] = (), folder: str | os.PathLike[str] | None = None
) -> list[Path]:
    """Return the files of the examples called `names`, or of all in the folder.

    Raises
    ------
    WorkloadError
        If one of them does not exist.
    """
    wanted = list(names)
    if wanted and all(name.endswith(".py") for name in wanted):
        paths = list(map(Path, wanted))
        known: list[Path] = []
    else:
        place = examples_folder(folder)
        known = sorted(place.glob("*.py"))
        paths = [Path(n) if n.endswith(".py") else place / f"{n}.py" for n in wanted] or known
        if not paths:
            raise WorkloadError(
                f"there are no examples in {place}",
                cause="an example is a Python file",
                fix="choose another folder with --examples",
            )
    for path in paths:
        if not path.is_file():
            raise WorkloadError(
                f"there is no example {path}",
                cause=f"the examples are {', '.join(p.stem for p in known)}"
                if known
                else "an example is a Python file, or its name in the folder",
                fix="name one of them, or leave the names out for all",
            )
    return [path.resolve() for path in paths]


_loaded = count(1)


def load_module(path: Path) -> ModuleType:
    """Run a file as a new module; nothing is written beside it."""
    # a name of its own each time: torch.compile remembers modules by their names
    name = f"{path.stem}_{next(_loaded)}"
    module = ModuleType(name)
    module.__file__ = str(path)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    sys.modules[name] = module  # dataclasses and torch.compile look it up
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    return module


def programs_of(module: ModuleType) -> dict[str, Example]:
    """Return the programs that a module offers, by name."""
    offered = getattr(module, "PROGRAMS", ())
    return {program.name: program for program in offered if isinstance(program, Example)}


# lines --------------------------------------------------------------------------------------------


def code_lines(function: Callable[..., Any]) -> int:
    """Return how many lines of code a function has, with those of its file that it calls.

    A line counts if it does something when it runs: comments, docstrings and closing brackets do
    not.
    """
    if not isinstance(function, FunctionType):
        return 0
    return len(_lines(function, set()))


def _lines(function: FunctionType, seen: set[CodeType]) -> set[int]:
    code = function.__code__
    if code in seen:
        return set()
    seen.add(code)
    lines: set[int] = set()
    for inner in _codes(code):
        lines.update(line for _, _, line in inner.co_lines() if line is not None)
        for name in inner.co_names:
            callee = function.__globals__.get(name)
            if isinstance(callee, FunctionType) and callee.__code__.co_filename == code.co_filename:
                lines |= _lines(callee, seen)
    return lines


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
