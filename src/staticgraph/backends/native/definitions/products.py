"""Products: contractions as matrix products, with transposes and slices read where they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, NamedTuple

from oplibrary.core.types import Shape
from oplibrary.machine.elements import FLOAT32, FLOAT64, Unsupported
from oplibrary.machine.target import Target
from staticgraph.backends.native.definitions.affine import (
    combine,
    flatten,
    identity,
    row_major,
    split,
)
from staticgraph.backends.native.definitions.definition import (
    COPY,
    PRODUCT,
    Definition,
    Elementwise,
    Fold,
    Reshaped,
    Stored,
    Uniform,
    View,
    cast_to,
)
from staticgraph.backends.native.definitions.movement import Steps
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
        return self.rounds * (300 + 2 * self.terms / 60)

    @property
    def geometry(self) -> tuple[object, ...]:
        """What the code of a product depends on: all but where the matrices are."""
        matrices = [(each.row, each.column) for each in (self.left, self.right, self.result)]
        sizes = (self.dtype, self.rows, self.columns, self.inner)
        return (*sizes, self.loops, self.accumulates, self.addend is None, *matrices)

    @property
    def is_turned(self) -> bool:
        """Whether the transposed product is what is in row-major order."""
        return self.result.column != 1 and self.columns > 1

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
            self.right.column != 1
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
            side, multiple = "columns" if self.is_turned else "rows", 48
        length = self.rows if side == "rows" else self.columns
        chunks, chunk = shares(length, min(most, self.terms // least) or 1, multiple)
        last = length - (chunks - 1) * chunk
        small = tiling is None and last * (self.terms // length) < MIN_BLOCK_TERMS // 2
        return whole if small or chunks == 1 else Split(side, chunks, chunk)


def shares(length: int, most: int, multiple: int) -> tuple[int, int]:
    """Return into how many chunks a length is cut, at most `most`, and the length of each."""
    chunk = -(-length // (most * multiple)) * multiple
    return -(-length // chunk), chunk


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


def define_contraction(
    instruction: Instruction,
    operands: tuple[Definition, ...],
    subscripts: str,
    copies: Callable[[Definition], Definition],
) -> Definition:
    """Return what an einsum of two operands is.

    `copies` returns a value in memory of its own, the same one for one value.

    Raises
    ------
    Unsupported
        If it is not a product of matrices.
    """
    type_ = instruction.output.type
    if type_.dtype not in (FLOAT32, FLOAT64):
        raise Unsupported(f"matrix products of {type_.dtype}")
    labels, output = subscripts.split("->")
    inputs = labels.split(",")
    if len(inputs) != 2 or any(len(set(each)) < len(each) for each in inputs):
        raise Unsupported("an einsum that is not of two matrices")
    x, y = (cast_to(operand, type_.dtype) for operand in operands)
    if not (x.size and y.size and type_.size):
        raise Unsupported("a product of no elements")
    lengths: dict[str, int] = {}
    for each, operand in zip(inputs, (x, y), strict=True):
        for label, n in zip(each, operand.shape, strict=True):
            lengths[label] = max(lengths.get(label, 1), n)
    spec = Contraction(inputs[0], inputs[1], output, lengths)
    if any(label not in inputs[1] + output for label in inputs[0]) or any(
        label not in inputs[0] + output for label in inputs[1]
    ):
        raise Unsupported("an einsum that sums an operand by itself")
    if min(spec.length(spec.left), spec.length(spec.right), spec.length(spec.inner)) == 1:
        return _by_loops(instruction, x, y, spec)
    return _by_blas(instruction, x, y, spec, copies)


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


def _by_loops(
    instruction: Instruction, x: Definition, y: Definition, spec: Contraction
) -> Definition:
    """Return a product of a vector, which memory is too slow for BLAS to help, as a sum."""
    type_ = instruction.output.type
    # the innermost loop is to go over what lies together
    labels = spec.output + spec.inner
    if not any(_lie_together(each, own, spec.inner) for each, own in ((x, spec.x), (y, spec.y))):
        labels = spec.inner + spec.output
    shape = spec.shape(labels)
    wide = [
        spread(instruction, operand, own, labels, shape)
        for operand, own in ((x, spec.x), (y, spec.y))
    ]
    product = Elementwise(shape, type_.dtype, instruction, PRODUCT, tuple(wide))
    axes = tuple([i for i, c in enumerate(labels) if c in spec.inner and shape[i] != 1])
    if not axes:
        return Reshaped(type_.shape, type_.dtype, instruction, product)
    return Fold(type_.shape, type_.dtype, instruction, product, "add", axes)


def _lie_together(operand: Definition, own: str, inner: str) -> bool:
    """Tell whether neighbours along the last summed axis of a matrix are neighbours in memory."""
    long = [i for i, n in enumerate(operand.shape) if n > 1]
    if len(long) < 2 or not inner:
        return False
    return find_strided(operand).strides[own.index(inner[-1])] == 1


def spread(
    instruction: Instruction, operand: Definition, own: str, labels: str, shape: Shape
) -> Definition:
    """Return an operand with an axis for each label."""
    steps = tuple(
        [
            tuple([1 if label == c and n > 1 else 0 for label in labels])
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


def _by_blas(
    instruction: Instruction,
    x: Definition,
    y: Definition,
    spec: Contraction,
    copies: Callable[[Definition], Definition],
) -> Definition:
    """Return a product of matrices, of copies of the operands where they are not in order."""
    from staticgraph.backends.native.definitions.correlation import correlate

    product = _in_place(instruction, x, y, spec) or correlate(instruction, x, y, spec)
    if product is not None:
        return product
    for left in (x, None):
        for right in (y, None):
            product = _in_place(
                instruction,
                copies(x) if left is None else left,
                copies(y) if right is None else right,
                spec,
            )
            if product is not None:
                return product
    raise Unsupported("a product whose result is not a matrix in memory")


def _in_place(
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
        if spec.length(labels) > 1:
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
    long = [label for label in labels if spec.lengths[label] > 1]
    return operand.stride(long[-1]) if long else 0


def copy_of(definition: Definition) -> Definition:
    """Return the same value in memory of its own."""
    return Elementwise(
        definition.shape, definition.dtype, definition.instruction, COPY, (definition,)
    )


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
