"""How an op runs on a row for each of many examples: what `Op.batch` is made of.

A rule is given a `Rows`: the operands of a call, of which some have an axis of examples in front.
It returns the result with that axis in front, by running ops on whole operands, or NotImplemented.
Most ops belong to a family whose rule is here; others have one in their own file. What has none, or
is given NotImplemented, is run row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oplibrary.core.dispatch import EXECUTORS
from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.values.types import Shape, TensorType, normalize_axes, normalize_axis


@dataclass(frozen=True, slots=True)
class Rows:
    """A call of an op on values of which some hold a row for each example.

    Attributes
    ----------
    op : Op
    operands : tuple
        Those that are `batched` have the examples along axis 0.
    batched : tuple of bool
    types : tuple of TensorType
        Of each operand, or of a row of it.
    attrs : mapping
        As for one row.
    size : int
        How many examples there are.
    lift : callable
        Makes an array of the executor of anything that may be an operand.
    """

    op: Op
    operands: tuple[Any, ...]
    batched: tuple[bool, ...]
    types: tuple[TensorType, ...]
    attrs: Mapping[str, Any]
    size: int
    lift: Callable[[Any], Any]

    def result(self) -> TensorType:
        """Return the type of a row of the result.

        Raises
        ------
        SideBySideError
            What the op says of these operands.
        """
        return self.op.infer(*self.types, **self.attrs)

    def whole(self, position: int) -> Any:
        """Return an operand with the axis of examples, repeated along it if it had none."""
        x = self.operands[position]
        if self.batched[position]:
            return x
        x = x if type(x) in EXECUTORS else self.lift(x)
        return REGISTRY["broadcast_to"](x, shape=(self.size, *self.types[position].shape))

    def padded(self, position: int, ndim: int) -> Any:
        """Return an operand whose rows have `ndim` axes, the new ones of length 1 and in front."""
        x, type_ = self.operands[position], self.types[position]
        if not self.batched[position] or type_.ndim >= ndim:
            return x
        return reshape(x, (self.size, *(1,) * (ndim - type_.ndim), *type_.shape))


def reshape(x: Any, shape: Shape) -> Any:
    """Return `x` in another shape."""
    return REGISTRY["reshape"](x, shape=shape)


def move_axis(x: Any, ndim: int, source: int, target: int) -> Any:
    """Return `x`, of `ndim` axes, with one of them moved."""
    if source == target:
        return x
    order = [axis for axis in range(ndim) if axis != source]
    order.insert(target, source)
    return REGISTRY["permute_dims"](x, axes=tuple(order))


# families -----------------------------------------------------------------------------------------


def elementwise(rows: Rows) -> Any:
    """Line up the axes of the rows, and compute all at once."""
    ndim = max([t.ndim for t in rows.types], default=0)
    operands = [rows.padded(i, ndim) for i in range(len(rows.operands))]
    return rows.op(*operands, **rows.attrs)


def reduction(rows: Rows) -> Any:
    """Reduce the axes behind that of the examples."""
    (x,), (type_,) = rows.operands, rows.types
    attrs = dict(rows.attrs)
    if attrs["axis"] is None:
        attrs.update(axis=1)
        found = rows.op(reshape(x, (rows.size, type_.size)), **attrs)
        return reshape(found, (rows.size, *(1,) * type_.ndim)) if attrs["keepdims"] else found
    if isinstance(attrs["axis"], (tuple, list)):
        attrs["axis"] = tuple([a + 1 for a in normalize_axes(attrs["axis"], type_.ndim)])
    else:
        attrs["axis"] = normalize_axis(attrs["axis"], type_.ndim) + 1
    return rows.op(x, **attrs)


def along_axis(rows: Rows) -> Any:
    """Work along the axis of that name, one further; all operands have the axes of the first."""
    rows.result()
    axis = rows.attrs["axis"]
    at = 0 if axis is None else normalize_axis(axis, rows.types[0].ndim)
    whole = [rows.whole(i) for i in range(len(rows.operands))]
    return rows.op(*whole, **{**rows.attrs, "axis": at + 1})


def trailing(rows: Rows) -> Any:
    """Work on the last axes, as for one row: an op that takes stacks of what it works on."""
    rows.result()
    ndim = max(t.ndim for t in rows.types)
    operands = [rows.padded(i, ndim) for i in range(len(rows.operands))]
    return rows.op(*operands, **rows.attrs)


def unchanged(rows: Rows) -> Any:
    """Run the op as it is: it does the same to each element of whatever it is given."""
    return rows.op(*rows.operands, **rows.attrs)


def rearranged(rows: Rows) -> Any:
    """Give the elements of each row the shape that they have in the result."""
    return reshape(rows.operands[0], (rows.size, *rows.result().shape))


def rule_of(op: Op) -> Callable[[Rows], Any] | None:
    """Return the rule of `op`: its own, or that of its family; None where it has none."""
    if op.batch is not None:
        return op.batch
    if op.kind is Kind.ELEMENTWISE:
        return elementwise
    if op.kind is Kind.REDUCTION and op.arity == 1 and {"axis", "keepdims"} <= op.attrs.keys():
        return reduction
    return None
