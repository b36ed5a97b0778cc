"""Correlations as code: a tile of filters, lines and vectors of pixels stays in registers."""

from __future__ import annotations

from collections.abc import Sequence

from oplibrary.machine.code import Code
from oplibrary.machine.elements import element_of
from oplibrary.machine.memory_access import Index
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import when
from staticgraph.backends.native.definitions.correlation import Correlation
from staticgraph.backends.native.definitions.open_lengths import is_open
from staticgraph.backends.native.definitions.products import Split


def write_correlation(module: Module, symbol: str, correlation: Correlation, split: Split) -> None:
    """Write ``void symbol(ptr bases, i64 first, i64 last)``, some chunks of a correlation."""
    code = Code(module)
    _CorrelationWriter(code, correlation).write(split)
    module.add_function(symbol, code, "void", ["ptr %bases", "i64 %first", "i64 %last"], "internal")


class _CorrelationWriter:
    def __init__(self, code: Code, correlation: Correlation) -> None:
        self.code = code
        self.correlation = correlation
        self.tile = correlation.tile
        self.element = element_of(correlation.dtype)
        given = code.parameter("%bases", "ptr")
        _, self.filters, self.image, self.result = (
            code.load(code.address(given, i, "ptr"), "ptr") for i in range(4)
        )

    def write(self, split: Split) -> None:
        code, units = self.code, self.correlation.units
        first, last = (code.parameter(name, "i64") for name in ("%first", "%last"))
        stop = code.smaller(last * split.chunk, units)
        loop = code.begin_loop(first * split.chunk, stop, 1, [])
        self._unit(loop.index)
        code.end_loop(loop, [])
        code.statement("ret void")

    def _unit(self, unit: Register) -> None:
        """Write a few lines of a round, of all filters."""
        code, correlation, tile = self.code, self.correlation, self.tile
        pieces = correlation.pieces
        line = code.arithmetic("rem", unit, pieces) * tile.lines
        # the last lines are those that end with the end: some are computed twice
        line = code.smaller(line, correlation.lines - tile.lines)
        rest = unit / pieces
        offsets: list[Register] = [line * step for step in (0, *correlation.line_steps)]
        for n, *steps in reversed(correlation.loops):
            index = code.arithmetic("rem", rest, n)
            rest = rest / n
            offsets = [o + index * step for o, step in zip(offsets, steps, strict=True)]
        bases = (self.filters, self.image, self.result)
        places = [code.address(b, o, self.element) for b, o in zip(bases, offsets, strict=True)]
        whole = correlation.rows // tile.rows * tile.rows
        if whole == tile.rows:
            self._rows(places, 0, tile.rows)
        elif whole:
            loop = code.begin_loop(0, whole, tile.rows, [])
            self._rows(places, loop.index, tile.rows)
            code.end_loop(loop, [])
        if whole < correlation.rows:
            self._rows(places, whole, correlation.rows - whole)

    def _rows(self, places: list[Register], row: Index, height: int) -> None:
        code, correlation, tile = self.code, self.correlation, self.tile
        filters = code.address(places[0], row * correlation.left.row, self.element)
        result = code.address(places[2], row * correlation.result.row, self.element)
        if is_open(correlation.columns):
            self._lines(filters, places[1], result, height)
            return
        starts = list(range(0, correlation.columns - tile.lanes + 1, tile.lanes))
        if starts[-1] + tile.lanes < correlation.columns:
            starts.append(correlation.columns - tile.lanes)
        for at in range(0, len(starts), tile.vectors):
            self._tile(filters, places[1], result, height, starts[at : at + tile.vectors])

    def _lines(self, filters: Register, image: Register, result: Register, height: int) -> None:
        """Write a loop along lines of which only a run knows how long they are."""
        code, columns, tile = self.code, self.correlation.columns, self.tile

        def along(vectors: int) -> None:
            width = vectors * tile.lanes
            loop = code.begin_loop(0, columns, width, [])
            # the last pixels are those that end with the line: some are computed twice
            start = code.smaller(loop.index, columns - width)
            pixels, spots = (code.address(each, start, self.element) for each in (image, result))
            starts = [tile.lanes * i for i in range(vectors)]
            self._tile(filters, pixels, spots, height, starts)
            code.end_loop(loop, [])

        short = code.constant(columns, "i64").less(tile.vectors * tile.lanes)
        when(code, ~short, lambda: along(tile.vectors))
        when(code, short, lambda: along(1))

    def _tile(
        self,
        filters: Register,
        image: Register,
        result: Register,
        height: int,
        starts: list[int],
    ) -> None:
        code, correlation, lanes = self.code, self.correlation, self.tile.lanes
        image_step, result_step = correlation.line_steps
        lines = range(self.tile.lines)
        pixels = [line * image_step + start for line in lines for start in starts]
        spots = [line * result_step + start for line in lines for start in starts]
        sums = [code.constant(0.0, self.element, lanes)] * (height * len(spots))
        totals = iter(self._add_up(correlation.summed, filters, image, pixels, sums))
        for q in range(height):
            row = code.address(result, q * correlation.result.row, self.element)
            for spot in spots:
                target = code.address(row, spot, self.element)
                total = next(totals)
                if correlation.addend is not None:
                    total = total + code.load(target, self.element, lanes)
                code.store(total, target)

    def _add_up(
        self,
        summed: Sequence[tuple[int, int, int]],
        filters: Register,
        image: Register,
        pixels: Sequence[int],
        sums: list[Register],
    ) -> list[Register]:
        """Write the loops over the summed axes; return the sums, filter by filter."""
        code, element, lanes = self.code, self.element, self.tile.lanes
        if summed:
            (n, number_step, pixel_step), *rest = summed
            loop = code.begin_loop(0, n, 1, sums)
            filters = code.address(filters, loop.index * number_step, element)
            image = code.address(image, loop.index * pixel_step, element)
            return code.end_loop(loop, self._add_up(rest, filters, image, pixels, loop.carried))
        vectors = [code.load(code.address(image, at, element), element, lanes) for at in pixels]
        ended: list[Register] = []
        for q in range(len(sums) // len(pixels)):
            number = code.load(
                code.address(filters, q * self.correlation.left.row, element), element
            )
            number = code.splat(number, lanes)
            ended += [code.fma(number, x, sums[len(ended) + i]) for i, x in enumerate(vectors)]
        return ended
