"""Arrays brought to one shape, and differences between neighbours."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import normalize_shape, operand_type, require_int, require_steps
from oplibrary.ops.elementwise import subtract
from oplibrary.ops.joining import concat
from oplibrary.ops.movement import broadcast_to
from oplibrary.ops.numbers import number_array
from oplibrary.ops.slicing import slice_axis
from oplibrary.values.dtypes import promoted
from oplibrary.values.types import broadcast_shapes as shape_of_all
from oplibrary.values.types import fit_scalar, is_scalar, normalize_axis, number_kind


@public
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Broadcast arrays against one another.

    Parameters
    ----------
    *arrays : array

    Returns
    -------
    tuple of array
        Each in the shape that all broadcast to.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast together.

    Examples
    --------
    >>> import numpy as np
    >>> [x.shape for x in broadcast_arrays(np.ones((3, 1)), np.ones(2))]
    [(3, 2), (3, 2)]
    """
    shape = shape_of_all(*(operand_type("broadcast_arrays", x).shape for x in arrays))
    return tuple(broadcast_to(x, shape=shape) for x in arrays)


@public
def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Return the coordinates of every point of a grid, an array a coordinate.

    Parameters
    ----------
    *arrays : array
        The coordinates along each axis, ``(n,)``.
    indexing : {"xy", "ij"}
        Whether the first array runs along columns, or along rows.

    Returns
    -------
    tuple of array

    Raises
    ------
    ShapeError
        If an array has not exactly one axis.
    ArgumentError
        If `indexing` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> x, y = meshgrid(np.array([1, 2, 3]), np.array([10, 20]))
    >>> x.tolist(), y.tolist()
    ([[1, 2, 3], [1, 2, 3]], [[10, 10, 10], [20, 20, 20]])
    """
    if not isinstance(indexing, str) or indexing not in ("xy", "ij"):
        raise ArgumentError(
            f"meshgrid: indexing is {indexing!r}",
            cause="the first array runs along columns or along rows",
            fix='pass "xy" or "ij"',
        )
    shapes = [operand_type("meshgrid", x).shape for x in arrays]
    for position, given in enumerate(shapes):
        if len(given) != 1:
            raise ShapeError(
                f"meshgrid: array {position} has shape {given}",
                cause="each array holds the coordinates along one axis",
                fix="flatten it first",
            )
    order = list(range(len(arrays)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    shape = tuple(shapes[position][0] for position in order)
    grids = []
    for position, x in enumerate(arrays):
        own = [1] * len(arrays)
        own[order.index(position)] = -1
        grids.append(broadcast_to(x.reshape(tuple(own)), shape=shape))
    return tuple(grids)


@public
def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """Return the shape that arrays of these shapes broadcast to.

    Parameters
    ----------
    *shapes : int or tuple of int

    Raises
    ------
    ShapeError
        If two lengths of one axis differ and neither is 1.

    Examples
    --------
    >>> broadcast_shapes((3, 1), (1, 2), 2)
    (3, 2)
    """
    return shape_of_all(*map(normalize_shape, shapes))


@public
def diff(x: Any, axis: int = -1, *, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """Return the differences of neighbours along an axis.

    Parameters
    ----------
    x : array
    axis : int
    n : int
        How often the difference is taken.
    prepend, append : array, optional
        What is put before and behind `x` along the axis first; a number, once.

    Raises
    ------
    ShapeError
        If there is no such axis.
    ArgumentError
        If `n` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> diff(np.array([1.0, 3.0, 6.0]))
    array([2., 3.])
    """
    at = normalize_axis(axis, operand_type("diff", x).ndim)
    if require_int(n, "n") < 0:
        raise ArgumentError(
            f"diff: n is {n}",
            cause="it says how often the difference is taken",
            fix="pass 0 or more",
        )
    if prepend is not None or append is not None:
        ends = [None if end is None else _end(x, end, at) for end in (prepend, append)]
        x = concat([part for part in (ends[0], x, ends[1]) if part is not None], axis=at)
    for _ in range(require_steps(min(n, x.shape[at]), "n")):  # nothing is left of it then
        length = x.shape[at]
        later = slice_axis(x, start=min(1, length), stop=length, axis=at)
        x = subtract(later, slice_axis(x, start=0, stop=max(length - 1, 0), axis=at))
    return x


def _end(x: Any, end: Any, axis: int) -> Any:
    """Return what is joined to `x` along `axis`: a single value once for each of the others."""
    if is_scalar(end):
        end = fit_scalar(end, (x.dtype,))
    else:
        kind = number_kind(end)
        end = end if kind is None else number_array(end, promoted(x.dtype, kind()))
    if not end.shape:
        end = broadcast_to(end, shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return end
