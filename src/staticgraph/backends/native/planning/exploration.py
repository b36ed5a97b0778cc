"""Exploration: what must be computed and read for a value at every point of a loop nest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.affine import (
    AffineForm,
    Position,
    bounds,
    combine,
    flatten,
    identity,
    split,
)
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Elementwise,
    Pieced,
    Reshaped,
    Uniform,
    View,
)
from staticgraph.backends.native.definitions.movement import Piece, Steps
from staticgraph.backends.native.definitions.open_lengths import nominal, surely_less
from staticgraph.backends.native.definitions.selections import Gathered

Box = tuple[tuple[int, int], ...]
GATHER_COST = 4


class Straddles(Exception):
    """A rectangle border that runs through the loops.

    Attributes
    ----------
    axis : int
        Of the loops.
    at : int
        The first index behind the border.
    definition : Definition
        What is made of the rectangles.
    """

    def __init__(self, axis: int, at: int, definition: Definition) -> None:
        self.axis = axis
        self.at = at
        self.definition = definition


class Demand(Exception):
    """A value that must be in memory before the loops can reach its elements.

    Attributes
    ----------
    definition : Definition
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition


class ValueAt:
    """A value at a position.

    Attributes
    ----------
    definition : Definition
        An `Elementwise` to compute, a `Uniform`, or a leaf: a value that exists.
    position : tuple of AffineForm
    children : list of ValueAt
    offset : AffineForm
        Of a leaf, where it is in memory, in elements; of a `Gathered`, where index 0 selects.
    uses : int
        The loops whose index it depends on, one bit each.
    cost : int
        About how many additions it takes with all that is below it.
    """

    __slots__ = ("children", "cost", "definition", "leaf", "offset", "position", "uses")

    def __init__(self, definition: Definition, position: Position, leaf: bool) -> None:
        self.definition = definition
        self.position = position
        self.children: list[ValueAt] = []
        self.leaf = leaf
        self.offset: AffineForm = ()
        self.uses = 0
        self.cost = 0


class Request(NamedTuple):
    """A value and where it is needed."""

    definition: Definition
    position: Position


def squeeze(shape: Shape) -> Shape:
    """Return `shape` without axes of length 1."""
    return tuple([n for n in shape if n != 1])


def identity_of(shape: Shape, ndim: int) -> Position:
    """Return the position of a value whose longer axes are the first of `ndim` loops."""
    forms = iter(identity(ndim))
    zero = (0,) * (ndim + 1)
    return tuple([zero if n == 1 else next(forms) for n in shape])


class Part(NamedTuple):
    """A part of the loops in which every value is one thing.

    Attributes
    ----------
    box : tuple of (int, int)
        First and last-plus-one index of each loop.
    nodes : list of ValueAt
        All that is computed and read, operands first.
    tops : list of ValueAt
        What was asked for.
    """

    box: Box
    nodes: list[ValueAt]
    tops: list[ValueAt]


class Explorer:
    """Build the nodes of values at positions of a loop nest, each once, operands first.

    Parameters
    ----------
    extents : tuple of int
        Rounds of each loop.
    box : tuple of (int, int)
        The part of the loops that is looked at.
    is_leaf : callable
        ``is_leaf(definition, position)`` tells whether a value exists already.
    """

    def __init__(
        self, extents: Shape, box: Box, is_leaf: Callable[[Definition, Position], bool]
    ) -> None:
        self.extents = extents
        self.box = box
        self.is_leaf = is_leaf
        self.nodes: list[ValueAt] = []
        self._known: dict[tuple[int, Position], ValueAt] = {}
        self._numbers: dict[tuple[int, Box], Uniform] = {}
        self._length = len(extents) + 1

    def visit(self, definition: Definition, position: Position) -> ValueAt:
        """Return the node of a value at a position.

        Raises
        ------
        Straddles
            If the box must be cut first.
        Demand
            If a value must be stored first.
        """
        top = self._resolve(definition, position)
        # what is to be computed, with its operands once these are on the stack
        stack: list[tuple[Request, list[Request] | None]] = [(top, None)]
        while stack:
            place, operands = stack.pop()
            key = (id(place.definition), place.position)
            if key in self._known:
                continue
            if operands is not None:
                self._known[key] = self._compute(place, operands)
                continue
            found = place.definition
            if not isinstance(found, (Elementwise, Gathered)) or self.is_leaf(
                found, place.position
            ):
                self._known[key] = self._leaf(place)
                continue
            inputs = found.inputs if isinstance(found, Elementwise) else self._indices(found)
            operands = [
                self._resolve(operand, operand_position(place, operand, self._length))
                for operand in inputs
            ]
            stack.append((place, operands))
            for operand in operands:
                if (id(operand.definition), operand.position) not in self._known:
                    stack.append((operand, None))
        return self._known[id(top.definition), top.position]

    def _leaf(self, place: Request) -> ValueAt:
        node = ValueAt(place.definition, place.position, True)
        if not isinstance(place.definition, Uniform):
            shape = place.definition.shape
            flat = len(shape) != len(place.position)
            node.offset = (
                place.position[0] if flat else flatten(shape, place.position, self._length)
            )
            node.uses = _uses(node.offset)
            node.cost = 1
        self.nodes.append(node)
        return node

    def _compute(self, place: Request, operands: Sequence[Request]) -> ValueAt:
        definition = place.definition
        node = ValueAt(definition, place.position, False)
        if isinstance(definition, Gathered):
            node.cost = GATHER_COST
            node.offset = combine(
                definition.start, definition.strides, place.position, self._length
            )
            node.uses = _uses(node.offset)
        else:
            assert isinstance(definition, Elementwise)
            node.cost = definition.cost
        for operand in operands:
            child = self._known[id(operand.definition), operand.position]
            node.children.append(child)
            node.uses |= child.uses
            node.cost += child.cost
        self.nodes.append(node)
        return node

    def _indices(self, definition: Gathered) -> tuple[Definition, ...]:
        source = definition.source
        while isinstance(source, Reshaped):  # what is in memory is what it shows
            source = source.operand
        if not self.is_leaf(source, ()):
            raise Demand(source)
        return definition.indices

    def _resolve(self, definition: Definition, position: Position) -> Request:
        """Go through what only moves elements."""
        while not self.is_leaf(definition, position):
            if isinstance(definition, View):
                position = moved(definition.steps, position, self._length)
                definition = definition.operand
            elif isinstance(definition, Reshaped):
                operand = definition.operand
                offset = flatten(definition.shape, position, self._length)
                found = split(offset, operand.shape, self.extents)
                if found is None:
                    return self._flat(operand, offset)
                definition, position = operand, found
            elif isinstance(definition, Pieced):
                definition, position = self._piece(definition, position)
            else:
                break
        return Request(definition, trimmed(definition.shape, position, self._length))

    def _flat(self, definition: Definition, offset: AffineForm) -> Request:
        """Return the element at an offset of what is in memory; its position is the offset."""
        while isinstance(definition, Reshaped):
            definition = definition.operand
        if isinstance(definition, Uniform) or self.is_leaf(definition, (offset,)):
            return Request(definition, (offset,))
        raise Demand(definition)

    def _piece(self, definition: Pieced, position: Position) -> Request:
        """Return what a rectangle shows that holds all that the box reaches."""
        reach = [bounds(form, self.box) for form in position]
        for piece in definition.pieces:
            if all(
                surely_less(start - 1, low) and surely_less(high, stop)
                for (start, stop), (low, high) in zip(piece.box, reach, strict=True)
            ):
                break
        else:
            raise self._border(definition, position, reach)
        if piece.operand is None:
            number = Uniform(definition.shape, definition.dtype, None, piece.number)
            # one number for each rectangle, whatever the position, so that it is found again
            return Request(self._numbers.setdefault((id(definition), piece.box), number), position)
        inside = inside_piece(piece, position, self._length)
        return Request(definition.sources[piece.operand], inside)

    def _border(
        self, definition: Pieced, position: Position, reach: Sequence[tuple[int, int]]
    ) -> Exception:
        for axis, (low, high) in enumerate(reach):
            for piece in definition.pieces:
                for border in piece.box[axis]:
                    if nominal(low) < nominal(border) <= nominal(high):
                        return self._cut(definition, position[axis], border)
        return Demand(definition)

    def _cut(self, definition: Definition, form: AffineForm, border: int) -> Exception:
        loops = [axis for axis, c in enumerate(form[1:]) if c]
        if len(loops) != 1 or form[loops[0] + 1] not in (1, -1):
            return Demand(definition)
        axis = loops[0]
        # the first index at which the form reaches the border, or falls below it
        at = border - form[0] if form[axis + 1] > 0 else form[0] - border + 1
        start, stop = self.box[axis]
        return Straddles(axis, at, definition) if start < at < stop else Demand(definition)


def _uses(form: AffineForm) -> int:
    return sum(1 << axis for axis, c in enumerate(form[1:]) if c)


def operand_position(place: Request, operand: Definition, length: int) -> Position:
    """Return where an operand is needed whose result is needed at a place."""
    extra = len(place.definition.shape) - len(operand.shape)
    return trimmed(operand.shape, place.position[extra:], length)


def moved(steps: Steps, position: Position, length: int) -> Position:
    """Return where the operand of a view is needed; `length` is that of a form."""
    return tuple(
        [
            combine(first, row, position, length)
            for first, row in zip(steps.start, steps.steps, strict=True)
        ]
    )


def inside_piece(piece: Piece, position: Position, length: int) -> Position:
    """Return where the source of a rectangle is needed."""
    assert piece.steps is not None
    shifted = tuple(
        [(form[0] - start, *form[1:]) for (start, _), form in zip(piece.box, position, strict=True)]
    )
    return moved(piece.steps, shifted, length)


def trimmed(shape: Shape, position: Position, length: int) -> Position:
    """Return a position with 0 along the axes of length 1."""
    if 1 not in shape:
        return position
    zero = (0,) * length
    return tuple([zero if n == 1 else form for n, form in zip(shape, position, strict=True)])


def explore(
    extents: Shape,
    places: Sequence[Request],
    is_leaf: Callable[[Definition, Position], bool],
    max_parts: int = 32,
) -> list[Part]:
    """Return, for each part that the loops must be cut into, the nodes of `places`.

    Parameters
    ----------
    extents : tuple of int
    places : sequence of Request
    is_leaf : callable
        See `Explorer`.
    max_parts : int
        Rather than cut into more, a value is demanded.

    Raises
    ------
    Demand
        If a value must be stored first.
    """
    pending: list[Box] = [tuple([(0, n) for n in extents])]
    result: list[Part] = []
    while pending:
        box = pending.pop()
        explorer = Explorer(extents, box, is_leaf)
        try:
            nodes = [explorer.visit(*place) for place in places]
        except Straddles as border:
            if len(pending) + len(result) >= max_parts:
                raise Demand(border.definition) from None
            start, stop = box[border.axis]
            for half in ((border.at, stop), (start, border.at)):
                pending.append((*box[: border.axis], half, *box[border.axis + 1 :]))
            continue
        result.append(Part(box, explorer.nodes, nodes))
    return result
