"""All partial results of an associative function along an axis, in logarithmically many steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.loops import scan_of
from oplibrary.core.registry import public
from oplibrary.messages.errors import ArgumentError, BranchTypeError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag
from oplibrary.ops.comparison import greater_equal
from oplibrary.ops.elementwise import subtract, where
from oplibrary.ops.gather import take
from oplibrary.ops.movement import reshape
from oplibrary.ops.slicing import flip
from oplibrary.values.parameters import require_callable
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import TensorType, is_known, normalize_axis


@public
def associative_scan(function: Any, xs: Any, axis: int = 0, reverse: bool = False) -> Any:
    """Return ``x[0]``, ``f(x[0], x[1])``, ``f(f(x[0], x[1]), x[2])``, ... along an axis.

    Parameters
    ----------
    function : callable
        ``function(left, right)`` takes two trees like `xs` with any number of positions along
        `axis`, combines them position by position, and returns a tree of the same shapes and
        dtypes. It is associative: ``f(f(a, b), c)`` is ``f(a, f(b, c))``.
    xs : array or tree of arrays
        All of one length along `axis`.
    axis : int
    reverse : bool
        Begin at the end: the last position is ``x[-1]``, the one before ``f(x[-1], x[-2])``.

    Returns
    -------
    array or tree of arrays
        Like `xs`. Differentiable to any order.

    Raises
    ------
    ShapeError
        If there is no array, or lengths differ.
    BranchTypeError
        If the function changes structure, shapes or dtypes.
    ArgumentError
        If the length is not known when the program is declared.

    Notes
    -----
    By recursive doubling (Hillis and Steele, "Data parallel algorithms", 1986): log2(n) steps, each
    of them on all positions, in one loop; so a static program holds the function once. It is
    only called with what it is meant for, two neighbouring runs of positions.

    Examples
    --------
    >>> associative_scan(np.add, np.array([1.0, 2.0, 3.0])).tolist()
    [1.0, 3.0, 6.0]
    """
    require_callable("associative_scan", function)
    leaves, structure = flatten(xs)
    types = [operand_type("associative_scan", x) for x in leaves]
    places = [normalize_axis(axis, t.ndim) for t in types]
    lengths = {t.shape[at] for t, at in zip(types, places)}
    if len(lengths) != 1:
        raise ShapeError(
            f"associative_scan: lengths {sorted(lengths)} along axis {axis}"
            if lengths
            else "associative_scan: there is no array",
            cause="all arrays are gone through together",
            fix="pass arrays of one length along the axis",
        )
    length = lengths.pop()
    if not is_known(length):
        raise ArgumentError(
            "associative_scan: the length is not known yet",
            cause="the number of steps follows from it",
            fix="declare that axis with a number, or use scan",
        )
    if length < 2:
        return xs
    backwards = require_flag(reverse, "reverse")
    if backwards:
        leaves = [flip(x, axis=at) for x, at in zip(leaves, places)]

    def step(carry: Any, reach: Any) -> tuple[Any, None]:
        line = np.arange(length)
        reached = greater_equal(line, reach)
        # where nothing is that far to the left, what the last position does is done once more: the
        # function never sees two runs that are no neighbours, whose result might overflow
        right = where(reached, line, length - 1)
        left = subtract(right, reach)
        given, _ = flatten(carry)
        sides = [
            unflatten(structure, [take(x, side, axis=at) for x, at in zip(given, places)])
            for side in (left, right)
        ]
        combined = _of_types(function(*sides), types, structure)
        kept = []
        for x, y, type_, at in zip(given, combined, types, places):
            along = [length if i == at else 1 for i in range(type_.ndim)]
            kept.append(where(reshape(reached, shape=tuple(along)), y, x))
        return unflatten(structure, kept), None

    reaches = 2 ** np.arange((length - 1).bit_length())
    found, _ = scan_of(leaves)(step, unflatten(structure, leaves), reaches)
    if backwards:
        leaves, _ = flatten(found)
        found = unflatten(structure, [flip(x, axis=at) for x, at in zip(leaves, places)])
    return found


def _of_types(result: Any, types: list[TensorType], structure: Any) -> list[Any]:
    """Return what the function gave as leaves, which have the types of its operands."""
    leaves, found = flatten(result)
    given = [operand_type("associative_scan", x) for x in leaves]
    if found != structure or given != types:
        raise BranchTypeError(
            f"associative_scan: the function makes {given} of {types}",
            cause="what it returns is what it is given next",
            fix="return the structure, shapes and dtypes of its operands, with astype",
        )
    return leaves
