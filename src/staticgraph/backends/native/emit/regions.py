"""Regions: the functions that run loops and branches, each region being a function, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from oplibrary.machine.code import Code
from oplibrary.machine.entry import INTERRUPTED
from oplibrary.machine.register import Register
from oplibrary.values.memory import ALIGNMENT
from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.emit.address_table import (
    FAILED,
    INNER_CONSTANTS,
    SAVE_THREAD,
    SPECIAL_SLOTS,
    STATUS,
    address_of,
    release_lock,
    slot_count,
    special_slot,
    take_lock,
)
from staticgraph.backends.native.emit.step_rows import StepRows
from staticgraph.backends.native.planning.control import (
    Controlled,
    aligned,
    in_place,
    plan_work,
    unkept,
)
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import storage_of
from staticgraph.control.flow import Choice, Loop, Rewind


class WrittenRegion(NamedTuple):
    """The function of a region, and where its constants are in the table of all regions'."""

    function: str
    first_constant: int


LEAST_STEP = 400.0
"""Nanoseconds of a short step with what is around it, which estimates of its work leave out."""
LOOK_EVERY = 5e6
"""Nanoseconds after which a loop that may run long looks for Ctrl-C, about."""


def write_control(
    code: Code,
    plan: NativePlan,
    controlled: Controlled,
    regions: Mapping[NativePlan, WrittenRegion],
) -> str:
    """Write ``void name(ptr slots)``, which runs a loop or a branch, and return its name.

    Parameters
    ----------
    code : Code
        Of the function, empty.
    plan : NativePlan
        Of what it is part of.
    controlled : Controlled
    regions : mapping of NativePlan to WrittenRegion
    """
    written = [regions[inner] for inner in controlled.plans]
    writer = _ControlWriter(code, plan, controlled, written)
    if isinstance(controlled.flow, Choice):
        writer.write_choice()
    elif isinstance(controlled.flow, Rewind):
        writer.write_rewind(controlled.flow)
    else:
        writer.write_loop(controlled.flow)
    name = code.module.new_name("control")
    code.module.add_function(name, code, "void", ["ptr %slots"], "internal")
    return name


class _Frame:
    """The slots that a region is given.

    Parameters
    ----------
    code : Code
    plan : NativePlan
        Of the region.
    function : str
    """

    def __init__(self, code: Code, plan: NativePlan, function: str) -> None:
        self.code = code
        self.plan = plan
        self.function = function
        self.slots = code.allocate("ptr", slot_count(plan))

    def set(self, number: int, address: Register) -> None:
        """Write a slot."""
        self.code.store(address, self.code.address(self.slots, number, "ptr"))

    def set_result(self, number: int, address: Register) -> None:
        """Write the slot of a result."""
        self.set(len(self.plan.sources) + number, address)

    def call(self) -> None:
        """Write the call of the region."""
        self.code.statement(f"call void @{self.function}(ptr {self.slots.ref})")


class _Alternating:
    """A value that each step makes anew, in one of two places in turn; they may be the same.

    Parameters
    ----------
    code : Code
    begin : Register
        Where it is before the first step.
    places : tuple of Register
    """

    def __init__(self, code: Code, begin: Register, places: tuple[Register, Register]) -> None:
        self.code = code
        self.places = places
        self._now = code.allocate("ptr", 1)
        self._following = code.allocate("ptr", 1)
        code.store(begin, self._now)
        code.store(places[0], self._following)

    def now(self) -> Register:
        """Return where it is."""
        return self.code.load(self._now, "ptr")

    def following(self) -> Register:
        """Return where the next step makes it."""
        return self.code.load(self._following, "ptr")

    def advance(self) -> None:
        """Write: a step has made it."""
        (first, second), code = self.places, self.code
        if first is not second:
            written = self.following()
            code.store(written, self._now)
            code.store(code.select(written.equals(first), second, first), self._following)


class _ControlWriter:
    def __init__(
        self,
        code: Code,
        plan: NativePlan,
        controlled: Controlled,
        regions: Sequence[WrittenRegion],
    ) -> None:
        self.code = code
        self.plan = plan
        self.controlled = controlled
        self.regions = regions
        self.scratch = [address_of(code, place) for place in plan.scratch[controlled]]
        self.operands = [self._address(each) for each in controlled.operation]
        self.results = [
            None if each is None else self._address(each) for each in controlled.results
        ]
        self.status = special_slot(code, plan, STATUS)

    def _address(self, definition: Definition) -> Register:
        return address_of(self.code, self.plan.locations[storage_of(definition)])

    def _frame(self, number: int) -> _Frame:
        """Return the slots of a region, with all that does not change while it is run again."""
        code, inner = self.code, self.controlled.plans[number]
        region = self.regions[number]
        frame = _Frame(code, inner, region.function)
        frame.set(inner.arena_slot, self.scratch[number])
        for special in range(SPECIAL_SLOTS):
            frame.set(inner.arena_slot + 1 + special, special_slot(code, self.plan, special))
        constants = special_slot(code, self.plan, INNER_CONSTANTS)
        first = len(inner.program.inputs) + len(inner.program.variables)
        for position in range(len(inner.program.constants)):
            place = code.address(constants, region.first_constant + position, "ptr")
            frame.set(first + position, code.load(place, "ptr"))
        return frame

    # branches -----------------------------------------------------------------------------------

    def write_choice(self) -> None:
        code = self.code
        count = len(self.regions)
        index = self._index()
        labels = [code.new_label() for _ in self.regions]
        listed = " ".join(f"i64 {i}, label %{label}" for i, label in enumerate(labels))
        code.statement(f"switch i64 {index.ref}, label %{labels[count - 1]} [{listed}]")
        mark = code.mark()
        for number, label in enumerate(labels):
            code.begin_block(label)
            frame = self._frame(number)
            for position, operand in enumerate(self.operands[1:]):
                frame.set(position, operand)
            for position, result in enumerate(self.results):
                assert result is not None
                frame.set_result(position, result)
            frame.call()
            code.statement("ret void")
            code.forget(mark)

    def _index(self) -> Register:
        """Return the number of the branch, from the first to the last."""
        code, operand = self.code, self.controlled.operation[0]
        bits = 8 * operand.dtype.itemsize
        found = code.load(self.operands[0], f"i{bits}")
        if bits < 64:
            word = "sext" if operand.dtype.kind == "i" else "zext"
            found = code.cast(word, found, "i64")
        last = len(self.regions) - 1
        if operand.dtype.kind == "u" and bits == 64:  # the largest look negative
            found = code.select(found.less(0), last, found)
        return code.smaller(code.larger(found, 0), last)

    # loops --------------------------------------------------------------------------------------

    def write_loop(self, flow: Loop) -> None:
        code = self.code
        regions = len(self.regions)
        carries = self.controlled.plans[0].results[: flow.carries]
        spare = iter(self.scratch[regions:])
        # the two places of each carry, which are one where a step overwrites it
        places: list[tuple[Register, Register]] = []
        for i in range(flow.carries):
            first = next(spare)
            places.append((first, first if i in in_place(self.controlled) else next(spare)))
        spares = {result: next(spare) for result in unkept(self.controlled)}
        holds = None if flow.condition is None else next(spare)
        for i in aligned(self.controlled):
            self.operands[i] = self._aligned(i, next(spare))
        body = self._frame(0)
        frames = [body]
        if holds is not None:
            frames.append(self._frame(1))
            frames[1].set_result(0, holds)
        for position in range(flow.carries + flow.sequences, len(self.operands)):
            # what every step gets alike; the condition gets no sequences
            for frame in frames:
                frame.set(position, self.operands[position])
        for result, place in spares.items():
            body.set_result(self.controlled.plans[0].results.index(result), place)
        count = code.allocate("i64", 1)
        code.store(code.constant(0, "i64"), count)
        carried: list[_Alternating] = []
        for carry, begin, both in zip(carries, self.operands, places, strict=False):
            first, second = both
            if first is second:
                self._copy(first, begin, carry.nbytes)
                begin = first
            carried.append(_Alternating(code, begin, both))
        head, go, done = (code.new_label() for _ in range(3))
        if self.controlled.looks_for_signals:
            self._leave_if_failed(done)  # a loop before this one was interrupted
        code.jump(head)
        mark = code.mark()
        code.begin_block(head)
        step = code.load(count, "i64")
        if holds is None:
            code.branch(step.less(flow.length or 0), go, done)
        else:
            for i, each in enumerate(carried):
                frames[1].set(i, each.now())
            frames[1].call()
            self._leave_if_failed(done)
            code.branch(code.load(holds, "i8").differs(0), go, done)
        code.begin_block(go)
        if flow.max_steps is not None:
            self._leave_if(step.equals(flow.max_steps), FAILED, done)
        if self.controlled.looks_for_signals:
            self._look_for_signals(step, done)
        self._write_step(flow, step, body, carried)
        body.call()
        self._leave_if_failed(done)
        for each in carried:
            each.advance()
        code.store(step + 1, count)
        code.jump(head)
        code.forget(mark)
        code.begin_block(done)
        self._write_results(carried)
        code.statement("ret void")

    def _write_results(self, found: Sequence[_Alternating]) -> None:
        """Write the first results, from where they are."""
        for each, address, result in zip(
            found, self.results, self.controlled.results, strict=False
        ):
            assert address is not None and result is not None
            self._copy(address, each.now(), result.nbytes)

    def _write_step(
        self, flow: Loop, step: Register, body: _Frame, carried: Sequence[_Alternating]
    ) -> None:
        """Write where a step finds what it reads, and where it leaves what it gives."""
        code, results = self.code, self.controlled.plans[0].results
        at = (flow.length or 0) - 1 - step if flow.reverse else step
        for i, each in enumerate(carried):
            carry = each.now()
            body.set(i, carry)
            body.set_result(i, each.following())
            if flow.keep and flow.keep[i]:
                self._copy(self._stacked(flow, i, at), carry, results[i].nbytes)
        for i in range(flow.carries, flow.carries + flow.sequences):
            operand = self.controlled.operation[i]
            bytes_ = operand.nbytes // operand.shape[0]
            body.set(i, code.address(self.operands[i], at * bytes_, "i8"))
        for i in range(flow.carries, len(results)):
            if flow.keep and flow.keep[i]:
                body.set_result(i, self._stacked(flow, i, at))

    def _stacked(self, flow: Loop, number: int, at: Register) -> Register:
        """Return the position of a stack."""
        stack = self.results[flow.carries + number]
        assert stack is not None
        return self.code.address(stack, at * self.controlled.plans[0].results[number].nbytes, "i8")

    # loops that are gone back through ------------------------------------------------------------

    def write_rewind(self, flow: Rewind) -> None:
        code, carries = self.code, flow.carries
        body, condition, *back = [self._frame(number) for number in range(len(self.regions))]
        spare = iter(self.scratch[len(self.regions) :])
        places = [(next(spare), next(spare)) for _ in self.results]
        holds = next(spare)
        condition.set_result(0, holds)
        inputs = len(self.operands) - len(self.results)
        for position in range(carries, inputs):
            for frame in (body, condition, *back):
                frame.set(position, self.operands[position])
        kept = self.controlled.plans[0].results
        rows = StepRows(code, kept)
        count = code.allocate("i64", 1)
        code.store(code.constant(0, "i64"), count)
        head, go, turn, done = (code.new_label() for _ in range(4))
        self._leave_if_failed(done)  # a loop before this one was interrupted
        self._leave_if(rows.require(code.constant(1, "i64")), FAILED, done)
        for address, operand, each in zip(
            rows.at(code.constant(0, "i64")), self.operands[:carries], kept, strict=False
        ):
            self._copy(address, operand, each.nbytes)
        code.jump(head)
        mark = code.mark()
        code.begin_block(head)
        step = code.load(count, "i64")
        for i, address in enumerate(rows.at(step)[:carries]):
            condition.set(i, address)
        condition.call()
        self._leave_if_failed(done)
        code.branch(code.load(holds, "i8").differs(0), go, turn)
        code.begin_block(go)
        if flow.max_steps is not None:
            self._leave_if(step.equals(flow.max_steps), FAILED, done)
        self._look_for_signals(step, done)
        self._leave_if(rows.require(step + 2), FAILED, done)
        row, following = rows.at(step), rows.at(step + 1)
        for i, address in enumerate(row):
            if i < carries:
                body.set(i, address)
            body.set_result(i, following[i] if i < carries else address)
        body.call()
        self._leave_if_failed(done)
        code.store(step + 1, count)
        code.jump(head)
        code.forget(mark)
        code.begin_block(turn)
        pulled = [
            _Alternating(code, begin, both)
            for begin, both in zip(self.operands[inputs:], places, strict=True)
        ]

        def step_back(frame: _Frame, end: str) -> None:
            """Write a step back, and go to `end` in its place where there is none left."""
            on = code.new_label()
            left = code.load(count, "i64")
            code.branch(left.equals(0), end, on)
            code.begin_block(on)
            self._look_for_signals(left, done)
            code.store(left - 1, count)
            row = rows.at(left - 1)
            given = [*row[:carries], *[each.now() for each in pulled], *row[carries:]]
            positions = [*range(carries), *range(inputs, len(frame.plan.program.inputs))]
            for position, address in zip(positions, given, strict=False):
                frame.set(position, address)
            for i, each in enumerate(pulled):
                frame.set_result(i, each.following())
            frame.call()
            self._leave_if_failed(done)
            for each in pulled:
                each.advance()

        pullback, *first = back
        finished, again = code.new_label(), code.new_label()
        for frame in first:
            step_back(frame, finished)
        code.jump(again)
        mark = code.mark()
        code.begin_block(again)
        step_back(pullback, finished)
        code.jump(again)
        code.forget(mark)
        code.begin_block(finished)
        self._write_results(pulled)
        code.jump(done)
        code.begin_block(done)
        rows.free()
        code.statement("ret void")

    # what all of them use -------------------------------------------------------------------------

    def _aligned(self, number: int, place: Register) -> Register:
        """Return an operand's address, or that of a copy if it is not a multiple of a line's."""
        code, operand = self.code, self.operands[number]
        bits = code.pure(f"ptrtoint ptr {operand.ref} to i64", "i64", 1) & (ALIGNMENT - 1)
        before, copy, on = code.block, code.new_label(), code.new_label()
        code.branch(bits.equals(0), on, copy)
        code.begin_block(copy)
        self._copy(place, operand, self.controlled.operation[number].nbytes)
        code.jump(on)
        code.begin_block(on)
        return code.merge([(operand, before), (place, copy)])

    def _copy(self, target: Register, source: Register, nbytes: int) -> None:
        name = "llvm.memcpy.p0.p0.i64"
        self.code.module.declare(name, "void", ["ptr", "ptr", "i64", "i1"])
        self.code.statement(
            f"call void @{name}(ptr {target.ref}, ptr {source.ref}, "
            f"i64 {self.code.whole(nbytes)}, i1 false)"
        )

    def _leave_if_failed(self, done: str) -> None:
        on = self.code.new_label()
        self.code.branch(self.code.load(self.status, "i64").equals(0), on, done)
        self.code.begin_block(on)

    def _leave_if(self, condition: Register, status: int, done: str) -> None:
        """Write: leave the loop with a status if a condition holds."""
        code = self.code
        leave, on = code.new_label(), code.new_label()
        code.branch(condition, leave, on)
        code.begin_block(leave)
        code.store(code.constant(status, "i64"), self.status)
        code.jump(done)
        code.begin_block(on)

    def _look_for_signals(self, step: Register, done: str) -> None:
        """Write: now and then take the interpreter's lock, and leave the loop after Ctrl-C."""
        code = self.code
        work = sum(map(plan_work, self.controlled.plans))
        every = 1
        while every * max(work, LEAST_STEP) < LOOK_EVERY:
            every *= 2
        look, on = code.new_label(), code.new_label()
        code.branch((step & (every - 1)).equals(every - 1), look, on)
        code.begin_block(look)
        mark = code.mark()
        check = special_slot(code, self.plan, SAVE_THREAD + 2)
        take_lock(code, self.plan)
        found = code.effect(f"call i32 {check.ref}()", "i32", 1)
        release_lock(code, self.plan)
        self._leave_if(found.differs(0), INTERRUPTED, done)
        code.jump(on)
        code.forget(mark)
        code.begin_block(on)
