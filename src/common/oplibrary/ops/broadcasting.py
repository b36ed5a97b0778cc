"""Arrays brought to one shape, and differences between neighbours."""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import public
from oplibrary.core.types import broadcast_shapes, normalize_axis
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_int
from oplibrary.ops.elementwise import subtract
from oplibrary.ops.movement import broadcast_to
from oplibrary.ops.slicing import slice_axis


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
    shape = broadcast_shapes(*(operand_type("broadcast_arrays", x).shape for x in arrays))
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
    if indexing not in ("xy", "ij"):
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
def diff(x: Any, axis: int = -1, n: int = 1) -> Any:
    """Return the differences of neighbours along an axis.

    Parameters
    ----------
    x : array
    axis : int
    n : int
        How often the difference is taken.

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
    for _ in range(n):
        length = x.shape[at]
        later = slice_axis(x, start=min(1, length), stop=length, axis=at)
        x = subtract(later, slice_axis(x, start=0, stop=max(length - 1, 0), axis=at))
    return x
