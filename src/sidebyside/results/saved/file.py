"""Results in files: one JSON object, which says its format, its version and what it holds.

The fields of the results are the fields of the file. `docs/result_files.md` lists them; what else
stands there follows from them, for readers that are not this library.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import OutputError, ResultFileError
from sidebyside.results.result import RENDERERS, Result
from sidebyside.results.saved.rebuilding import UnfitError, rebuild
from sidebyside.results.writing import write_whole

FORMAT = "sidebyside"
SCHEMA = 2
"""The version of the format: it changes when a key changes its meaning or is no longer there."""

KINDS: dict[str, type[SavedResult]] = {}
"""The types of results that a file may hold, by what it calls them."""


class SavedResult(Result):
    """A result that a file can hold whole, raw samples and environment included."""

    def __init_subclass__(cls) -> None:
        KINDS[cls.__name__.lower()] = cls

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write everything to a file that `sidebyside.load` reads.

        Parameters
        ----------
        path : path
        overwrite : bool
            Whether a file that is there may be replaced.

        Raises
        ------
        OutputError
            If `path` cannot be written, or is there already; nothing is left half-written.

        Examples
        --------
        >>> import tempfile, sidebyside as sbs
        >>> found = sbs.Comparison((), {})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found.save(f"{folder}/found.json")
        ...     sbs.load(f"{folder}/found.json").rows
        ()
        """
        if not overwrite:
            check_new(path)
        write_whole(path, RENDERERS[type(self)].json(self), overwrite=overwrite)


def header(kind: type[Result]) -> dict[str, Any]:
    """Return what the file of a result begins with; nothing for one that files do not hold."""
    if not issubclass(kind, SavedResult):
        return {}
    return {"format": FORMAT, "schema": SCHEMA, "result": kind.__name__.lower()}


def check_new(path: str | os.PathLike[str]) -> None:
    """Refuse a path where something is already.

    Raises
    ------
    OutputError
    """
    if Path(path).is_file():
        raise OutputError(
            f"there is a file {path} already",
            cause="a saved result is not replaced unless that is asked for",
            fix="choose another name, or add overwrite=True, on the command line --overwrite",
        )


def load(path: str | os.PathLike[str]) -> SavedResult:
    """Return the result that a file holds, as `compare`, `decide` or `measure_table` returned it.

    Parameters
    ----------
    path : path
        Written by ``save``, ``to_json``, or ``--save`` and ``--json`` on the command line.

    Returns
    -------
    Comparison, Decision or Table

    Raises
    ------
    ResultFileError
        If there is no such file, or it is damaged, of something else, or of another version.
    """
    return result_of(_read(path), path)


def result_of(data: Any, path: str | os.PathLike[str]) -> SavedResult:
    """Return the result that `data` stand for, read from `path`.

    Raises
    ------
    ResultFileError
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT or "schema" not in data:
        old = isinstance(data, dict) and data.get("schema") == 1 and "rows" in data
        raise ResultFileError(
            f"{path} holds no saved result",
            cause="it was written by a version before 0.2, which kept less"
            if old
            else "it is JSON of something else",
            fix=_MEASURE_AGAIN,
        )
    schema, kind = data["schema"], data.get("result")
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise _damaged(path, f"its schema is {schema!r}, where a whole number belongs")
    if schema != SCHEMA:
        newer = schema > SCHEMA
        raise ResultFileError(
            f"{path} has version {schema} of the format, and this library reads version {SCHEMA}",
            cause="it was written by a newer one" if newer else "it was written by an older one",
            fix="run pip install --upgrade sidebyside" if newer else _MEASURE_AGAIN,
        )
    if not isinstance(kind, str) or kind not in KINDS:
        raise _damaged(path, f"it says that it holds {kind!r}, and not {' or '.join(KINDS)}")
    try:
        found: SavedResult = rebuild(KINDS[kind], data)
    except UnfitError as error:
        raise _damaged(path, str(error)) from None
    return found


_MEASURE_AGAIN = "measure again, and write the file with save or --save"


def _read(path: str | os.PathLike[str]) -> Any:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultFileError(
            f"there is no file {path}",
            cause=f"the folder is {Path.cwd()}",
            fix="name one that save or --save has written",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _damaged(path, f"it cannot be read: {reason}") from None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"it is no JSON: {error}") from None


def _damaged(path: str | os.PathLike[str], cause: str) -> ResultFileError:
    return ResultFileError(
        f"{path} is damaged, or no saved result",
        cause=cause,
        fix=f"{_MEASURE_AGAIN}; a file under version control may have a whole version there",
    )
