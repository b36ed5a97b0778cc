"""The vector product of three-dimensional space."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import public_in
from oplibrary.messages.errors import ShapeError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.joining import stack
from oplibrary.ops.numbers import array_of
from oplibrary.ops.slicing import index_axis
from oplibrary.values.types import normalize_axis


@public_in("", "linalg")
def cross(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Return the vector products of vectors of length 3.

    Parameters
    ----------
    x1, x2 : array
        They broadcast against each other.
    axis : int
        The axis of the vectors, in both.

    Returns
    -------
    array

    Raises
    ------
    AxisError
        If there is no such axis.
    ShapeError
        If its length is not 3.

    Examples
    --------
    >>> import numpy as np
    >>> cross(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])).tolist()
    [0.0, 0.0, 1.0]
    """
    parts = []
    for name, x in (("x1", x1), ("x2", x2)):
        given = operand_type("cross", x)
        at = normalize_axis(axis, given.ndim)
        if given.shape[at] != 3:
            raise ShapeError(
                f"cross: axis {axis} of {name}, {given.shape}, has length {given.shape[at]}",
                cause="vector products are those of three-dimensional space",
                fix="choose the axis that has length 3, or add a third element of zeros",
            )
        x = array_of(x)
        # from the right, since the operands may have different numbers of axes
        parts.append(([index_axis(x, index=i, axis=at) for i in range(3)], at - given.ndim))
    (a, at), (b, other) = parts
    if at != other:
        raise ShapeError(
            f"cross: axis {axis} is another one in arrays of different numbers of axes",
            cause="they are broadcast, and axes are lined up from the right",
            fix="count the axis from the right, as axis=-1",
        )
    return stack(
        [a[i] * b[j] - a[j] * b[i] for i, j in ((1, 2), (2, 0), (0, 1))],
        axis=at,
    )
