"""Values: what is computed at one point of the loops, each value once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import (
    DType,
    convert,
    number,
    stored_element,
)
from oplibrary.machine.expressions.writing import write_expression
from oplibrary.machine.memory_access import (
    Index,
    gather,
    linear_offset,
    load_lanes,
    store_lanes,
)
from oplibrary.machine.register import Register
from staticgraph.backends.native.definitions.affine import AffineForm, row_major
from staticgraph.backends.native.definitions.definition import Definition, Elementwise, Uniform
from staticgraph.backends.native.definitions.selections import Gathered
from staticgraph.backends.native.emit.address_table import BaseAddresses
from staticgraph.backends.native.planning.exploration import Part, ValueAt
from staticgraph.backends.native.planning.stages import Stages
from staticgraph.backends.native.planning.steps import Store, storage_of

INDEX = np.dtype(np.int64)


class ValueWriter:
    """Write values in the loops that have been entered.

    Parameters
    ----------
    code : Code
    stages : Stages
    given : BaseAddresses
    unread : set of Definition
        Results that nothing outside the kernel reads.

    Attributes
    ----------
    indices : list of Register or int
        The index of each loop that has been entered.
    rows : dict of Definition to Register
        The reductions that are finished in this row.
    bases : dict of (Definition, int) to Register
        The address of each value's first element that is used.
    """

    def __init__(
        self, code: Code, stages: Stages, given: BaseAddresses, unread: set[Definition]
    ) -> None:
        self.code = code
        self.stages = stages
        self.nest = stages.nest
        self.given = given
        self.unread = unread
        self.indices: list[Index] = []
        self.rows: dict[Definition, Register] = {}
        self.bases: dict[tuple[Definition, int], Register] = {}
        self._values: list[dict[ValueAt, Register]] = [{}]
        self._kept: dict[ValueAt, tuple[int, Register]] = {}

    @property
    def lanes(self) -> int:
        """Elements worked on together in the innermost loop."""
        return self.nest.lanes if self.stages.depths > self.nest.outer else 1

    # memory -------------------------------------------------------------------------------------

    def find_bases(self) -> None:
        """Write the reading of all addresses."""
        for part in self.nest.parts:
            for node in part.nodes:
                definition = node.definition
                if isinstance(definition, Uniform):
                    continue
                if isinstance(definition, Gathered) and not node.leaf:
                    self._find_base(storage_of(definition.source), node.offset[0])
                elif node.leaf and definition not in self.stages.folds:
                    self._find_base(definition, node.offset[0])
        for store in self.nest.kernel.stores:
            if not self.nest.is_partial(store) and self.is_written(store):
                self._find_base(store.storage, store.start)

    def is_written(self, store: Store) -> bool:
        """Tell whether anything reads what a store writes."""
        return store.definition not in self.unread or store.storage is not store.definition

    def _find_base(self, definition: Definition, start: int) -> None:
        if (definition, start) not in self.bases:
            self.bases[definition, start] = self.given.address("value", definition, start)

    def target(self, store: Store) -> Register:
        """Return the address that a store is written to."""
        return self.bases[store.storage, store.start]

    def offset(self, form: AffineForm, depth: int) -> tuple[Index, int]:
        """Return the offset of a form in the loops entered so far, and its step a lane.

        Its constant is left out: it is in the address.
        """
        coefficients = self.nest.coefficients(form)
        lane = 0
        if depth == self.stages.depths and depth > self.nest.outer:
            lane = coefficients[-1]
        return linear_offset(self.code, 0, coefficients[:depth], self.indices[:depth]), lane

    def root_offset(self, store: Store, depth: int) -> tuple[Index, int]:
        """Return where a store is written, in the loops entered so far, and its step a lane."""
        return self.offset(store.offset(len(self.nest.kernel.extents)), depth)

    # scopes -------------------------------------------------------------------------------------

    def enter(self, index: Index, body: Callable[[], None]) -> None:
        """Write the body of a loop."""
        self.indices.append(index)
        self._values.append({})
        body()
        self._values.pop()
        self.indices.pop()

    def scope(self, body: Callable[[], None]) -> None:
        """Write a body whose values are of no use behind it."""
        self._values.append({})
        body()
        self._values.pop()

    def value(self, node: ValueAt) -> Register:
        """Return what has been written for a value."""
        for scope in reversed(self._values):
            found = scope.get(node)
            if found is not None:
                return found
        raise AssertionError(f"{node.definition} was not computed")

    def emit(self, nodes: Sequence[ValueAt], stage: int) -> None:
        """Write values, operands first, that are not there yet."""
        scope = self._values[-1]
        for node in nodes:
            if not any(node in each for each in self._values):
                scope[node] = self._write(node, stage)

    # values -------------------------------------------------------------------------------------

    def _write(self, node: ValueAt, stage: int) -> Register:
        definition = node.definition
        code = self.code
        if isinstance(definition, Uniform):
            return number(code, definition.number, definition.dtype)
        if node.leaf and definition in self.stages.folds:
            return self.rows[definition]
        if self.is_read_back(node, stage):
            return self._read_back(node)
        if node.leaf:
            offset, lane = self.offset(node.offset, self.stages.depth(node))
            base = self.bases[definition, node.offset[0]]
            lanes = self.nest.lanes if lane else 1
            return load_lanes(code, base, definition.dtype, offset, lane, lanes)
        if isinstance(definition, Gathered):
            value = self._gather(node, definition)
        else:
            assert isinstance(definition, Elementwise)
            operands = [self.operand(child) for child in node.children]
            value = write_expression(code, definition.expression, operands, definition.dtype)
        if node in self._kept and self._kept[node][0] == stage:
            self._keep(node, value)
        return value

    def operand(self, node: ValueAt) -> tuple[Register | float, DType]:
        """Return what an expression is given for a value: what was written, or its number."""
        if isinstance(node.definition, Uniform):
            return node.definition.number, node.definition.dtype
        return self.value(node), node.definition.dtype

    def _gather(self, node: ValueAt, definition: Gathered) -> Register:
        depth = self.stages.depth(node)
        offset, lane = self.offset(node.offset, depth)
        indices = []
        for child in node.children:
            value, dtype = self.operand(child)
            if isinstance(value, Register):
                indices.append(convert(self.code, value, dtype, INDEX))
            else:
                indices.append(number(self.code, value, INDEX))
        return gather(
            self.code,
            self.bases[storage_of(definition.source), node.offset[0]],
            definition.dtype,
            offset,
            lane,
            list(zip(indices, definition.axes, strict=True)),
            lambda _: self.given.address("status"),
            self.lanes if depth == self.stages.depths else 1,
        )

    # what is kept between the stages of a row ---------------------------------------------------

    def keep(self, parts: Sequence[Part]) -> None:
        """Reserve memory for what later stages read back."""
        size = prod(self.nest.extents[self.nest.outer :])
        self._kept = {
            node: (stage, self.code.allocate(stored_element(node.definition.dtype), size))
            for node, stage in self.stages.find_kept(parts).items()
        }

    def is_read_back(self, node: ValueAt, stage: int) -> bool:
        """Tell whether an earlier stage has kept a value."""
        return node in self._kept and self._kept[node][0] < stage

    def _place(self) -> Index:
        shape = tuple(self.nest.extents[self.nest.outer :])
        return linear_offset(self.code, 0, row_major(shape), self.indices[self.nest.outer :])

    def _keep(self, node: ValueAt, value: Register) -> None:
        wide = self.code.splat(value, self.nest.lanes)
        store_lanes(self.code, self._kept[node][1], node.definition.dtype, self._place(), 1, wide)

    def _read_back(self, node: ValueAt) -> Register:
        memory, dtype = self._kept[node][1], node.definition.dtype
        return load_lanes(self.code, memory, dtype, self._place(), 1, self.nest.lanes)
