"""Tiles: products of matrices by loops, where BLAS would take longer to copy than to compute.

A tile of the result stays in registers while the summed axis is gone through: each step reads a
row of the right matrix and, for each row of the tile, a number of the left one. Nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable

from staticgraph.backends.native.analysis.products import Product, Tiling
from staticgraph.backends.native.elements import element_of
from staticgraph.backends.native.emit.code import Code
from staticgraph.backends.native.emit.memory_access import Index
from staticgraph.backends.native.emit.register import Register

Span = tuple[Index, Index]


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

    def write(self, rows: Span, columns: Span) -> None:
        first, last = columns
        if isinstance(first, Register) or isinstance(last, Register):
            self._loop(first, last, self.tiling.columns, lambda j: self._rows(rows, j))
            return
        width = self.tiling.columns
        while first < last:
            whole = first + (last - first) // width * width
            if whole > first:
                self._panels(rows, first, whole, width)
                first = whole
            width //= 2

    def _panels(self, rows: Span, first: int, last: int, width: int) -> None:
        self._loop(first, last, width, lambda j: self._rows(rows, j, width))

    def _rows(self, rows: Span, j: Index, width: int | None = None) -> None:
        """Write the tiles of some columns: whole ones, then one row after the other."""
        wide, height = width or self.tiling.columns, self.tiling.rows
        first, last = rows
        whole = first + (last - first) / height * height if isinstance(last, Register) else None
        if whole is None:
            assert isinstance(first, int) and isinstance(last, int)
            at = first + (last - first) // height * height
            self._loop(first, at, height, lambda i: self._tile(i, j, height, wide))
            if at < last:
                self._tile(at, j, last - at, wide)
            return
        self._loop(first, whole, height, lambda i: self._tile(i, j, height, wide))
        self._loop(whole, last, 1, lambda i: self._tile(i, j, 1, wide))

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
        code, product, element = self.code, self.product, self.element
        left, right, result = product.left, product.right, product.result
        targets = [code.address(code.address(self.result, i * result.row, element), j, element)]
        targets += [code.address(targets[0], q * result.row, element) for q in range(1, height)]
        if product.addend is None:
            sums = [code.constant(0.0, element, width)] * height
        else:
            sums = [code.load(target, element, width) for target in targets]
        corner = code.address(self.left, i * left.row, element)
        panel = code.address(self.right, j, element)
        loop = code.begin_loop(0, product.inner, 1, sums)
        row = code.load(code.address(panel, loop.index * right.row, element), element, width)
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
            code.store(total, target)
