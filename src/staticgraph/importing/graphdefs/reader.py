"""What the readers of functions and of graphs share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, ForeignProgramError
from oplibrary.messages.source import Source, is_users_file
from staticgraph.importing.graphdefs.building import Builder
from staticgraph.importing.shared.block import not_given
from staticgraph.importing.shared.imported import Input
from staticgraph.importing.shared.lines import places_in

_DTYPES = """bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64
complex64 complex128 bfloat16""".split()


class Reader:
    """What the readers of functions and of graphs share."""

    def __init__(self, tf: Any, name: str) -> None:
        self.tf, self.name = tf, f"TensorFlow: {name}"
        self.folders = tuple(
            os.path.dirname(module.__file__) + os.sep for module in (tf, _keras()) if module
        )
        self.builder = Builder(tf, self.line, self.dtype)

    def line(self, op: Any) -> Source | None:
        """Return the user's line that made an op."""
        frames = op.traceback or ()
        return self.innermost([Source(f.filename, f.lineno, f.name) for f in frames])

    def innermost(self, places: Sequence[Source]) -> Source | None:
        """Return the last place that is the user's."""
        users = [
            each
            for each in places
            if is_users_file(each.filename) and not each.filename.startswith(self.folders)
        ]
        return users[-1] if users else None

    def not_traced(self, error: Exception) -> ForeignProgramError:
        """Return the error of a program that TensorFlow refuses."""
        line = self.innermost(places_in(str(error)))
        return not_given("tf.function", self.name.partition(" ")[2], reason(error), line)

    def dtype(self, theirs: Any) -> Any:
        """Return NumPy's dtype, or None."""
        theirs = theirs.base_dtype
        if theirs.name not in _DTYPES:
            return None
        return np.dtype(theirs.as_numpy_dtype)

    def require_open(self, name: str, tensor: Any, axes: Mapping[int, str]) -> None:
        """Refuse lengths that change where TensorFlow traced a program for others.

        Raises
        ------
        ArgumentError
            If the tensor that stands for the argument in the graph has a length there.
        """
        for axis in axes if tensor.shape.rank is not None else ():
            if tensor.shape[axis] is not None:
                raise ArgumentError(
                    f"from_tensorflow: axis {axis} of {name} has length {tensor.shape[axis]} in "
                    f"the graph of {self.name.partition(' ')[2]}",
                    cause="a graph may hold numbers that are right for this length alone",
                    fix="trace it with None for this length",
                )

    def input(self, name: str, value: Any, axes: Mapping[int, str]) -> Input:
        """Return an argument of the program."""
        shape = tuple([axes.get(axis, n) for axis, n in enumerate(value.shape)])
        return Input(name, shape, value.dtype)


def _keras() -> Any:
    try:
        return import_module("keras")
    except ImportError:
        return None


def reason(error: Exception) -> str:
    """Return what an error of TensorFlow says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next((x for x in lines if not x.endswith(":") and not x.startswith("File")), "")
    if lines and lines[0].startswith("in user code"):
        said = lines[-1]
    return (said or type(error).__name__)[:300]


def without_gradients(error: Exception) -> str:
    """Return the note of a program whose gradients TensorFlow does not have."""
    return f"gradients are not compared, since TensorFlow has none: {reason(error)[:120]}"
