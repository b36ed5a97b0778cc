"""The nodes and constants of an ONNX graph while it is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Name = str
"""A value of the ONNX graph, which knows values by name."""

Names = Any
"""A name, or those of the results of an op that has several."""


class Writer:
    """Collects nodes; every value gets a name of its own.

    Attributes
    ----------
    nodes : list of NodeProto
    constants : list of TensorProto
    """

    def __init__(self, taken: Iterable[Name] = ()) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.taken = set(taken)
        self._numbers = count(1)

    def within(self) -> Writer:
        """Return the writer of a graph inside this one, whose constants are kept here."""
        inner = Writer()
        inner.constants, inner.taken = self.constants, self.taken
        inner._numbers = self._numbers
        return inner

    def fresh(self) -> Name:
        """Return a name that no value has."""
        return next(each for n in self._numbers if (each := f"v{n}") not in self.taken)

    def constant(self, array: Any) -> Name:
        """Add a constant."""
        name = self.fresh()
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def integers(self, numbers: Sequence[int]) -> Name:
        """Add a constant vector of int64, as shapes, axes and indices are."""
        return self.constant(np.array(numbers, np.int64))

    def node(self, kind: str, *operands: Name, **attributes: Any) -> Name:
        """Add a node with one result."""
        return self.nodes_results(kind, operands, 1, **attributes)[0]

    def nodes_results(
        self, kind: str, operands: Sequence[Name], results: int, **attributes: Any
    ) -> list[Name]:
        """Add a node with so many results."""
        names = [self.fresh() for _ in range(results)]
        self.nodes.append(helper.make_node(kind, list(operands), names, **attributes))
        return names

    def cast(self, name: Name, have: np.dtype[Any], want: np.dtype[Any]) -> Name:
        """Convert a value to another dtype, if it has another."""
        return name if have == want else self.node("Cast", name, to=onnx_type(want))

    def reshape(self, name: Name, shape: Sequence[int]) -> Name:
        """Give a value another shape; a 0 is an empty axis."""
        return self.node("Reshape", name, self.integers(shape), allowzero=1)


def onnx_type(dtype: np.dtype[Any]) -> int:
    """Return ONNX's number for a dtype."""
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def declared(name: Name, dtype: np.dtype[Any], shape: Sequence[int]) -> ValueInfoProto:
    """Return what an input or a result of a graph is."""
    return helper.make_tensor_value_info(name, onnx_type(dtype), list(shape))
