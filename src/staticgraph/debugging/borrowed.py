"""Borrowed results in a debug run: the next call spoils them, so that a late reader sees it."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np

from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array
from staticgraph.backends.backend import Runner


def poison(array: Array) -> None:
    """Fill `array` with what no program takes for a result: NaN, or the least integer.

    Truth values are turned round.

    Examples
    --------
    >>> x = np.ones(2)
    >>> poison(x)
    >>> x
    array([nan, nan])
    """
    if array.dtype.kind in FLOATING:
        array.fill(np.nan)
    elif array.dtype.kind in "iu":
        info = np.iinfo(array.dtype)
        array.fill(info.min if info.min else info.max)
    else:
        np.logical_not(array, out=array)


def poisoning(runner: Runner) -> Runner:
    """Return a runner whose results each thread's next call spoils.

    ``compile(..., borrow=True)`` lets the next call overwrite the results. A program that reads
    them later goes wrong now and then; with ``debug=True`` as well it goes wrong at once.
    """
    lent = threading.local()

    def call(*inputs: Array) -> list[Array]:
        inputs = tuple([x.copy() for x in inputs])  # they may be what is spoiled below
        for result in getattr(lent, "results", ()):
            poison(result)
        lent.results = runner.call(*inputs)
        return list(lent.results)

    return replace(runner, call=call)
