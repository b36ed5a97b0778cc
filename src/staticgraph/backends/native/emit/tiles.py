"""Tiles: products of matrices by loops, where BLAS would take longer to copy than to compute.

A tile of the result stays in registers while the summed axis is gone through: each step reads a
row of the right matrix and, for each row of the tile, a number of the left one. Nothing is copied
of small matrices. Large ones are gone through in blocks of the summed axis: of each, the right
matrix's rows under one column of tiles are copied side by side, and their sums added to the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oplibrary.machine.code import Code
from oplibrary.machine.elements import element_of
from oplibrary.machine.memory_access import Index
from oplibrary.machine.register import Register
from oplibrary.values.memory import ALIGNMENT
from staticgraph.backends.native.definitions.products import Product, Tiling

Span = tuple[Index, Index]


class _Block(NamedTuple):
    """A part of the summed axis, and where the right matrix's rows of it are.

    Attributes
    ----------
    right : Register
        The address of the first row, or of a copy of some columns of it.
    row : int
        Elements between rows.
    start, stop : int or Register
        The part.
    adds : bool
        Whether there is a sum in the result already.
    own_columns : bool
        Whether it is a copy.
    """

    right: Register
    row: int
    start: Index
    stop: Index
    adds: bool
    own_columns: bool = False


def write_tiles(
    code: Code,
    product: Product,
    tiling: Tiling,
    addresses: tuple[Register, Register, Register],
    rows: Span,
    columns: Span,
) -> None:
    """Write the product of some rows and columns.

    Parameters
    ----------
    code : Code
    product : Product
    tiling : Tiling
    addresses : tuple of Register
        Of the left and right operand and of the result.
    rows, columns : tuple of (int or Register)
        The first, and the one behind the last. Columns that are not known beforehand are a multiple
        of those of a tile.
    """
    _TileWriter(code, product, tiling, addresses).write(rows, columns)


class _TileWriter:
    def __init__(
        self,
        code: Code,
        product: Product,
        tiling: Tiling,
        addresses: tuple[Register, Register, Register],
    ) -> None:
        self.code = code
        self.product = product
        self.tiling = tiling
        self.left, self.right, self.result = addresses
        self.element = element_of(product.dtype)
        whole = _Block(self.right, product.right.row, 0, product.inner, product.addend is not None)
        self.block = whole
        self.copy = None
        if tiling.depth is not None:
            self.copy = code.allocate(self.element, tiling.depth * tiling.columns)

    def write(self, rows: Span, columns: Span) -> None:
        first, last = columns
        if isinstance(first, Register) or isinstance(last, Register):
            self._panels(rows, first, last, self.tiling.columns)
            return
        width = self.tiling.columns
        while first < last:
            whole = first + (last - first) // width * width
            if whole > first:
                self._panels(rows, first, whole, width)
                first = whole
            width //= 2

    def _panels(self, rows: Span, first: Index, last: Index, width: int) -> None:
        copied = self.copy is not None and width == self.tiling.columns
        write = self._copied if copied else self._rows
        self._loop(first, last, width, lambda j: write(rows, j, width))

    def _copied(self, rows: Span, j: Index, width: int) -> None:
        """Write the tiles of some columns, one block of the summed axis after the other."""
        code, product, depth = self.code, self.product, self.tiling.depth
        assert depth is not None and self.copy is not None
        whole, copy = self.block, self.copy
        panel = code.address(self.right, j, self.element)

        def block(start: Index, stop: Index, adds: bool) -> None:
            def line(k: Index) -> None:
                source = code.address(panel, k * product.right.row, self.element)
                target = code.address(copy, (k - start) * width, self.element)
                code.store(code.load(source, self.element, width), target, align=ALIGNMENT)

            self._loop(start, stop, 1, line)
            # columns are counted from the block's own first one
            self.block = _Block(copy, width, start, stop, adds, own_columns=True)
            self._rows(rows, j, width)

        block(0, min(depth, product.inner), whole.adds)
        last = product.inner // depth * depth
        self._loop(depth, last, depth, lambda k: block(k, k + depth, True))
        if depth < product.inner and last < product.inner:
            block(last, product.inner, True)
        self.block = whole

    def _rows(self, rows: Span, j: Index, width: int) -> None:
        """Write the tiles of some columns: whole ones, then one row after the other."""
        height = self.tiling.rows
        first, last = rows
        whole = first + (last - first) / height * height if isinstance(last, Register) else None
        if whole is None:
            assert isinstance(first, int) and isinstance(last, int)
            at = first + (last - first) // height * height
            self._loop(first, at, height, lambda i: self._tile(i, j, height, width))
            if at < last:
                self._tile(at, j, last - at, width)
            return
        self._loop(first, whole, height, lambda i: self._tile(i, j, height, width))
        self._loop(whole, last, 1, lambda i: self._tile(i, j, 1, width))

    def _loop(self, first: Index, last: Index, step: int, body: Callable[[Index], None]) -> None:
        """Write a loop that may have no rounds."""
        code = self.code
        if isinstance(first, int) and isinstance(last, int):
            if last - first <= step:
                if last > first:
                    body(first)
                return
            loop = code.begin_loop(first, last, step, [])
            body(loop.index)
            code.end_loop(loop, [])
            return
        go, on = code.new_label(), code.new_label()
        start = first if isinstance(first, Register) else code.constant(first, "i64")
        code.branch(start.less(last), go, on)
        mark = code.mark()
        code.begin_block(go)
        loop = code.begin_loop(first, last, step, [])
        body(loop.index)
        code.end_loop(loop, [])
        code.jump(on)
        code.forget(mark)
        code.begin_block(on)

    def _tile(self, i: Index, j: Index, height: int, width: int) -> None:
        code, product, element, block = self.code, self.product, self.element, self.block
        left, result = product.left, product.result
        targets = [code.address(code.address(self.result, i * result.row, element), j, element)]
        targets += [code.address(targets[0], q * result.row, element) for q in range(1, height)]
        sums = [code.constant(0.0, element, width)] * height
        corner = code.address(self.left, i * left.row, element)
        panel = block.right if block.own_columns else code.address(block.right, j, element)
        loop = code.begin_loop(block.start, block.stop, 1, sums)
        at = loop.index - block.start if block.own_columns else loop.index
        row = code.load(code.address(panel, at * block.row, element), element, width)
        column = code.address(corner, loop.index * left.column, element)
        sums = [
            code.fma(
                code.splat(code.load(code.address(column, q * left.row, element), element), width),
                row,
                each,
            )
            for q, each in enumerate(loop.carried)
        ]
        for target, total in zip(targets, code.end_loop(loop, sums), strict=True):
            if block.adds:
                total = total + code.load(target, element, width)
            code.store(total, target)
