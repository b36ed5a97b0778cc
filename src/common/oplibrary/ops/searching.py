"""Where numbers stand among ordered ones."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.comparison import equal, logical_not
from oplibrary.ops.dtypes import result_type
from oplibrary.ops.elementwise import cast, minimum
from oplibrary.ops.gather import take
from oplibrary.ops.movement import expand_dims, reshape
from oplibrary.ops.numbers import array_of
from oplibrary.ops.reduction import any
from oplibrary.ops.sorting import in_order, sort
from oplibrary.values.dtypes import REAL
from oplibrary.values.types import Array, TensorType, type_of_array

_SIDES = ("left", "right")


def _kernel(ordered: Array, values: Array, *, side: Literal["left", "right"]) -> Any:
    if "c" in (ordered.dtype.kind, values.dtype.kind):  # NumPy orders complex numbers, too
        _infer(type_of_array(ordered), type_of_array(values), side=side)
    return np.searchsorted(in_order(ordered), in_order(values), side)


def _infer(ordered: TensorType, values: TensorType, *, side: str) -> TensorType:
    if side not in _SIDES:
        raise ArgumentError(
            f"side is {side!r}",
            cause="a value equal to others goes before them or behind them",
            fix='pass side="left" or side="right"',
        )
    if ordered.ndim != 1:
        raise ShapeError(
            f"the ordered numbers have the shape {ordered.shape}",
            cause="they stand in one row",
            fix="flatten and sort them first",
        )
    for each in (ordered, values):
        if each.dtype.kind not in REAL:
            raise DTypeError(
                f"searchsorted is not defined for {each.dtype}",
                cause="only real numbers are ordered",
                fix="convert with astype first",
            )
    return TensorType(values.shape, np.int64)


_ROW = np.array([-1.0, 0.0, 0.0, 0.5, 2.0])

_SEARCH: Op = register(
    Op(
        name="searchsorted",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=_kernel,
        infer=_infer,
        attrs={"side": "left"},
        routine="oplibrary.machine.routines.searching:search",
        operand_names=("x1", "x2"),
        examples=(
            example(_ROW, (3, 4)),
            example(_ROW, np.array([0.0, 3.0, -2.0]), side="right"),
            example(_ROW, ()),
            example((0,), (2,)),
        ),
        doc="Return, for each element of x2, before which element of the ordered x1 it stands.",
    )
)


@public
def searchsorted(x1: Any, x2: Any, side: str = "left", sorter: Any = None) -> Any:
    """Return where the elements of `x2` would go in `x1` so that it stays ordered.

    Parameters
    ----------
    x1 : array, (n,)
        Ordered, unless `sorter` orders it.
    x2 : array
        Of any shape.
    side : {"left", "right"}
        Whether a value goes before or behind the elements that are equal to it.
    sorter : integer array, (n,), optional
        The indices that order `x1`, such as ``argsort(x1)``.

    Returns
    -------
    array of int64
        Of the shape of `x2`, from 0 to n.

    Raises
    ------
    ShapeError
        If `x1` has not one axis.
    ArgumentError
        If `side` is neither.

    Examples
    --------
    >>> import numpy as np
    >>> searchsorted(np.array([1.0, 2.0, 4.0]), np.array([2.0, 5.0])).tolist()
    [1, 3]
    """
    if sorter is not None:
        shape = operand_type("searchsorted", sorter).shape
        if len(shape) != 1:
            raise ShapeError(
                f"searchsorted: sorter has the shape {shape}",
                cause="it holds an index of `x1` for each of its elements, in their order",
                fix="pass argsort(x1), or leave it out",
            )
        x1 = take(x1, sorter, axis=0)
    return _SEARCH(x1, x2, side=side)


@public
def isin(x1: Any, x2: Any, *, invert: bool = False) -> Any:
    """Tell of each element of `x1` whether it is among the elements of `x2`.

    Parameters
    ----------
    x1, x2 : array or number
        Of any shapes. NaN is among nothing.
    invert : bool
        Whether to tell which are not.

    Returns
    -------
    array of bool
        Of the shape of `x1`.

    Examples
    --------
    >>> import numpy as np
    >>> isin(np.array([1, 2, 3]), np.array([3, 1])).tolist()
    [True, False, True]
    """
    # numbers and lists keep their own width, so that 300 is in no array of int8
    x1, x2 = map(array_of, (x1, x2))
    kind = result_type(x1, x2)
    x1, x2 = cast(x1, dtype=kind), cast(x2, dtype=kind)
    line = reshape(x2, shape=(-1,))
    count = line.shape[0]
    if count == 0 or kind.kind == "c":
        found = any(equal(expand_dims(x1, axis=-1), line), axis=-1)
    else:
        ordered = sort(line, axis=0)
        place = minimum(_SEARCH(ordered, x1, side="left"), count - 1)
        found = equal(take(ordered, reshape(place, shape=(-1,)), axis=0).reshape(x1.shape), x1)
    return logical_not(found) if require_flag(invert, "invert") else found
