"""The nodes and constants of an ONNX graph while it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from math import prod
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from staticgraph.exporting.lengths import Lengths, require_numbers, shown
from staticgraph.program.polynomial import is_symbolic

Name = str
"""A value of the ONNX graph, which knows values by name."""

Names = Any
"""A name, or those of the results of an op that has several."""

_LARGEST_FILLED = 1 << 10
"""How many equal numbers a model holds; more are made by a run."""

BEFORE_ALL = -(1 << 62)
"""A stop that is before the first element of an axis, whatever its length."""


class Writer:
    """Collects nodes; every value gets a name of its own.

    Attributes
    ----------
    nodes : list of NodeProto
    constants : list of TensorProto
    lengths : Lengths
        Those that each run chooses; what computes them stands before `nodes`.
    """

    def __init__(self, taken: Iterable[Name] = ()) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.taken = set(taken)
        self._numbers = count(1)
        self.lengths = Lengths(self)

    def within(self) -> Writer:
        """Return the writer of a graph inside this one, whose constants are kept here."""
        inner = Writer()
        inner.constants, inner.taken = self.constants, self.taken
        inner._numbers, inner.lengths = self._numbers, self.lengths
        return inner

    def fresh(self) -> Name:
        """Return a name that no value has."""
        return next(each for n in self._numbers if (each := f"v{n}") not in self.taken)

    def array(self, array: Any) -> Name:
        """Add a constant that is the program's own."""
        name = self.fresh()
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def constant(self, array: Any) -> Name:
        """Add a constant.

        Raises
        ------
        OpenLength
            If a number of it is a length that each run chooses.
        """
        require_numbers(np.asarray(array))
        return self.array(array)

    def integers(self, numbers: Sequence[int]) -> Name:
        """Add a vector of int64, as shapes, axes and indices are; lengths are computed."""
        if is_symbolic(tuple(map(int, numbers))):
            return self.lengths.vector(numbers)
        return self.array(np.array(numbers, np.int64))

    def number(self, number: int) -> Name:
        """Add a whole number without axes, which may be a length."""
        if is_symbolic(int(number)):
            return self.node("Squeeze", self.integers([number]))
        return self.array(np.array(number, np.int64))

    def filled(self, value: Any, shape: Sequence[int], dtype: np.dtype[Any]) -> Name:
        """Add an array of one number."""
        number = np.array(value, dtype)
        if is_symbolic(tuple(shape)) or prod(shape) > _LARGEST_FILLED:
            return self.node("Expand", self.array(number), self.integers(shape))
        return self.array(np.full(tuple(shape), number))

    def node(self, kind: str, *operands: Name, **attributes: Any) -> Name:
        """Add a node with one result."""
        return self.nodes_results(kind, operands, 1, **attributes)[0]

    def nodes_results(
        self, kind: str, operands: Sequence[Name], results: int, **attributes: Any
    ) -> list[Name]:
        """Add a node with so many results.

        Raises
        ------
        OpenLength
            If an attribute is a length that each run chooses.
        """
        for value in attributes.values():
            require_numbers(value)
        names = [self.fresh() for _ in range(results)]
        self.nodes.append(helper.make_node(kind, list(operands), names, **attributes))
        return names

    def cast(self, name: Name, have: np.dtype[Any], want: np.dtype[Any]) -> Name:
        """Convert a value to another dtype, if it has another."""
        return name if have == want else self.node("Cast", name, to=onnx_type(want))

    def reshape(self, name: Name, shape: Sequence[int]) -> Name:
        """Give a value another shape; a 0 is an empty axis."""
        shape = list(shape)
        unknown = [axis for axis, n in enumerate(shape) if is_symbolic(int(n))]
        if len(unknown) == 1 and -1 not in shape and 0 not in shape:
            shape[unknown[0]] = -1  # which follows from the others
        return self.node("Reshape", name, self.integers(shape), allowzero=1)


def onnx_type(dtype: np.dtype[Any]) -> int:
    """Return ONNX's number for a dtype."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def declared(name: Name, dtype: np.dtype[Any], shape: Sequence[int]) -> ValueInfoProto:
    """Return what an input or a result of a graph is."""
    return helper.make_tensor_value_info(name, onnx_type(dtype), [shown(int(n)) for n in shape])
