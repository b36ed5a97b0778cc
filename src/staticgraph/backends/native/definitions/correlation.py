"""Correlations: products with the windows of an image, which is read where it is.

BLAS reads matrices, so that windows would have to be copied for it, each pixel as often as it is in
one. Where the pixels of a line lie together, a vector of them can be read for any window instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from oplibrary.machine.target import Target, host_target
from staticgraph.backends.native.definitions.affine import row_major
from staticgraph.backends.native.definitions.definition import Definition, Uniform, repeats
from staticgraph.backends.native.definitions.open_lengths import is_open
from staticgraph.backends.native.definitions.products import (
    MIN_TILED_TERMS,
    Contraction,
    Matrix,
    Operand,
    Product,
    Split,
    Strided,
    Tiling,
    find_strided,
    merged,
    open_split,
    shares,
    step_along,
)
from staticgraph.program.program import Instruction

REGISTERS = {64: 31, 32: 15, 16: 31}
"""Vector registers, by the bytes of one, less one for the numbers that all lanes meet."""


MOST_ROWS = 6
LEAST_LANES = 4


class Tile(NamedTuple):
    """What is computed together, in registers.

    Attributes
    ----------
    rows : int
        Filters.
    lines, vectors, lanes : int
        Lines of the result, vectors of each line, and elements of a vector.
    """

    rows: int
    lines: int
    vectors: int
    lanes: int


_NO_TILE = Tile(1, 1, 1, 1)


@dataclass(eq=False, slots=True, repr=False)
class Correlation(Product):
    """A product whose left operand has filters in its rows, and whose right one has windows.

    As in `Product`, the result has `rows` and `columns`: the pixels of a line. `loops` go over
    whole images and the like.

    Attributes
    ----------
    lines : int
        Lines of a result.
    line_steps : (int, int)
        Elements between lines of the image and of the result.
    summed : tuple of (int, int, int)
        The axes that are summed: their lengths, and the elements between positions of the filters
        and of the image.
    tile : Tile
    """

    lines: int = 1
    line_steps: tuple[int, int] = (0, 0)
    summed: tuple[tuple[int, int, int], ...] = ()
    tile: Tile = _NO_TILE

    @property
    def accumulable(self) -> bool:  # type: ignore[override]
        """Whether it can be added to what is there: no element is computed twice."""
        return not (self.columns % self.tile.lanes or self.lines % self.tile.lines)

    @property
    def pieces(self) -> int:
        """How many pieces, each of a few lines, a round has."""
        return -(-self.lines // self.tile.lines)

    @property
    def units(self) -> int:
        """How many pieces can be computed apart."""
        return self.rounds * self.pieces

    @property
    def terms(self) -> int:
        """Multiplications in one round."""
        return self.rows * self.lines * self.columns * self.inner

    @property
    def geometry(self) -> tuple[object, ...]:
        """What the code of a correlation depends on: all but where the operands are."""
        own = (self.lines, self.line_steps, self.summed, self.tile)
        matrices = (self.left.row, self.result.row)
        sizes = (self.dtype, self.rows, self.columns, self.loops, self.addend is None)
        return ("correlation", *sizes, *matrices, *own)

    def tiling(self, target: Target) -> Tiling | None:
        """Return the size of a tile: BLAS takes no part."""
        return Tiling(self.tile.rows, self.tile.vectors * self.tile.lanes)

    def tiled_when(self, target: Target) -> None:
        """Return None: it is always computed by tiles."""

    def split(self, threads: int, tiling: Tiling | None = None, by_columns: bool = False) -> Split:
        """Return how the pieces are shared among `threads`; their results do not depend on it."""
        terms = self.rounds * self.terms
        if is_open(terms):
            return open_split("rounds", self.units, terms, threads, 1, MIN_TILED_TERMS)
        most = min(threads, terms // MIN_TILED_TERMS)
        if most < 2:
            return Split("rounds", 1, self.units)
        return Split("rounds", *shares(self.units, most, 1))


def correlate(
    instruction: Instruction, x: Definition, y: Definition, spec: Contraction
) -> Correlation | None:
    """Return the contraction of windows and filters where they are; None if it is none such."""
    if not spec.output:
        return None
    across = spec.output[-1]
    image, filters, own, others = (x, y, spec.x, spec.y)
    if across not in own:
        image, filters, own, others = y, x, spec.y, spec.x
    if across in others or not repeats(image):
        return None
    type_ = instruction.output.type
    pixels = Operand(find_strided(image), own, image.shape)
    numbers = Operand(find_strided(filters), others, filters.shape)
    result = Operand(Strided(image, 0, row_major(type_.shape)), spec.output, type_.shape)
    if isinstance(pixels.strided.base, Uniform) or isinstance(numbers.strided.base, Uniform):
        return None
    operands = (numbers, pixels, result)
    columns = spec.lengths[across]
    rows = merged("".join(c for c in spec.output if c in others and c not in own), spec, operands)
    if pixels.stride(across) != 1 or result.stride(across) != 1:
        return None
    rest = [c for c in spec.output if c in own and c != across and spec.lengths[c] > 1]
    down = rest[-1] if rest and rest[-1] not in others else ""
    tile = _choose_tile(
        host_target(),
        type_.dtype.itemsize,
        spec.length(rows[-1]),
        spec.lengths[down] if down else 1,
        columns,
    )
    if tile is None:
        return None
    loops = [*(c for c in rest if c != down), *rows[:-1]]
    inner = merged(spec.inner, spec, (numbers, pixels))

    def steps(labels: str, *operands: Operand) -> Any:
        return [step_along(operand, labels, spec) for operand in operands]

    return Correlation(
        type_.shape,
        type_.dtype,
        instruction,
        (numbers.strided.base, pixels.strided.base),
        rows=spec.length(rows[-1]),
        columns=columns,
        inner=spec.length(spec.inner),
        left=Matrix(numbers.strided.start, step_along(numbers, rows[-1], spec), 0),
        right=Matrix(pixels.strided.start, 0, 1),
        result=Matrix(0, step_along(result, rows[-1], spec), 1),
        loops=tuple([(spec.length(c), *steps(c, numbers, pixels, result)) for c in loops]),
        lines=spec.lengths[down] if down else 1,
        line_steps=(pixels.stride(down), result.stride(down)) if down else (0, 0),
        summed=tuple([(spec.length(c), *steps(c, numbers, pixels)) for c in inner]),
        tile=tile,
    )


def _choose_tile(target: Target, itemsize: int, rows: int, lines: int, columns: int) -> Tile | None:
    """Return the tile that fills the registers; None where lines are too short for half a vector.

    Each step of a tile of 6 rows and 4 vectors reads 10 numbers and vectors for 24 additions. Tiles
    of 4 rows and 6 vectors, or of 8 and 3, are 5 to 10% slower.
    """
    lanes = target.vector_bytes // itemsize
    if columns < lanes:
        lanes //= 2
    if columns < lanes or lanes < LEAST_LANES:
        return None
    height = min(rows, MOST_ROWS)
    room = REGISTERS[target.vector_bytes] // (height + 1)
    vectors = min(room, 4)
    if not is_open(columns):
        vectors = min(-(-columns // lanes), vectors)
    return Tile(height, min(lines, max(min(room, 4) // vectors, 1)), vectors, lanes)
