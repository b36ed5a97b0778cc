"""Products: contractions as matrix products, with transposes and slices read where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, NamedTuple

from oplibrary.machine.elements import FLOAT32
from oplibrary.machine.target import Target
from oplibrary.values.types import Shape
from staticgraph.backends.native.definitions.affine import (
    combine,
    flatten,
    identity,
    row_major,
    split,
)
from staticgraph.backends.native.definitions.definition import (
    Definition,
    Reshaped,
    Stored,
    Uniform,
    View,
)
from staticgraph.backends.native.definitions.movement import Steps
from staticgraph.backends.native.definitions.open_lengths import apply, is_open, nominal
from staticgraph.program.program import Instruction


class Strided(NamedTuple):
    """Where the elements of a value are in the memory of another.

    Attributes
    ----------
    base : Definition
    start : int
        Elements before the first.
    strides : tuple of int
        Elements between neighbours along each axis.
    """

    base: Definition
    start: int
    strides: tuple[int, ...]


class Matrix(NamedTuple):
    """A matrix in memory: its first element, and the elements between rows and columns."""

    start: int
    row: int
    column: int


_NOWHERE = Matrix(0, 0, 0)
MIN_BLOCK_TERMS = 1 << 21
"""A block of a product that is shared among threads has about that many multiplications: 20 µs."""
MIN_TILED_TERMS = 1 << 19
"""The same for blocks that no matrix is copied for."""
MOST_PANEL_BYTES = 1 << 18
"""The columns of the right matrix that a tile reads stay in the second-level cache."""
MOST_LEFT_BYTES = 1 << 20
"""So does the left matrix, nearly, which is read again for each of them."""
COPIED_BYTES = 1 << 15
"""What is copied of a large right matrix at once stays in the first-level cache..."""
LEAST_ROWS = 8
"""...and is read by so many rows of the left one at least."""


@dataclass(eq=False, slots=True, repr=False)
class Product(Stored):
    """A matrix product for each round of some loops.

    Attributes
    ----------
    rows, columns, inner : int
        The result is ``(rows, columns)``, summed over ``inner``.
    left, right, result : Matrix
    loops : tuple of (int, int, int, int)
        Rounds, and how far apart the left, right and result matrices of two rounds are.
    accumulates : bool
        Whether several rounds have one result, which is the sum of theirs.
    """

    in_machine_code: ClassVar[bool] = True
    accumulable: ClassVar[bool] = True

    rows: int = 0
    columns: int = 0
    inner: int = 0
    left: Matrix = _NOWHERE
    right: Matrix = _NOWHERE
    result: Matrix = _NOWHERE
    loops: tuple[tuple[int, int, int, int], ...] = ()
    accumulates: bool = False

    @property
    def rounds(self) -> int:
        """How many matrix products it takes."""
        return prod([n for n, *_ in self.loops])

    @property
    def terms(self) -> int:
        """Multiplications in one round."""
        return self.rows * self.columns * self.inner

    @property
    def work(self) -> float:
        """Estimated nanoseconds."""
        return product_work(nominal(self.rounds), nominal(self.terms))

    @property
    def geometry(self) -> tuple[object, ...]:
        """What the code of a product depends on: all but where the matrices are."""
        matrices = [(each.row, each.column) for each in (self.left, self.right, self.result)]
        sizes = (self.dtype, self.rows, self.columns, self.inner)
        return (*sizes, self.loops, self.accumulates, self.addend is None, *matrices)

    @property
    def is_turned(self) -> bool:
        """Whether the transposed product is what is in row-major order."""
        return self.result.column != 1 and self.columns != 1

    def tiling(self, target: Target) -> Tiling | None:
        """Return the tiles that loops compute the product by, or None where BLAS is quicker.

        BLAS copies its operands into the order in which it reads them. Where they are small, the
        loops of `emit.tiles`, which read them as they are, are up to twice as fast. Of large ones
        only the right matrix is copied, and each element once, however many threads there are.
        """
        itemsize = self.dtype.itemsize
        lanes = target.vector_bytes // itemsize
        columns = lanes * (2 if target.vector_bytes == 32 else 4)
        if (
            self.is_open
            or self.right.column != 1
            or self.result.column != 1
            or self.accumulates
            or self.columns % lanes
        ):
            return None
        panel, left = (n * self.inner * itemsize for n in (columns, self.rows))
        if left > MOST_LEFT_BYTES:
            return None
        if panel <= MOST_PANEL_BYTES:
            return Tiling(6, columns)
        if self.left.column != 1 or self.rows < LEAST_ROWS or self.columns < columns:
            return None
        return Tiling(6, columns, COPIED_BYTES // (columns * itemsize))

    def split(self, threads: int, tiling: Tiling | None = None, by_columns: bool = False) -> Split:
        """Return how the product is shared among `threads`.

        Parameters
        ----------
        threads : int
        tiling : Tiling, optional
            The tiles it is computed by; without it, it is computed by BLAS.
        by_columns : bool
            Whether BLAS computes any block of columns in single precision as it would the whole.

        Notes
        -----
        Blocks change no bit of the result: each element is a sum over ``inner`` alone, by tiles
        always in the same order, by BLAS in an order that it chooses by the length of that sum.
        There are three exceptions in OpenBLAS, which the blocks avoid and a test watches. Below a
        million terms it takes another way. What is left over from groups of 24 of our rows (of its
        columns: its own view is column-major) is summed otherwise. And so is what stands at the
        end of any block of our columns: in double precision on some processors, in single
        precision on others, which `by_columns` tells apart.
        """
        if self.is_open:
            return self._open_split(threads, tiling)
        least = MIN_BLOCK_TERMS if tiling is None else MIN_TILED_TERMS
        whole = Split("rounds", 1, self.rounds)
        most = min(threads, self.rounds * self.terms // least)
        if most < 2:
            return whole
        if self.rounds >= most and not self.accumulates:
            return Split("rounds", *shares(self.rounds, most, 1))
        if tiling is not None:
            even = self.columns % tiling.columns == 0 and self.columns >= most * tiling.columns
            side, multiple = ("columns", tiling.columns) if even else ("rows", tiling.rows)
        elif by_columns and self.dtype == FLOAT32:
            # a square one by columns: of the two matrices, each thread then copies whole the one
            # that BLAS copies faster (4% at 1,024 by 1,024)
            side, multiple = "rows" if self.rows > self.columns else "columns", 16
        else:
            side, multiple = "columns" if self.is_turned else "rows", 24
        length = self.rows if side == "rows" else self.columns
        chunks, chunk = shares(length, min(most, self.terms // least) or 1, multiple)
        last = length - (chunks - 1) * chunk
        small = tiling is None and last * (self.terms // length) < MIN_BLOCK_TERMS // 2
        return whole if small or chunks == 1 else Split(side, chunks, chunk)

    def tiled_when(self, target: Target) -> tuple[Tiling, int] | None:
        """Return the tiles of a product of open lengths, and whether a run computes it by them.

        None where no run does, and where `tiling` says it.
        """
        if not self.is_open or self.right.column != 1 or self.result.column != 1:
            return None
        itemsize = self.dtype.itemsize
        lanes = target.vector_bytes // itemsize
        width = lanes * (2 if target.vector_bytes == 32 else 4)
        step = width if is_open(self.columns) else lanes
        depth = None
        if not is_open(self.inner) and width * self.inner * itemsize > MOST_PANEL_BYTES:
            depth = COPIED_BYTES // (width * itemsize)
        if self.accumulates or (depth is not None and self.left.column != 1):
            return None
        sizes = (self.rows, self.columns, self.inner)
        return Tiling(6, width, depth), apply(_is_tiled, *sizes, itemsize, width, step, depth or 0)

    @property
    def is_open(self) -> bool:
        """Whether its lengths are not known before a run."""
        return is_open(self.rounds, self.rows, self.columns, self.inner)

    def _open_split(self, threads: int, tiling: Tiling | None) -> Split:
        """Return how a product is shared whose lengths are not known before a run."""
        terms = self.rounds * self.terms
        least = MIN_BLOCK_TERMS if tiling is None else MIN_TILED_TERMS
        if self.rounds != 1:
            if self.accumulates:
                return Split("rounds", 1, self.rounds)
            return open_split("rounds", self.rounds, terms, threads, 1, least)
        if tiling is None:
            side, multiple = "columns" if self.is_turned else "rows", 24
        else:
            even = not is_open(self.columns) and self.columns % tiling.columns == 0
            by_columns = even and not is_open(self.rows)
            side, multiple = ("columns", tiling.columns) if by_columns else ("rows", tiling.rows)
        length = self.rows if side == "rows" else self.columns
        smallest = MIN_BLOCK_TERMS // 2 if tiling is None else 0
        return open_split(side, length, terms, threads, multiple, least, smallest)


def _is_tiled(
    rows: int, columns: int, inner: int, itemsize: int, width: int, step: int, depth: int
) -> int:
    """Return 1 if tiles are quicker than BLAS, else 0."""
    if columns % step or rows * inner * itemsize > MOST_LEFT_BYTES:
        return 0
    if depth:
        return int(rows >= LEAST_ROWS and columns >= width)
    return int(width * inner * itemsize <= MOST_PANEL_BYTES)


def shares(length: int, most: int, multiple: int) -> tuple[int, int]:
    """Return into how many chunks a length is cut, at most `most`, and the length of each."""
    chunk = -(-length // (most * multiple)) * multiple
    return -(-length // chunk), chunk


def product_work(rounds: int, terms: int) -> float:
    """Return about how many nanoseconds products of so many multiplications each take."""
    return rounds * (300 + 2 * terms / 60)


class Tiling(NamedTuple):
    """The tiles that loops compute a product by.

    Attributes
    ----------
    rows, columns : int
        Of a tile.
    depth : int or None
        How many rows of the right matrix are copied at once; None if it is read as it is.
    """

    rows: int
    columns: int
    depth: int | None = None


def open_split(
    side: str,
    length: int,
    terms: int,
    threads: int,
    multiple: int,
    least: int,
    smallest: int = 0,
) -> Split:
    """Return how a product of `terms` multiplications is shared along an axis in each run.

    A chunk has about `least` of them, and none fewer than `smallest`.
    """
    chunk = apply(_chunk, length, terms, threads, multiple, least, smallest)
    return Split(side, apply(_chunk_count, length, chunk), chunk)


def _chunk(length: int, terms: int, threads: int, multiple: int, least: int, smallest: int) -> int:
    chunks, chunk = shares(length, max(min(threads, terms // least), 1), multiple)
    last = length - (chunks - 1) * chunk
    return length if last * (terms // length) < smallest else chunk


def _chunk_count(length: int, chunk: int) -> int:
    return -(-length // chunk)


class Split(NamedTuple):
    """How a product is shared among threads.

    Attributes
    ----------
    axis : str
        ``"rounds"``, ``"rows"`` or ``"columns"``: what is cut.
    chunks, chunk : int
        Into how many pieces, and the length of each but the last.
    """

    axis: str
    chunks: int
    chunk: int


class Contraction:
    """The labels of a contraction, by the part that they play."""

    def __init__(self, x: str, y: str, output: str, lengths: dict[str, int]) -> None:
        self.x = x
        self.y = y
        self.output = output
        self.lengths = lengths
        self.inner = "".join(c for c in x if c not in output)
        self.left = "".join(c for c in output if c in x and c not in y)
        self.right = "".join(c for c in output if c in y and c not in x)
        self.batch = "".join(c for c in output if c in x and c in y)

    def length(self, labels: str) -> int:
        """Return how many positions axes have together."""
        return prod([self.lengths[c] for c in labels])

    def shape(self, labels: str) -> Shape:
        """Return the length of each axis."""
        return tuple([self.lengths[c] for c in labels])


def spread(
    instruction: Instruction, operand: Definition, own: str, labels: str, shape: Shape
) -> Definition:
    """Return an operand with an axis for each label."""
    steps = tuple(
        [
            tuple([1 if label == c and n != 1 else 0 for label in labels])
            for c, n in zip(own, operand.shape, strict=True)
        ]
    )
    start = (0,) * len(own)
    return View(shape, operand.dtype, instruction, operand, Steps(start, steps))


# where operands are -------------------------------------------------------------------------------


def find_strided(definition: Definition) -> Strided:
    """Return where the elements of a value are in memory that is computed anyway."""
    shape = definition.shape
    ndim = len(shape)
    position = identity(ndim)
    found = definition
    while True:
        if isinstance(found, View):
            start, steps = found.steps
            position = tuple(
                [
                    combine(first, row, position, ndim + 1)
                    for first, row in zip(start, steps, strict=True)
                ]
            )
            found = found.operand
        elif isinstance(found, Reshaped):
            offset = flatten(found.shape, position, ndim + 1)
            behind = found.operand
            if not isinstance(behind, (View, Reshaped)):
                return Strided(behind, offset[0], offset[1:])
            split_position = split(offset, behind.shape, shape)
            if split_position is None:
                return Strided(found, *_flat(found.shape, position, ndim))
            found, position = behind, split_position
        else:
            return Strided(found, *_flat(found.shape, position, ndim))


def _flat(
    shape: Shape, position: Sequence[tuple[int, ...]], ndim: int
) -> tuple[int, tuple[int, ...]]:
    offset = flatten(shape, tuple(position), ndim + 1)
    return offset[0], offset[1:]


class Operand(NamedTuple):
    """Something with labels on its axes, in memory."""

    strided: Strided
    labels: str
    shape: Shape

    def stride(self, label: str) -> int:
        """Return how many elements apart neighbours along an axis are; 0 if it has none."""
        at = self.labels.find(label)
        return 0 if at < 0 or self.shape[at] == 1 else self.strided.strides[at]


def product_in_place(
    instruction: Instruction, x: Definition, y: Definition, spec: Contraction
) -> Definition | None:
    """Return the product of two operands where they are, or None if BLAS cannot take them so."""
    type_ = instruction.output.type
    left = Operand(find_strided(x), spec.x, x.shape)
    right = Operand(find_strided(y), spec.y, y.shape)
    result = Operand(Strided(x, 0, row_major(type_.shape)), spec.output, type_.shape)
    operands = (left, right, result)
    if isinstance(left.strided.base, Uniform) or isinstance(right.strided.base, Uniform):
        return None
    # axes that cannot be merged with the last of their part are gone through one by one
    rows, columns, inner = (
        merged(labels, spec, operands) for labels in (spec.left, spec.right, spec.inner)
    )
    matrices = []
    for operand, first, second in (
        (left, rows[-1], inner[-1]),
        (right, inner[-1], columns[-1]),
        (result, rows[-1], columns[-1]),
    ):
        matrix = Matrix(
            operand.strided.start,
            step_along(operand, first, spec),
            step_along(operand, second, spec),
        )
        if not _is_usable(matrix, spec.length(first), spec.length(second)):
            return None
        matrices.append(matrix)
    loops: list[tuple[int, int, int, int]] = []
    for labels in (*spec.batch, *rows[:-1], *columns[:-1], *inner[:-1]):
        if spec.length(labels) != 1:
            steps = [step_along(operand, labels, spec) for operand in operands]
            loops.append((spec.length(labels), steps[0], steps[1], steps[2]))
    return Product(
        type_.shape,
        type_.dtype,
        instruction,
        (left.strided.base, right.strided.base),
        spec.length(rows[-1]),
        spec.length(columns[-1]),
        spec.length(inner[-1]),
        matrices[0],
        matrices[1],
        matrices[2],
        tuple(loops),
        len(inner) > 1,
    )


def step_along(operand: Operand, labels: str, spec: Contraction) -> int:
    """Return the step along axes that are gone through as one."""
    long = [label for label in labels if spec.lengths[label] != 1]
    return operand.stride(long[-1]) if long else 0


def merged(labels: str, spec: Contraction, operands: Sequence[Operand]) -> list[str]:
    """Return `labels` in runs that every operand goes through as through one axis."""
    runs: list[str] = []
    for label in labels:
        n = spec.lengths[label]
        if n == 1:
            continue
        if runs and all(o.stride(runs[-1][-1]) == o.stride(label) * n for o in operands):
            runs[-1] += label
        else:
            runs.append(label)
    return runs or [""]


def _is_usable(matrix: Matrix, rows: int, columns: int) -> bool:
    """Tell whether BLAS can take a matrix as it is: one step of 1, the other at least as long."""
    if matrix.column == 1 or columns == 1:
        return matrix.row >= columns or rows == 1
    if matrix.row == 1 or rows == 1:
        return matrix.column >= rows or columns == 1
    return False
