"""Kernels: the instructions of one loop nest.

The loops over rows come first. Inside a row there are stages: each goes through the rest of the
loops once, and may use the reductions that the stages before it have finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

from oplibrary.machine.code import Code
from oplibrary.machine.elements import (
    DType,
    convert,
    element_of,
    number,
    stored_element,
)
from oplibrary.machine.folds import fold_lanes, fold_two, neutral, neutral_register
from oplibrary.machine.memory_access import Index, fill, load_lanes, store_lanes
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from staticgraph.backends.native.definitions.definition import (
    PRODUCT,
    Definition,
    Elementwise,
    Fold,
)
from staticgraph.backends.native.definitions.open_lengths import at_most, is_open
from staticgraph.backends.native.emit.address_table import Base, BaseAddresses
from staticgraph.backends.native.emit.long_sums import (
    BLOCK,
    LONG,
    MANY,
    SHORT,
    add_up,
    is_rounded,
    narrowed,
    wide_dtype,
    widened,
)
from staticgraph.backends.native.emit.values import ValueWriter
from staticgraph.backends.native.planning.exploration import Part, ValueAt
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.stages import Stages, band_range, find_needed
from staticgraph.backends.native.planning.steps import Store

Span = tuple[Index, Index]
"""The first index of a loop, and the one behind its last."""
Gathered = dict[Store, Register]
"""What reductions have gathered so far, in the loops that they go over without a break."""


def write_kernel(module: Module, symbol: str, nest: Nest, unread: set[Definition]) -> list[Base]:
    """Write ``void symbol(ptr bases, i64 first, i64 last)``, which runs a range of chunks.

    Parameters
    ----------
    module : Module
    symbol : str
    nest : Nest
    unread : set of Definition
        Results that nothing outside the kernel reads, so that they need not be written.

    Returns
    -------
    list of Base
        What the addresses are of.
    """
    code = Code(module, nest.lanes)
    bases = BaseAddresses(code)
    _Writer(ValueWriter(code, Stages(nest), bases, unread)).write()
    code.statement("ret void")
    parameters = ["ptr %bases", "i64 %first", "i64 %last"]
    module.add_function(symbol, code, "void", parameters, "internal", attributes="noinline")
    return bases.order


class _Pass(NamedTuple):
    """One pass over the loops inside a row.

    Attributes
    ----------
    stores : list of Store
    tops : list of ValueAt
        What is computed for each store.
    stage : int
    ranges : list of (int or Register, int or Register)
        Of each loop.
    """

    stores: list[Store]
    tops: list[ValueAt]
    stage: int
    ranges: list[Span]

    @property
    def gathers(self) -> bool:
        """Whether elements must not be counted twice."""
        return any(store.fold is not None for store in self.stores)


class _Writer:
    def __init__(self, values: ValueWriter) -> None:
        self.values = values
        self.code = values.code
        self.stages = values.stages
        self.nest = values.nest
        self.depths = values.stages.depths
        self.sums: dict[Store, Register] = {}
        """Memory of long sums of one element at a time, which are added up in double."""

    # rows ---------------------------------------------------------------------------------------

    def write(self) -> None:
        """Write the whole nest."""
        code, nest = self.code, self.nest
        self.values.find_bases()
        if self.stages.sums_columns:
            self._columns()
            return
        if nest.chunks == 1:
            self._boxes(None)
            return
        first, last = (code.parameter(name, "i64") for name in ("%first", "%last"))
        loop = code.begin_loop(first, last, 1, [])
        for store in nest.partial_roots:
            base = self.values.given.address("partial", store.definition)
            at = loop.index * store.definition.size
            element = stored_element(store.definition.dtype)
            self.values.bases[store.storage, store.start] = code.address(base, at, element)
        start = loop.index * nest.chunk
        total = code.constant(nest.extents[0], "i64")
        stop = code.select(loop.index.equals(nest.chunks - 1), total, start + nest.chunk)
        self._boxes((start, stop))
        code.end_loop(loop, [])

    def _boxes(self, span: Span | None) -> None:
        """Write the loops over rows; `span` is the range of the first loop."""
        boxes = self.stages.boxes
        if len(boxes) > 1:
            self._clear(0, all_folds=True)
        for ranges, parts in boxes:
            bounds: list[Span] = [*ranges]
            if span is not None and bounds:
                bounds[0] = span
            self.values.keep(parts)
            self._outer(0, bounds, parts, span)
        if len(boxes) > 1:
            self._end_sums(0, all_folds=True)

    def _outer(self, depth: int, bounds: list[Span], parts: list[Part], span: Span | None) -> None:
        if len(self.stages.boxes) == 1:
            self._clear(depth)
            self._rounds(depth, bounds, parts, span)
            self._end_sums(depth)
        else:
            self._rounds(depth, bounds, parts, span)

    def _rounds(self, depth: int, bounds: list[Span], parts: list[Part], span: Span | None) -> None:
        if depth == self.nest.outer:
            self.values.scope(lambda: self._row(parts, None if depth else span))
            return
        for part in parts:
            fixed = [node for node in part.nodes if self.stages.depth(node) == depth]
            self.values.emit([node for node in fixed if not self.stages.levels[node]], 0)
        start, stop = bounds[depth]

        def body() -> None:
            self._outer(depth + 1, bounds, parts, span)

        if isinstance(start, int) and stop == start + 1:
            self.values.enter(start, body)
            return
        loop = self.code.begin_loop(start, stop, 1, [])
        self.values.enter(loop.index, body)
        self.code.end_loop(loop, [])

    def _row(self, parts: list[Part], span: Span | None) -> None:
        self.values.rows = {}
        stages = self.stages
        for stage in range(stages.count):
            for store in stages.row_roots:
                if stages.root_levels[store] == stage:
                    self._row_root(store, parts[0], stage)
            stores = [store for store in stages.full if stages.root_levels[store] == stage]
            for part in parts if stores else ():
                self._stage(part, stores, stage, span)
            for store in stores:
                if stages.is_local(store) and store.definition not in self.values.unread:
                    self._write_row(store, self.values.rows[store.definition])

    def _row_root(self, store: Store, part: Part, stage: int) -> None:
        top = self.stages.top(part, store)
        self.values.emit(find_needed([top]), stage)
        if store.fold is None:
            if self.values.is_written(store):
                self._write_row(store, self.values.value(top))
        else:
            self._accumulate(store, self.values.value(top), self.nest.outer)

    def _write_row(self, store: Store, value: Register) -> None:
        offset, _ = self.values.root_offset(store, self.nest.outer)
        target = self.values.target(store)
        store_lanes(self.code, target, store.definition.dtype, offset, 1, value)

    # columns ------------------------------------------------------------------------------------

    def _columns(self) -> None:
        """Write reductions of the first of two loops: a few columns at a time stay in registers."""
        code, values, nest = self.code, self.values, self.nest
        (part,), stores = nest.parts, nest.kernel.stores
        tops = [self.stages.top(part, store) for store in stores]
        needed = find_needed(tops)
        values.emit([node for node in needed if not self.stages.depth(node)], 0)
        rows, columns = nest.extents

        def reduce(at: Index, _: Register | None, carried: list[Register]) -> list[Register]:
            begun = [
                neutral_register(code, store.fold.combine, store.fold.dtype, nest.lanes)
                for store in stores
                if store.fold is not None
            ]
            loop = code.begin_loop(0, rows, 1, begun)
            ended: list[Register] = []

            def element() -> None:
                values.emit(needed, 0)
                pairs = zip(stores, tops, loop.carried, strict=True)
                ended.extend([self._combined(store, top, old) for store, top, old in pairs])

            def row() -> None:
                values.emit([node for node in needed if self.stages.depth(node) == 1], 0)
                values.enter(at, element)

            values.enter(loop.index, row)
            results = code.end_loop(loop, ended)

            def write() -> None:
                for store, result in zip(stores, results, strict=True):
                    offset, lane = values.root_offset(store, self.depths)
                    dtype = store.definition.dtype
                    store_lanes(code, values.target(store), dtype, offset, lane, result)

            values.enter(0, lambda: values.enter(at, write))
            return carried

        self._static_lanes(0, columns, False, reduce, [])

    def _combined(self, store: Store, top: ValueAt, old: Register) -> Register:
        """Return what a reduction has gathered with one value more; a product is added at once."""
        fold, lanes = store.fold, self.values.lanes
        assert fold is not None
        definition = top.definition
        if (
            fold.combine == "add"
            and not top.leaf  # a product that is in memory is read, and not taken apart
            and isinstance(definition, Elementwise)
            and definition.expression == PRODUCT
            and definition.dtype == fold.dtype
            and old.is_float
        ):
            x, y = (self._wide(self.values.operand(child), fold.dtype) for child in top.children)
            return self.code.fma(x, y, old)
        value = self.code.splat(self.values.value(top), lanes)
        return fold_two(self.code, fold.combine, fold.dtype, old, value)

    def _wide(self, operand: tuple[Register | float, DType], dtype: DType) -> Register:
        value, own = operand
        if not isinstance(value, Register):
            value = number(self.code, value, dtype)
        else:
            value = convert(self.code, value, own, dtype)
        return self.code.splat(value, self.values.lanes)

    # accumulators in memory ---------------------------------------------------------------------

    def _starting(self, depth: int, all_folds: bool) -> list[Store]:
        """Return the reductions whose accumulators start anew at `depth` loops."""
        stages = self.stages
        starts = [(store, stages.clears_at(store)) for store in stages.folds.values()]
        return [store for store, at in starts if at == depth or (all_folds and at >= 0)]

    def _clear(self, depth: int, all_folds: bool = False) -> None:
        """Write what starts the accumulators anew that start at `depth` loops."""
        for store in self._starting(depth, all_folds):
            self._clear_one(store, depth)

    def _clear_one(self, store: Store, depth: int) -> None:
        fold = store.fold
        assert fold is not None
        reduced = self.nest.reduced(store)
        full = store.extents == self.nest.kernel.extents
        loops = self.depths if full else self.nest.outer
        extents = enumerate(self.nest.extents[:loops])
        size = prod([n for i, n in extents if i >= depth and i not in reduced])
        empty = neutral(fold.combine, fold.dtype)
        rounds = prod(self._repeated(store))
        if size == 1 and is_rounded(fold) and not at_most(rounds, LONG * BLOCK - 1):
            self.sums[store] = self.code.allocate(element_of(wide_dtype(fold)), 1)
            fill(self.code, self.sums[store], empty, wide_dtype(fold), 1, 1)
            return
        offset, _ = self.values.root_offset(store, depth)
        start = self.code.address(self.values.target(store), offset, stored_element(fold.dtype))
        fill(self.code, start, empty, fold.dtype, size, self.nest.lanes)

    def _repeated(self, store: Store) -> list[int]:
        """Return the rounds of the loops that a reduction goes over in memory."""
        full = store.extents == self.nest.kernel.extents
        until = self.stages.gathers_from(store) if full else self.nest.outer
        return [self.nest.extents[i] for i in self.nest.reduced(store) if i < until]

    def _end_sums(self, depth: int, all_folds: bool = False) -> None:
        """Write the sums that were added up apart and started at `depth` loops to their places."""
        for store in self._starting(depth, all_folds):
            fold, memory = store.fold, self.sums.pop(store, None)
            if fold is None or memory is None:
                continue
            total = load_lanes(self.code, memory, wide_dtype(fold), 0, 1, 1)
            offset, _ = self.values.root_offset(store, depth)
            target = self.values.target(store)
            store_lanes(self.code, target, fold.dtype, offset, 1, narrowed(self.code, fold, total))

    def _accumulate(self, store: Store, value: Register, depth: int) -> None:
        """Combine what is in memory with a value, at `depth` loops."""
        fold = store.fold
        assert fold is not None
        offset, lane = self.values.root_offset(store, depth)
        target, dtype = self.values.target(store), fold.dtype
        if store in self.sums:
            target, dtype, offset = self.sums[store], wide_dtype(fold), 0
            value = widened(self.code, fold, value)
        old = load_lanes(self.code, target, dtype, offset, lane, value.lanes)
        new = fold_two(self.code, fold.combine, dtype, old, value)
        store_lanes(self.code, target, dtype, offset, lane, new)

    # stages -------------------------------------------------------------------------------------

    def _stage(self, part: Part, stores: list[Store], stage: int, span: Span | None) -> None:
        """Write the loops inside a row for one stage and one part."""
        extents = self.nest.kernel.extents
        ranges: list[Span] = [band_range(part.box, band, extents) for band in self.nest.bands]
        if span is not None and ranges:
            ranges[0] = span
        tops = [self.stages.top(part, store) for store in stores]
        needed = find_needed(tops, lambda node: self.values.is_read_back(node, stage))
        each = _Pass(stores, tops, stage, ranges)

        def loops() -> None:  # what is gathered is empty once all loops are left
            self._inner(self.nest.outer, each, needed, {})

        self.values.scope(loops)

    def _inner(
        self, depth: int, each: _Pass, needed: list[ValueAt], gathered: Gathered
    ) -> Gathered:
        """Write the loops from `depth` on; return what the reductions that go on have gathered."""
        self.values.emit([n for n in needed if self.stages.depth(n) <= depth], each.stage)
        if depth == self.depths:
            return self._body(each, None, gathered)
        starting = [
            store
            for store in each.stores
            if store.fold is not None and self.stages.gathers_from(store) == depth
        ]
        for store in starting:
            fold = store.fold
            assert fold is not None
            gathered[store] = neutral_register(
                self.code, fold.combine, fold.dtype, self.values.lanes
            )
        deeper = [n for n in needed if self.stages.depth(n) > depth]
        if depth == self.depths - 1:
            gathered = self._lane_loop(each, deeper, gathered)
        else:
            gathered = self._loop(depth, each, deeper, gathered)
        for store in starting:
            self._finish(store, gathered.pop(store), depth)
        return gathered

    def _loop(self, depth: int, each: _Pass, needed: list[ValueAt], gathered: Gathered) -> Gathered:
        stores = list(gathered)

        def one(at: Index, begun: list[Register]) -> list[Register]:
            inside: Gathered = {}

            def body() -> None:
                given = dict(zip(stores, begun, strict=True))
                inside.update(self._inner(depth + 1, each, needed, given))

            self.values.enter(at, body)
            return [inside[store] for store in stores]

        def rounds(first: Index, behind: Index, begun: list[Register]) -> list[Register]:
            if step == 1:
                return one(first, begun)
            loop = self.code.begin_loop(first, behind, 1, begun)
            return self.code.end_loop(loop, one(loop.index, loop.carried))

        start, stop = each.ranges[depth]
        registers = list(gathered.values())
        inner = _count(prod(self.nest.extents[depth + 1 :]), self.nest.lanes)
        step = 1 if inner >= SHORT else BLOCK // inner
        total = inner * _count(self.nest.extents[depth])
        if total < LONG * BLOCK or not add_up(stores):
            loop = self.code.begin_loop(start, stop, 1, registers)
            ended = self.code.end_loop(loop, one(loop.index, loop.carried))
        else:
            ended = self._blocks(start, stop, step, rounds, registers, stores, total)
        return dict(zip(stores, ended, strict=True))

    def _finish(self, store: Store, value: Register, depth: int) -> None:
        """Hand on what a reduction has gathered in the loops from `depth` on."""
        fold = store.fold
        assert fold is not None
        value = fold_lanes(self.code, fold.combine, fold.dtype, value)
        if self.stages.is_local(store):
            before = self.values.rows.get(store.definition)
            if before is not None:
                value = fold_two(self.code, fold.combine, fold.dtype, before, value)
            self.values.rows[store.definition] = value
        elif self.stages.is_direct(store):
            offset, _ = self.values.root_offset(store, depth)
            store_lanes(self.code, self.values.target(store), fold.dtype, offset, 1, value)
        else:
            self._accumulate(store, value, depth)

    # the innermost loop -------------------------------------------------------------------------

    def _lane_loop(self, each: _Pass, needed: list[ValueAt], gathered: Gathered) -> Gathered:
        """Write the last loop, several elements at a time.

        Where the length is no multiple, the last elements are those that end with the end: some are
        computed twice, and left out of reductions.
        """
        order = list(gathered)

        def body(index: Index, mask: Register | None, begun: list[Register]) -> list[Register]:
            found: Gathered = {}

            def write() -> None:
                self.values.emit(needed, each.stage)
                found.update(self._body(each, mask, dict(zip(order, begun, strict=True))))

            self.values.enter(index, write)
            return [found[store] for store in order]

        start, stop = each.ranges[-1]
        registers = list(gathered.values())
        if isinstance(start, int) and isinstance(stop, int):
            registers = self._static_lanes(start, stop, each.gathers, body, registers, order)
        else:
            span = (start, stop)
            registers = self._dynamic_lanes(span, each.gathers, body, registers, order)
        return dict(zip(order, registers, strict=True))

    def _dynamic_lanes(
        self,
        span: Span,
        gathers: bool,
        body: _Body,
        carried: list[Register],
        stores: Sequence[Store],
    ) -> list[Register]:
        code, lanes = self.code, self.nest.lanes
        start, stop = span
        last = stop - lanes

        def rounds(first: Index, behind: Index, begun: list[Register]) -> list[Register]:
            loop = code.begin_loop(first, behind, lanes, begun)
            index = code.select(loop.index.less(last), loop.index, last)
            mask = None
            if gathers and lanes > 1:
                # the first of the lanes that have not been counted yet
                fresh = code.cast("trunc", loop.index - index, "i32")
                mask = code.constants(range(lanes), "i32").greater_equal(fresh)
            return code.end_loop(loop, body(index, mask, loop.carried))

        rounds_of_chunk = self.nest.chunk if isinstance(start, Register) else stop - start
        total = _count(rounds_of_chunk, lanes)
        if total < LONG * BLOCK or not add_up(stores):
            return rounds(start, stop, carried)
        return self._blocks(start, stop, BLOCK * lanes, rounds, carried, stores, total)

    def _blocks(
        self,
        start: Index,
        stop: Index,
        step: int,
        rounds: _Rounds,
        carried: list[Register],
        stores: Sequence[Store],
        total: int,
    ) -> list[Register]:
        """Write a loop over blocks of `total` rounds, each of which sums up what it has alone."""
        code = self.code
        sums = [store.fold if is_rounded(store.fold) else None for store in stores]

        def up(fold: Fold, value: Register) -> Register:
            return widened(code, fold, value) if total >= MANY * BLOCK else value

        def down(fold: Fold, value: Register) -> Register:
            return narrowed(code, fold, value) if total >= MANY * BLOCK else value

        pairs = zip(sums, carried, strict=True)
        loop = code.begin_loop(
            start, stop, step, [x if fold is None else up(fold, x) for fold, x in pairs]
        )
        begun = [
            old
            if fold is None
            else neutral_register(code, fold.combine, fold.dtype, self.values.lanes)
            for fold, old in zip(sums, loop.carried, strict=True)
        ]
        behind = loop.index + step
        behind = code.select(behind.less(stop), behind, stop)
        found = rounds(loop.index, behind, begun)
        ended = [
            new if fold is None else old + up(fold, new)
            for fold, old, new in zip(sums, loop.carried, found, strict=True)
        ]
        pairs = zip(sums, code.end_loop(loop, ended), strict=True)
        return [x if fold is None else down(fold, x) for fold, x in pairs]

    def _static_lanes(
        self,
        start: int,
        stop: int,
        gathers: bool,
        body: _Body,
        carried: list[Register],
        stores: Sequence[Store] = (),
    ) -> list[Register]:
        code, lanes = self.code, self.nest.lanes
        full, rest = divmod(stop - start, lanes)
        if rest and not gathers:
            last = stop - lanes
            loop = code.begin_loop(start, stop, lanes, carried)
            index = code.select(loop.index.less(last), loop.index, last)
            return code.end_loop(loop, body(index, None, loop.carried))
        if full == 1:
            carried = body(start, None, carried)
        elif full:

            def rounds(first: Index, behind: Index, begun: list[Register]) -> list[Register]:
                loop = code.begin_loop(first, behind, lanes, begun)
                return code.end_loop(loop, body(loop.index, None, loop.carried))

            end = start + full * lanes
            if full < LONG * BLOCK or not add_up(stores):
                carried = rounds(start, end, carried)
            else:
                step = BLOCK * lanes
                carried = self._blocks(start, end, step, rounds, carried, stores, full)
        if rest:
            mask = code.constants([lane >= lanes - rest for lane in range(lanes)], "i1")
            carried = body(stop - lanes, mask, carried)
        return carried

    def _body(self, each: _Pass, mask: Register | None, gathered: Gathered) -> Gathered:
        """Write what happens to the values of the stores in the innermost loop."""
        code, lanes = self.code, self.values.lanes
        result = dict(gathered)
        for store, top in zip(each.stores, each.tops, strict=True):
            value = code.splat(self.values.value(top), lanes)
            fold = store.fold
            if fold is None:
                if self.values.is_written(store):
                    offset, lane = self.values.root_offset(store, self.depths)
                    target = self.values.target(store)
                    store_lanes(code, target, store.definition.dtype, offset, lane, value)
                continue
            if mask is not None:
                none = neutral_register(code, fold.combine, fold.dtype, lanes)
                value = code.select(mask, value, none)
            if store in gathered and mask is None:
                result[store] = self._combined(store, top, gathered[store])
            elif store in gathered:
                result[store] = fold_two(code, fold.combine, fold.dtype, gathered[store], value)
            else:
                self._accumulate(store, value, self.depths)
        return result


def _count(rounds: Any, lanes: int = 1) -> int:
    """Return how many rounds of `lanes` elements a loop has, at least 1; an open length is long."""
    return MANY * BLOCK if is_open(rounds) else max(1, rounds // lanes)


_Body = Callable[[Index, Register | None, list[Register]], list[Register]]
_Rounds = Callable[[Index, Index, list[Register]], list[Register]]
