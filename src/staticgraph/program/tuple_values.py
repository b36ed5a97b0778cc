"""Ops of several results: a tuple value, and the projection to one of its items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.values.types import Array, TensorType


@dataclass(frozen=True, slots=True, init=False, repr=False)
class TupleType(TensorType):
    """The type of an op's results, of which each is an array.

    Parameters
    ----------
    items : sequence of TensorType
    """

    items: tuple[TensorType, ...]

    def __init__(self, items: Sequence[TensorType]) -> None:
        object.__setattr__(self, "items", tuple(items))
        object.__setattr__(self, "shape", (len(self.items),))
        object.__setattr__(self, "dtype", np.dtype(object))

    def __repr__(self) -> str:
        return f"({', '.join(map(repr, self.items))})"

    def __reduce__(self) -> Any:
        return TupleType, (self.items,)


class TupleGradient:
    """The gradients of some of an op's results, on their way to the op.

    Attributes
    ----------
    items : dict of int to Node
    memo : dict
        What the op's rule keeps between its operands: the gradient op is declared once.
    totals : dict of Node to Node
        The sum of what others have contributed to the gradient of each operand so far.
    wanted : frozenset of int
        The positions of the operands whose gradients are asked for.
    continued : set of Node
        The operands whose sum the rule has gone on from, so that its own result contains it.
    absent : set of int
        The positions of operands to which nothing comes back, so that nothing is to be added.
    """

    __slots__ = ("absent", "continued", "dtype", "items", "memo", "shape", "totals", "wanted")

    def __init__(self, type: TensorType, items: dict[int, Any]) -> None:
        self.shape = type.shape
        self.dtype = type.dtype
        self.items = items
        self.memo: dict[str, Any] = {}
        self.totals: dict[Any, Any] = {}
        self.wanted: frozenset[int] = frozenset()
        self.continued: set[Any] = set()
        self.absent: set[int] = set()

    def __add__(self, other: TupleGradient) -> TupleGradient:
        merged = dict(self.items)
        for index, g in other.items.items():
            merged[index] = merged[index] + g if index in merged else g
        return TupleGradient(self, merged)  # type: ignore[arg-type]

    def given(self, count: int) -> tuple[bool, ...]:
        """Tell for each of `count` results whether it has a gradient."""
        return tuple(index in self.items for index in range(count))

    def continue_total(self, operand: Any) -> Any:
        """Return the sum to go on from for `operand`, or None; it is then part of the result."""
        if operand not in self.totals or operand in self.continued:
            return None
        self.continued.add(operand)
        return self.totals[operand]

    def in_order(self) -> list[Any]:
        """Return the gradients there are, by result."""
        return [self.items[index] for index in sorted(self.items)]


def row_major(array: Array) -> Array:
    """Return `array` with its elements in row-major order, as regions take and give them."""
    return array if array.flags.c_contiguous else np.array(array, order="C")


ITEM = Op(
    name="item",
    kind=Kind.CONTROL,
    arity=1,
    kernel=lambda values, *, index: row_major(values[index]),
    infer=lambda values, *, index: values.items[index],
    vjp=(lambda g, _out, values_type, *, index: TupleGradient(values_type, {index: g}),),
    jvp=lambda push: push.tangents[0].get(push.attrs["index"]),
    attrs={"index": ...},
    projection=True,
    operand_names=("values",),
    doc="One of the results of an op that has several.",
)
