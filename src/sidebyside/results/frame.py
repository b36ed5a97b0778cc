"""Results as data frames of other libraries, which are loaded when one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from oplibrary.messages.errors import ArgumentError, MissingPackageError

LIBRARIES = ("pandas", "polars")
"""Those whose frames can be made, the preferred one first."""


def data_frame(headings: Sequence[str], rows: Sequence[Sequence[Any]], library: str = "") -> Any:
    """Return a data frame of rows.

    Parameters
    ----------
    headings : sequence of str
    rows : sequence of sequence
        None where there is no value.
    library : {"", "pandas", "polars"}
        By default the first that is installed.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    ArgumentError
        If it is another one.
    """
    if library and library not in LIBRARIES:
        raise ArgumentError(
            f"no data frames of {library}",
            cause=f"results become frames of {' or '.join(LIBRARIES)}",
            fix="name one of these, or write a file with to_csv",
        )
    wanted = (library,) if library else LIBRARIES
    found = next((name for name in wanted if find_spec(name) is not None), None)
    if found is None:
        raise MissingPackageError(
            f"a data frame needs {' or '.join(wanted)}",
            cause=f"{' and '.join(wanted)} {'is' if len(wanted) == 1 else 'are'} not installed",
            fix=f"pip install {wanted[0]}, or write a file with to_csv",
        )
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in headings]
    return import_module(found).DataFrame(dict(zip(headings, columns, strict=True)))
