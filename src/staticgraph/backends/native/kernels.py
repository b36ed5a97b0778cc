"""Kernels: the instructions of one loop nest.

The loops over rows come first. Inside a row there are stages: each goes through the rest of the
loops once, and may use the reductions that the stages before it have finished.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from staticgraph.backends.native.code import Code
from staticgraph.backends.native.definitions import Definition, Elementwise, Uniform
from staticgraph.backends.native.elements import convert, element_of, number, stored_element
from staticgraph.backends.native.exploration import Box, Node, Part
from staticgraph.backends.native.folds import fold_lanes, fold_two, neutral, neutral_register
from staticgraph.backends.native.forms import Form, row_major
from staticgraph.backends.native.loops import ROW_BYTES, Nest
from staticgraph.backends.native.memory_access import (
    Index,
    fill,
    gather,
    linear_offset,
    load_lanes,
    store_lanes,
)
from staticgraph.backends.native.module import Module
from staticgraph.backends.native.recomputation import RECOMPUTED_COST
from staticgraph.backends.native.register import Register
from staticgraph.backends.native.roots import Root, base_of
from staticgraph.backends.native.scalars import write_expression
from staticgraph.backends.native.selections import Gathered

Span = tuple[Index, Index]
INDEX = np.dtype(np.int64)
Base = tuple[str, Definition | None, int]
"""Memory that a kernel uses: ``"value"`` or ``"partial"`` with what is there, or ``"status"``; and
the element that its address is of."""


class Bases:
    """The addresses that a kernel is given, in the order in which it first asks for them.

    Parameters
    ----------
    code : Code
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.order: list[Base] = []

    def address(self, kind: str, definition: Definition | None = None, start: int = 0) -> Register:
        """Write the reading of an address."""
        base = (kind, definition, start)
        if base not in self.order:
            self.order.append(base)
        given = self.code.parameter("%bases", "ptr")
        return self.code.load(self.code.address(given, self.order.index(base), "ptr"), "ptr")


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
    bases = Bases(code)
    _Writer(code, nest, bases, unread).write()
    code.statement("ret void")
    parameters = ["ptr %bases", "i64 %first", "i64 %last"]
    module.add_function(symbol, code, "void", parameters, "internal", attributes="noinline")
    return bases.order


def write_combination(module: Module, symbol: str, nest: Nest) -> list[Base]:
    """Write ``void symbol(ptr bases)``, which combines the results of the chunks, in order."""
    code = Code(module)
    bases = Bases(code)
    for root in nest.partial_roots:
        fold = root.fold
        assert fold is not None
        source = bases.address("partial", fold)
        target = bases.address("value", root.storage)
        lanes = 1
        while lanes * 2 <= min(fold.size, nest.lanes):
            lanes *= 2
        starts = fold.size // lanes + (fold.size % lanes > 0)
        outer = code.begin_loop(0, starts, 1, [])
        at = outer.index * lanes
        if fold.size % lanes:
            last = fold.size - lanes
            at = code.select(at.less(last), at, last)
        total = neutral_register(code, fold.combine, fold.dtype, lanes)
        inner = code.begin_loop(0, nest.chunks, 1, [total])
        offset = inner.index * fold.size + at
        value = load_lanes(code, source, fold.dtype, offset, 1, lanes)
        folded = fold_two(code, fold.combine, fold.dtype, inner.carried[0], value)
        (total,) = code.end_loop(inner, [folded])
        store_lanes(code, target, fold.dtype, at, 1, total)
        code.end_loop(outer, [])
    code.statement("ret void")
    module.add_function(symbol, code, "void", ["ptr %bases"], "internal", attributes="noinline")
    return bases.order


class _Writer:
    def __init__(
        self,
        code: Code,
        nest: Nest,
        given: Bases,
        unread: set[Definition],
    ) -> None:
        self.code = code
        self.nest = nest
        self.roots = nest.kernel.roots
        self.given = given
        self.unread = unread
        self.ndim = len(nest.kernel.extents)
        self.depths = len(nest.extents)
        self.folds = {root.definition: root for root in self.roots if root.fold is not None}
        # the roots that all loops are needed for; the others are computed once a row
        self.full = [root for root in self.roots if root.extents == nest.kernel.extents]
        self.row_roots = [root for root in self.roots if root.extents != nest.kernel.extents]
        self.indices: list[Index] = []
        self.values: list[dict[Node, Register]] = [{}]
        self.rows: dict[Definition, Register] = {}
        self.bases: dict[tuple[Definition, int], Register] = {}
        self.levels: dict[Node, int] = {}
        self.root_levels: dict[Root, int] = {}
        self.depth: dict[Node, int] = {}
        self.temporaries: dict[Node, tuple[int, Register]] = {}
        self.boxes = _outer_boxes(nest)
        self._find_levels()

    # what is known before anything is written ---------------------------------------------------

    def _find_levels(self) -> None:
        """Find the stage of every value: one more than that of a reduction that it reads."""
        fold_levels: dict[Definition, int] = {}
        for root in self.roots:  # a reduction comes before what reads it
            number = self.roots.index(root)
            level = 0
            for part in self.nest.parts:
                self._levels_of(part, fold_levels)
                level = max(level, self.levels[part.tops[number]])
            self.root_levels[root] = level
            if root.fold is not None and self.nest.kernel.is_local(root):
                fold_levels[root.definition] = level + 1

    def _levels_of(self, part: Part, fold_levels: dict[Definition, int]) -> None:
        for node in part.nodes:
            if node.leaf:
                level = fold_levels.get(node.definition, 0)
                if node.definition in self.folds and not level:
                    continue
            else:
                below = [self.levels.get(child) for child in node.children]
                if None in below:
                    continue
                level = max([each for each in below if each is not None], default=0)
            self.levels[node] = level

    def _top(self, part: Part, root: Root) -> Node:
        return part.tops[self.roots.index(root)]

    def _is_local(self, root: Root) -> bool:
        return self.nest.kernel.is_local(root)

    # memory -------------------------------------------------------------------------------------

    def _find_bases(self) -> None:
        for part in self.nest.parts:
            for node in part.nodes:
                definition = node.definition
                if isinstance(definition, Gathered) and not node.leaf:
                    self._find_base(base_of(definition.source), node.offset[0])
                elif node.leaf and definition not in self.folds:
                    if not isinstance(definition, Uniform):
                        self._find_base(definition, node.offset[0])
        for root in self.roots:
            if not self.nest.is_partial(root) and self._is_written(root):
                self._find_base(root.storage, root.start)

    def _is_written(self, root: Root) -> bool:
        return root.definition not in self.unread or root.storage is not root.definition

    def _find_base(self, definition: Definition, start: int) -> None:
        if (definition, start) not in self.bases:
            self.bases[definition, start] = self.given.address("value", definition, start)

    def _target(self, root: Root) -> Register:
        return self.bases[root.storage, root.start]

    def _offset(self, form: Form, depth: int) -> tuple[Index, int]:
        """Return the offset of a form in the loops entered so far, and its step a lane.

        Its constant is left out: it is in the address.
        """
        coefficients = self.nest.coefficients(form)
        lane = 0
        if depth == self.depths and self.depths > self.nest.outer:
            lane = coefficients[-1]
        return linear_offset(self.code, 0, coefficients[:depth], self.indices[:depth]), lane

    # rows ---------------------------------------------------------------------------------------

    def write(self) -> None:
        self._find_bases()
        if self.nest.chunks == 1:
            self._write_boxes(None)
            return
        first = self.code.parameter("%first", "i64")
        last = self.code.parameter("%last", "i64")
        loop = self.code.begin_loop(first, last, 1, [])
        for root in self.nest.partial_roots:
            base = self.given.address("partial", root.definition)
            at = loop.index * root.definition.size
            element = stored_element(root.definition.dtype)
            self.bases[root.storage, root.start] = self.code.address(base, at, element)
        start = loop.index * self.nest.chunk
        total = self.code.constant(self.nest.extents[0], "i64")
        final = loop.index.equals(self.nest.chunks - 1)
        stop = self.code.select(final, total, start + self.nest.chunk)
        self._write_boxes((start, stop))
        self.code.end_loop(loop, [])

    def _write_boxes(self, span: Span | None) -> None:
        single = len(self.boxes) == 1
        if not single:
            for root in self.folds.values():
                self._clear(root, 0)
        for box, parts in self.boxes:
            self.parts = parts
            self._find_temporaries()
            self._outer(0, box, span, single)

    def _outer(
        self, depth: int, box: list[tuple[int, int]], span: Span | None, clear: bool
    ) -> None:
        if clear:
            for root in self.folds.values():
                if self._clears_at(root) == depth:
                    self._clear(root, depth)
        if depth == self.nest.outer:
            self._row(span if depth == 0 else None)
            return
        for part in self.parts:
            self._emit([n for n in part.nodes if self._depth(n) == depth and not self.levels[n]], 0)
        start, stop = span if span is not None and depth == 0 else box[depth]
        if isinstance(start, int) and stop == start + 1:
            self._enter(start, lambda: self._outer(depth + 1, box, span, clear))
            return
        loop = self.code.begin_loop(start, stop, 1, [])
        self._enter(loop.index, lambda: self._outer(depth + 1, box, span, clear))
        self.code.end_loop(loop, [])

    def _enter(self, index: Index, body: Callable[[], None]) -> None:
        self.indices.append(index)
        self.values.append({})
        body()
        self.values.pop()
        self.indices.pop()

    def _row(self, span: Span | None) -> None:
        self.rows = {}
        self.values.append({})
        for stage in range(max(self.root_levels.values(), default=0) + 1):
            for root in self.row_roots:
                if self.root_levels[root] == stage:
                    self._row_root(root, stage)
            roots = [root for root in self.full if self.root_levels[root] == stage]
            if not roots:
                continue
            for part in self.parts:
                self._stage(part, roots, stage, span)
            for root in roots:
                if self._is_local(root) and root.definition not in self.unread:
                    self._write_row(root, self.rows[root.definition])
        self.values.pop()

    def _row_root(self, root: Root, stage: int) -> None:
        part = self.parts[0]
        top = self._top(part, root)
        self._emit(_needed([top]), stage)
        value = self._value(top)
        if root.fold is None:
            self._write_row(root, value)
        else:
            self._accumulate(root, value, self.nest.outer)

    def _write_row(self, root: Root, value: Register) -> None:
        offset, _ = self._offset(root.offset(self.ndim), self.nest.outer)
        store_lanes(self.code, self._target(root), root.definition.dtype, offset, 1, value)

    # accumulators in memory ---------------------------------------------------------------------

    def _gathers_from(self, root: Root) -> int:
        """Return the first of the innermost loops that a reduction goes over without a break."""
        reduced = self.nest.reduced(root)
        start = self.depths
        while start > self.nest.outer and start - 1 in reduced:
            start -= 1
        return start

    def _is_direct(self, root: Root) -> bool:
        """Tell whether each result is finished when it is first known."""
        if root.extents != self.nest.kernel.extents or len(self.boxes[0][1]) > 1:
            return False
        return min(self.nest.reduced(root)) >= self._gathers_from(root)

    def _clears_at(self, root: Root) -> int:
        """Return how many loops are entered when the accumulators of a reduction start anew."""
        if self._is_local(root) or self._is_direct(root):
            return -1
        return min(min(self.nest.reduced(root)), self.nest.outer)

    def _clear(self, root: Root, depth: int) -> None:
        if self._is_local(root) or self._is_direct(root):
            return
        fold = root.fold
        assert fold is not None
        reduced = self.nest.reduced(root)
        loops = self.depths if root.extents == self.nest.kernel.extents else self.nest.outer
        kept = [
            n for i, n in enumerate(self.nest.extents[:loops]) if i >= depth and i not in reduced
        ]
        offset, _ = self._offset(root.offset(self.ndim), depth)
        base = self._target(root)
        start = self.code.address(base, offset, stored_element(fold.dtype))
        number = neutral(fold.combine, fold.dtype)
        fill(self.code, start, number, fold.dtype, prod(kept), self.nest.lanes)

    def _accumulate(self, root: Root, value: Register, depth: int) -> None:
        """Combine what is in memory with a value, at `depth` loops."""
        fold = root.fold
        assert fold is not None
        offset, lane = self._offset(root.offset(self.ndim), depth)
        base = self._target(root)
        old = load_lanes(self.code, base, fold.dtype, offset, lane, value.lanes)
        new = fold_two(self.code, fold.combine, fold.dtype, old, value)
        store_lanes(self.code, base, fold.dtype, offset, lane, new)

    # stages -------------------------------------------------------------------------------------

    def _find_temporaries(self) -> None:
        """Choose what a later stage reads back instead of computing it again."""
        self.temporaries = {}
        if len(self.parts) > 1 or len(set(self.root_levels.values())) == 1:
            return
        part = self.parts[0]
        visited: dict[Node, int] = {}
        size = prod(self.nest.extents[self.nest.outer :])
        left = ROW_BYTES
        for stage in sorted(set(self.root_levels.values())):
            stack = [self._top(part, root) for root in self.full if self.root_levels[root] == stage]
            seen: set[Node] = set()
            while stack:
                node = stack.pop()
                if node.leaf or node in seen or self._depth(node) <= self.nest.outer:
                    continue
                seen.add(node)
                nbytes = size * node.definition.dtype.itemsize
                if node in self.temporaries:
                    continue
                if (
                    visited.get(node, stage) < stage
                    and node.cost >= RECOMPUTED_COST
                    and nbytes <= left
                ):
                    left -= nbytes
                    memory = self.code.allocate(stored_element(node.definition.dtype), size)
                    self.temporaries[node] = (visited[node], memory)
                    continue
                visited.setdefault(node, stage)
                stack += node.children

    def _stage(self, part: Part, roots: Sequence[Root], stage: int, span: Span | None) -> None:
        """Write the loops inside a row for one stage and one part."""
        self.values.append({})
        self.span = span
        self.part_ranges = [
            _band_range(part.box, band, self.nest.kernel.extents) for band in self.nest.bands
        ]
        tops = [self._top(part, root) for root in roots]
        needed = _needed(tops, lambda n: self._is_read_back(n, stage))
        self._inner(self.nest.outer, list(roots), tops, needed, stage, {})
        self.values.pop()

    def _is_read_back(self, node: Node, stage: int) -> bool:
        return node in self.temporaries and self.temporaries[node][0] < stage

    def _inner(
        self,
        depth: int,
        roots: list[Root],
        tops: list[Node],
        needed: list[Node],
        stage: int,
        carried: dict[Root, Register],
    ) -> dict[Root, Register]:
        """Write the loops from `depth` on; return what the reductions that go on have gathered."""
        self._emit([n for n in needed if self._depth(n) <= depth], stage)
        if depth == self.depths:
            return self._body(roots, tops, None, carried)
        starting = [
            root for root in roots if root.fold is not None and self._gathers_from(root) == depth
        ]
        lanes = self.nest.lanes if self.depths > self.nest.outer else 1
        for root in starting:
            fold = root.fold
            assert fold is not None
            carried[root] = neutral_register(self.code, fold.combine, fold.dtype, lanes)
        deepest = [n for n in needed if self._depth(n) > depth]
        start, stop = self.part_ranges[depth]
        if depth == 0 and self.span is not None:
            bounds: Span = self.span
        else:
            bounds = (start, stop)
        if depth == self.depths - 1:
            carried = self._lane_loop(bounds, roots, tops, deepest, stage, carried)
        else:
            order = list(carried)
            loop = self.code.begin_loop(*bounds, 1, list(carried.values()))
            inside: dict[Root, Register] = {}

            def body() -> None:
                begun = dict(zip(order, loop.carried, strict=True))
                inside.update(self._inner(depth + 1, roots, tops, deepest, stage, begun))

            self._enter(loop.index, body)
            ended = self.code.end_loop(loop, [inside[root] for root in order])
            carried = dict(zip(order, ended, strict=True))
        for root in starting:
            self._finish(root, carried.pop(root), depth)
        return carried

    def _finish(self, root: Root, value: Register, depth: int) -> None:
        """Hand on what a reduction has gathered in the loops from `depth` on."""
        fold = root.fold
        assert fold is not None
        value = fold_lanes(self.code, fold.combine, fold.dtype, value)
        if self._is_local(root):
            before = self.rows.get(root.definition)
            if before is not None:
                value = fold_two(self.code, fold.combine, fold.dtype, before, value)
            self.rows[root.definition] = value
        elif self._is_direct(root):
            offset, _ = self._offset(root.offset(self.ndim), depth)
            store_lanes(self.code, self._target(root), fold.dtype, offset, 1, value)
        else:
            self._accumulate(root, value, depth)

    def _lane_loop(
        self,
        bounds: Span,
        roots: list[Root],
        tops: list[Node],
        needed: list[Node],
        stage: int,
        carried: dict[Root, Register],
    ) -> dict[Root, Register]:
        """Write the last loop, several elements at a time.

        Where the length is no multiple, the last elements are those that end with the end: some are
        computed twice, and left out of reductions.
        """
        code, lanes = self.code, self.nest.lanes
        order = list(carried)

        def body(index: Index, mask: Register | None, begun: list[Register]) -> list[Register]:
            found: dict[Root, Register] = {}

            def write() -> None:
                self._emit(needed, stage)
                found.update(self._body(roots, tops, mask, dict(zip(order, begun, strict=True))))

            self._enter(index, write)
            return [found[root] for root in order]

        registers = list(carried.values())
        start, stop = bounds
        gathers = any(root.fold is not None for root in roots)
        if isinstance(start, int) and isinstance(stop, int):
            registers = self._static_lanes(start, stop, gathers, body, registers)
        else:
            assert isinstance(start, Register) and isinstance(stop, Register)
            last = stop - lanes
            loop = code.begin_loop(start, stop, lanes, registers)
            index = code.select(loop.index.less(last), loop.index, last)
            mask = None
            if gathers and lanes > 1:
                # the first of the lanes that have not been counted yet
                fresh = code.cast("trunc", loop.index - index, "i32")
                numbers = code.constants(range(lanes), "i32")
                mask = numbers.greater_equal(fresh)
            registers = code.end_loop(loop, body(index, mask, loop.carried))
        return dict(zip(order, registers, strict=True))

    def _static_lanes(
        self,
        start: int,
        stop: int,
        gathers: bool,
        body: Callable[[Index, Register | None, list[Register]], list[Register]],
        registers: list[Register],
    ) -> list[Register]:
        code, lanes = self.code, self.nest.lanes
        full, rest = divmod(stop - start, lanes)
        if rest and not gathers:
            last = stop - lanes
            loop = code.begin_loop(start, stop, lanes, registers)
            index = code.select(loop.index.less(last), loop.index, last)
            return code.end_loop(loop, body(index, None, loop.carried))
        if full == 1:
            registers = body(start, None, registers)
        elif full:
            loop = code.begin_loop(start, start + full * lanes, lanes, registers)
            registers = code.end_loop(loop, body(loop.index, None, loop.carried))
        if rest:
            mask = code.constants([lane >= lanes - rest for lane in range(lanes)], "i1")
            registers = body(stop - lanes, mask, registers)
        return registers

    def _body(
        self,
        roots: list[Root],
        tops: list[Node],
        mask: Register | None,
        carried: dict[Root, Register],
    ) -> dict[Root, Register]:
        """Write what happens to the values of the roots in the innermost loop."""
        code = self.code
        lanes = self.nest.lanes if self.depths > self.nest.outer else 1
        result = dict(carried)
        for root, top in zip(roots, tops, strict=True):
            value = code.splat(self._value(top), lanes)
            fold = root.fold
            if fold is None:
                if root.definition in self.unread and root.storage is root.definition:
                    continue
                offset, lane = self._offset(root.offset(self.ndim), self.depths)
                base = self._target(root)
                store_lanes(code, base, root.definition.dtype, offset, lane, value)
                continue
            if mask is not None:
                none = neutral_register(code, fold.combine, fold.dtype, lanes)
                value = code.select(mask, value, none)
            if root in carried:
                result[root] = fold_two(code, fold.combine, fold.dtype, carried[root], value)
            elif self._gathers_from(root) == self.depths and self._is_local(root):
                self._finish(root, value, self.depths)
            else:
                self._accumulate(root, value, self.depths)
        return result

    # values -------------------------------------------------------------------------------------

    def _depth(self, node: Node) -> int:
        depth = self.depth.get(node)
        if depth is None:
            depth = self.depth[node] = self.nest.depth_of(node)
        return depth

    def _value(self, node: Node) -> Register:
        for scope in reversed(self.values):
            found = scope.get(node)
            if found is not None:
                return found
        raise AssertionError(f"{node.definition} was not computed")

    def _known(self, node: Node) -> bool:
        return any(node in scope for scope in self.values)

    def _emit(self, nodes: Sequence[Node], stage: int) -> None:
        """Write the values of `nodes`, operands first, into the innermost scope."""
        scope = self.values[-1]
        for node in nodes:
            if not self._known(node):
                scope[node] = self._write_node(node, stage)

    def _write_node(self, node: Node, stage: int) -> Register:
        definition = node.definition
        code = self.code
        if isinstance(definition, Uniform):
            return code.constant(definition.number, element_of(definition.dtype))
        if node.leaf and definition in self.folds:
            return self.rows[definition]
        if self._is_read_back(node, stage):
            return self._temporary(node, None)
        if node.leaf:
            depth = self._depth(node)
            offset, lane = self._offset(node.offset, depth)
            lanes = self.nest.lanes if lane else 1
            base = self.bases[definition, node.offset[0]]
            return load_lanes(code, base, definition.dtype, offset, lane, lanes)
        if isinstance(definition, Gathered):
            value = self._gather(node, definition)
        else:
            assert isinstance(definition, Elementwise)
            operands = [self._operand(child) for child in node.children]
            value = write_expression(
                code, definition.expression, definition.attrs, operands, definition.dtype
            )
        if node in self.temporaries and self.temporaries[node][0] == stage:
            self._temporary(node, value)
        return value

    def _gather(self, node: Node, definition: Gathered) -> Register:
        depth = self._depth(node)
        offset, lane = self._offset(node.offset, depth)
        indices = []
        for child in node.children:
            value, dtype = self._operand(child)
            if not isinstance(value, Register):
                value = number(self.code, value, INDEX)
            elif dtype != INDEX:
                value = convert(self.code, value, dtype, INDEX)
            indices.append(value)
        lanes = self.nest.lanes if depth == self.depths and self.depths > self.nest.outer else 1
        source = self.bases[base_of(definition.source), node.offset[0]]
        return gather(
            self.code,
            source,
            definition.dtype,
            offset,
            lane,
            list(zip(indices, definition.axes, strict=True)),
            lambda _: self.given.address("status"),
            lanes,
        )

    def _operand(self, node: Node) -> tuple[Register | float, object]:
        if isinstance(node.definition, Uniform):
            return node.definition.number, node.definition.dtype
        return self._value(node), node.definition.dtype

    def _temporary(self, node: Node, value: Register | None) -> Register:
        """Write or read what is kept of a value between the stages of a row."""
        _, memory = self.temporaries[node]
        shape = tuple(self.nest.extents[self.nest.outer :])
        strides = list(row_major(shape))
        offset = linear_offset(self.code, 0, strides, self.indices[self.nest.outer :])
        dtype = node.definition.dtype
        if value is None:
            return load_lanes(self.code, memory, dtype, offset, 1, self.nest.lanes)
        store_lanes(self.code, memory, dtype, offset, 1, self.code.splat(value, self.nest.lanes))
        return value


def _needed(tops: Sequence[Node], stops: Callable[[Node], bool] = lambda _: False) -> list[Node]:
    """Return all that `tops` are made of, operands first; nothing behind what `stops`."""
    result: list[Node] = []
    seen: set[Node] = set()
    stack = [(top, False) for top in reversed(tops)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            result.append(node)
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((node, True))
        if not stops(node):
            stack += [(child, False) for child in reversed(node.children) if child not in seen]
    return result


def _band_range(box: Box, band: tuple[int, int], extents: Sequence[int]) -> tuple[int, int]:
    first, last = band
    scale = prod(extents[first + 1 : last + 1])
    start, stop = box[first]
    return start * scale, stop * scale


def _outer_boxes(nest: Nest) -> list[tuple[list[tuple[int, int]], list[Part]]]:
    """Return the ranges of the loops over rows that differ, each with its parts."""
    extents = nest.kernel.extents
    outer = nest.bands[: nest.outer]
    pending = list(nest.parts)
    for first, _ in outer:
        borders = sorted({border for part in nest.parts for border in part.box[first]})
        refined = []
        for part in pending:
            low, high = part.box[first]
            inside = [b for b in borders if low <= b <= high]
            for start, stop in zip(inside, inside[1:], strict=False):
                box = (*part.box[:first], (start, stop), *part.box[first + 1 :])
                refined.append(part._replace(box=box))
        pending = refined
    grouped: dict[tuple[tuple[int, int], ...], list[Part]] = {}
    for part in pending:
        key = tuple([_band_range(part.box, band, extents) for band in outer])
        grouped.setdefault(key, []).append(part)
    return [(list(key), parts) for key, parts in sorted(grouped.items(), key=lambda kv: kv[0])]
