"""Movement: where an op takes each element from, found by running its kernel.

A movement op computes nothing, so it shows by itself what it does: a view by the strides of its
result, a copy by what it makes of an array that holds its own indices. No op is known by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.op import Op
from oplibrary.machine.elements import Unsupported
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array, Shape
from staticgraph.backends.native.definitions.affine import row_major
from staticgraph.backends.native.definitions.sampling import at_all_lengths

COPIED_ELEMENTS = 1 << 21
"""A copying op is run on at most that many elements to see what it does."""
PIECES = 256
"""A copying op that is made of more rectangular pieces is not taken apart."""
_FIRST = 2.0**40
"""The mark of the first element; see `_marked`."""


class Steps(NamedTuple):
    """The element of the operand that an element of the result is.

    Attributes
    ----------
    start : tuple of int
        The operand's index of the result's first element.
    steps : tuple of tuple of int
        For each axis of the operand, how far a step along each axis of the result moves along it.
    """

    start: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]


class Piece(NamedTuple):
    """A rectangle of a result with one source.

    Attributes
    ----------
    box : tuple of (int, int)
        First and last-plus-one index along each axis.
    operand : int or None
        Which operand it shows, if any.
    steps : Steps or None
        Where, counted from the rectangle's first element.
    number : int or float
        What fills it where there is no operand.
    """

    box: tuple[tuple[int, int], ...]
    operand: int | None
    steps: Steps | None
    number: int | float


class _Request:
    __slots__ = ("attrs", "key", "op")

    def __init__(self, op: Op, attrs: Mapping[str, Any]) -> None:
        self.op = op
        self.attrs = attrs
        self.key = (op, exact_key(attrs))
        hash(self.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Request) and self.key == other.key


def _request(op: Op, attrs: Mapping[str, Any]) -> _Request:
    try:
        return _Request(op, attrs)
    except TypeError:
        raise Unsupported("attributes that cannot be hashed") from None


# views --------------------------------------------------------------------------------------------


def find_view(op: Op, shape: Shape, attrs: Mapping[str, Any]) -> Steps | None:
    """Return what a view of a row-major operand shows; None if it only has another shape.

    Raises
    ------
    Unsupported
        If the op does not show its operand's elements by steps.
    """
    return at_all_lengths(
        lambda attrs, shape: _find_view(_request(op, attrs), shape), dict(attrs), shape
    )


@lru_cache(maxsize=4096)
def _find_view(request: _Request, shape: Shape) -> Steps | None:
    # never read or written: the memory is reserved, not used
    operand = np.empty(shape, np.int8)
    result = request.op.kernel(operand, **request.attrs)
    if not result.size or not operand.size:
        return Steps((0,) * len(shape), ((0,) * result.ndim,) * len(shape))
    if not np.may_share_memory(result, operand):
        raise Unsupported("a view that copies")
    offset = result.__array_interface__["data"][0] - operand.__array_interface__["data"][0]
    steps = _decode(shape, result.shape, offset, result.strides)
    if steps is None and offset == 0 and result.size == operand.size and result.flags.c_contiguous:
        return None
    if steps is None:
        raise Unsupported("a view without regular steps")
    return steps


def _unravel(offset: int, shape: Shape) -> tuple[int, ...]:
    index = []
    for stride in row_major(shape):
        index.append(offset // stride)
        offset -= index[-1] * stride
    return tuple(index)


def _decode(shape: Shape, result: Shape, offset: int, strides: Sequence[int]) -> Steps | None:
    """Return the steps along each axis that flat `strides` are, if they are the same everywhere."""
    start = _unravel(offset, shape)
    columns = []
    for n, stride in zip(result, strides, strict=True):
        if n == 1 or stride == 0:
            columns.append((0,) * len(shape))
        else:
            following = _unravel(offset + stride, shape)
            columns.append(tuple(b - a for a, b in zip(start, following, strict=True)))
    rows = tuple(zip(*columns, strict=True)) if columns else ((),) * len(shape)
    for n, first, row in zip(shape, start, rows, strict=True):
        low = first + sum(min(step * (m - 1), 0) for step, m in zip(row, result, strict=True))
        high = first + sum(max(step * (m - 1), 0) for step, m in zip(row, result, strict=True))
        if low < 0 or high >= n:
            return None
    return Steps(start, rows)


# copies -------------------------------------------------------------------------------------------


def find_pieces(op: Op, shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[Piece, ...]:
    """Return the rectangles that a copying op makes its result of.

    Raises
    ------
    Unsupported
        If there are too many, or it is too large to try.
    """
    pieces = at_all_lengths(
        lambda attrs, shapes: _find_pieces(_request(op, attrs), shapes), dict(attrs), tuple(shapes)
    )
    if any(stop <= start for piece in pieces for start, stop in piece.box):
        raise Unsupported("a rectangle that is there at some lengths only")
    return pieces


@lru_cache(maxsize=4096)
def _find_pieces(request: _Request, shapes: tuple[Shape, ...]) -> tuple[Piece, ...]:
    sizes = [int(np.prod(shape)) for shape in shapes]
    if sum(sizes) > COPIED_ELEMENTS:
        raise Unsupported("a copy too large to take apart")
    firsts = np.cumsum([0, *sizes])
    result, fills = _marked(request, shapes, firsts)
    pieces: list[Piece] = []
    whole = tuple((0, n) for n in result.shape)
    pending = [whole] if result.size else []
    while pending:
        box = pending.pop()
        part = result[tuple(slice(*b) for b in box)]
        piece = _one_piece(part, box, shapes, firsts, fills)
        if piece is not None:
            pieces.append(piece)
            continue
        if part.size == 1:
            raise Unsupported("a copy that computes")
        axis, cuts = _cuts(part, firsts)
        if len(pieces) + len(pending) + len(cuts) >= PIECES:
            raise Unsupported("a copy of too many pieces")
        start, stop = box[axis]
        for low, high in itertools.pairwise((0, *cuts, stop - start)):
            pending.append((*box[:axis], (start + low, start + high), *box[axis + 1 :]))
    return tuple(pieces)


def _marked(
    request: _Request, shapes: tuple[Shape, ...], firsts: Array
) -> tuple[Array, list[int | float]]:
    """Return where each element of the result comes from, and the numbers that the op fills in.

    What comes from an operand is `_FIRST` and its place among all elements; what is filled in is
    -1 less its place among the numbers. Two runs tell them apart: of two marks an element has the
    one of each run, and a number is the same in both, whatever it is.
    """
    runs = []
    for start in (_FIRST, 2 * _FIRST):
        operands = [
            (np.arange(np.prod(shape), dtype=np.float64) + (start + first)).reshape(shape)
            for shape, first in zip(shapes, firsts, strict=False)
        ]
        try:
            with np.errstate(all="ignore"):
                result = np.asarray(request.op.kernel(*operands, **request.attrs))
        except Exception:
            raise Unsupported("a copy that depends on the dtype") from None
        if result.size > COPIED_ELEMENTS or result.dtype != np.float64:
            raise Unsupported("a copy too large to take apart")
        runs.append(np.ascontiguousarray(result))
    filled = runs[0].view(np.int64) == runs[1].view(np.int64)
    with np.errstate(invalid="ignore"):  # what fills may be infinite
        moves = runs[1] - runs[0] == _FIRST
    if not (filled | moves).all():
        raise Unsupported("a copy that computes")
    bits, places = np.unique(runs[0].view(np.int64)[filled], return_inverse=True)
    runs[0][filled] = -1 - places
    # whole numbers that float64 does not hold are what was asked for
    wide = {float(n): n for n in request.attrs.values() if type(n) is int and abs(n) > 2**53}
    return runs[0].reshape(result.shape), [wide.get(n, n) for n in bits.view(np.float64).tolist()]


def _one_piece(
    part: Array,
    box: tuple[tuple[int, int], ...],
    shapes: Sequence[Shape],
    firsts: Array,
    fills: Sequence[int | float],
) -> Piece | None:
    flat = part.reshape(-1)
    first = float(flat[0])
    if not _is_index(first, firsts):
        same = bool((flat == first).all())
        return Piece(box, None, None, fills[-1 - int(first)]) if same else None
    strides = []
    corner = (0,) * part.ndim
    expected: Any = first
    for axis, n in enumerate(part.shape):
        step = 0.0
        if n > 1:
            at = (*corner[:axis], 1, *corner[axis + 1 :])
            step = float(part[at]) - first
            expected = np.expand_dims(expected, -1) + step * np.arange(n)
        else:
            expected = np.expand_dims(expected, -1)
        strides.append(int(step) if abs(step) < _FIRST / 2 else None)
    if None in strides or not np.array_equal(np.broadcast_to(expected, part.shape), part):
        return None
    operand = int(np.searchsorted(firsts, first - _FIRST, "right")) - 1
    while firsts[operand + 1] == firsts[operand]:
        operand += 1
    inside = part - _FIRST
    if inside.min() < firsts[operand] or inside.max() >= firsts[operand + 1]:
        return None
    shape = shapes[operand]
    steps = _decode(shape, part.shape, int(first - _FIRST) - int(firsts[operand]), strides)  # type: ignore[arg-type]
    return None if steps is None else Piece(box, operand, steps, 0.0)


def _is_index(value: float, firsts: Array) -> bool:
    return _FIRST <= value < _FIRST + float(firsts[-1])


def _cuts(part: Array, firsts: Array) -> tuple[int, list[int]]:
    """Return an axis and the positions along it where one pattern of elements follows another."""
    inside = (part >= _FIRST) & (part < _FIRST + float(firsts[-1]))
    owner = np.where(inside, np.searchsorted(firsts, part - _FIRST, "right"), 0)
    for axis, n in enumerate(part.shape):
        if n < 2:
            continue
        moved = np.moveaxis(owner, axis, 0).reshape(n, -1)
        changes = np.nonzero((moved[1:] != moved[:-1]).any(axis=1))[0]
        if len(changes):
            return axis, (changes + 1).tolist()
    for axis, n in enumerate(part.shape):
        if n < 3:
            continue
        moved = np.moveaxis(np.where(inside, part, 0.0), axis, 0).reshape(n, -1)
        steps = moved[1:] - moved[:-1]
        changes = np.nonzero((steps[1:] != steps[:-1]).any(axis=1))[0]
        # the step that differs starts a new pattern behind it
        cuts: list[int] = []
        for change in changes.tolist():
            if not cuts or change >= cuts[-1]:
                cuts.append(change + 2)
        if cuts:
            return axis, cuts
    return next(axis for axis, n in enumerate(part.shape) if n > 1), [1]
