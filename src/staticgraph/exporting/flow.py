"""Branches and loops in ONNX: graphs inside of nodes, which see what is around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, helper

from oplibrary.messages.errors import BackendError
from oplibrary.values.types import TensorType
from staticgraph.control.flow import Choice, Loop
from staticgraph.exporting.writer import BEFORE_ALL, Name, Names, Writer, declared
from staticgraph.program.polynomial import is_symbolic
from staticgraph.program.program import Instruction, Program, Value

WriteProgram = Callable[[Writer, Program, dict[Value, Names]], None]
Written = tuple[Writer, Sequence[Name]]
"""A writer of a graph inside of a node, and the names of its results."""

Step = Callable[[Writer, Name, Sequence[Name]], tuple[Name, list[Name]]]
"""Writes a step of a loop, given its number and its carry; returns whether to go on, which is ""
where a number of steps says so, and the results."""
_BOOL, _INT64 = np.dtype(bool), np.dtype("int64")


def write_flow(
    writer: Writer, instruction: Instruction, operands: Sequence[Name], write: WriteProgram
) -> list[Any] | None:
    """Write an op that runs regions, as its record says, and return its results' names.

    Parameters
    ----------
    writer : Writer
    instruction : Instruction
    operands : sequence of str
    write : callable
        Writes the instructions of a region.

    Returns
    -------
    list of str or None, or None
        None in the list for a result that is not made; None for a flow that ONNX cannot say.

    Raises
    ------
    BackendError
        If a loop has a largest number of steps.
    """
    part = Flow(writer, operands, write)
    if instruction.attrs.get("max_steps") is not None:
        raise BackendError(
            f"{instruction.op.name} with max_steps has no form in ONNX",
            source=instruction.sources[0] if instruction.sources else None,
            cause="more steps than these are an error here, and ONNX has none to raise",
            fix="leave max_steps out",
        )
    assert instruction.op.control is not None
    flow = instruction.op.control(**instruction.attrs)
    return WRITERS[type(flow)](part, flow)


class Flow:
    """Writes one op."""

    def __init__(self, writer: Writer, operands: Sequence[Name], write: WriteProgram) -> None:
        self.writer, self.operands, self.write = writer, list(operands), write

    def inlined(self, writer: Writer, region: Any, given: Sequence[Name]) -> list[Name]:
        """Write a region's instructions on values of these names; return its results' names."""
        program = region.lower()
        names: dict[Value, Names] = dict(zip(program.inputs, given, strict=True))
        self.write(writer, program, names)
        return [str(names[value]) for value in program.outputs]

    def graph(
        self,
        writer: Writer,
        inputs: Sequence[tuple[Name, Any, Any]],
        outputs: Sequence[tuple[Name, Any, Any]],
    ) -> GraphProto:
        """Return what `writer` has written as a graph; each result gets a node of its own."""
        results = []
        for name, dtype, shape in outputs:
            own = writer.node("Identity", name)
            results.append(declared(own, dtype, shape))
        return helper.make_graph(
            writer.nodes, writer.fresh(), [declared(*each) for each in inputs], results
        )

    def choice(self, flow: Choice) -> list[Any]:
        """Write one of several branches: each ``If`` tells one from those behind it."""
        number, given = self.operands[0], self.operands[1:]
        return self._chosen(self.writer, number, flow.branches, given)

    def _chosen(
        self, writer: Writer, number: Name, branches: Sequence[Any], given: Sequence[Name]
    ) -> list[Any]:
        if len(branches) == 1:
            return list(self.inlined(writer, branches[0], given))
        types = branches[0].output_types
        ways = []
        zero = writer.constant(np.zeros((), _INT64))
        whole = writer.node("Cast", number, to=helper.np_dtype_to_tensor_dtype(_INT64))
        first = writer.node("LessOrEqual", whole, zero)
        one = writer.constant(np.ones((), _INT64))
        for rest in (branches[:1], branches[1:]):  # one, and those behind it
            inner = writer.within()
            below = (
                whole if len(rest) < 2 or rest is branches[:1] else inner.node("Sub", whole, one)
            )
            ways.append((inner, self._chosen(inner, below, rest, given)))
        return self.either(writer, first, types, *ways)

    def either(
        self, writer: Writer, holds: Name, types: Sequence[TensorType], *ways: Written
    ) -> list[Name]:
        """Write ``If`` with what was written for either way."""
        graphs = [
            self.graph(
                inner, [], [(n, t.dtype, t.shape) for n, t in zip(names, types, strict=True)]
            )
            for inner, names in ways
        ]
        return writer.nodes_results(
            "If", [holds], len(types), then_branch=graphs[0], else_branch=graphs[1]
        )

    def loop(self, flow: Loop) -> list[Any] | None:
        """Write a loop that a condition ends, or one over positions."""
        return self._scan(flow) if flow.condition is None else self._while(flow)

    def _while(self, flow: Loop) -> list[Any]:
        count = flow.carries
        start, outer = self.operands[:count], self.operands[count:]
        (first,) = self.inlined(self.writer, flow.condition, self.operands)

        def step(inner: Writer, _: Name, carry: Sequence[Name]) -> tuple[Name, list[Name]]:
            results = self.inlined(inner, flow.body, [*carry, *outer])[:count]
            (again,) = self.inlined(inner, flow.condition, [*results, *outer])
            return again, results

        return self.repeated("", first, start, flow.body.output_types[:count], step)

    def repeated(
        self,
        trips: Name,
        first: Name,
        start: Sequence[Name],
        types: Sequence[TensorType],
        step: Step,
    ) -> list[Name]:
        """Write ``Loop``: of `types` are the carries, then what each step adds to stacks."""
        inner, count = self.writer.within(), len(start)
        number, going = inner.fresh(), inner.fresh()
        carry = [inner.fresh() for _ in range(count)]
        again, results = step(inner, number, carry)
        inputs = [
            (number, _INT64, ()),
            (going, _BOOL, ()),
            *[(n, t.dtype, t.shape) for n, t in zip(carry, types, strict=False)],
        ]
        outputs = [
            (again or going, _BOOL, ()),
            *[(n, t.dtype, t.shape) for n, t in zip(results, types, strict=True)],
        ]
        body = self.graph(inner, inputs, outputs)
        return self.writer.nodes_results("Loop", [trips, first, *start], len(types), body=body)

    def _turned(self, name: Name) -> Name:
        """Return a value with the positions of axis 0 in reverse."""
        bounds = [self.writer.integers([n]) for n in (-1, BEFORE_ALL, 0, -1)]
        return self.writer.node("Slice", name, *bounds)

    def _counted(self, length: int) -> Name:
        """Return the numbers from 0 to a length."""
        if not is_symbolic(length):
            return self.writer.constant(np.arange(length))
        return self.writer.node("Range", *map(self.writer.number, (0, length, 1)))

    def _scan(self, flow: Loop) -> list[Any] | None:
        """Write a loop over the positions of sequences, or over numbers where there are none."""
        if not flow.length:
            return None
        writer, count, sequences = self.writer, flow.carries, flow.sequences
        types = flow.body.output_types
        start, rows = self.operands[:count], self.operands[count : count + sequences]
        outer = self.operands[count + sequences :]
        inner = writer.within()
        carry = [inner.fresh() for _ in range(count)]
        at = [inner.fresh() for _ in range(sequences)]
        results = self.inlined(inner, flow.body, [*carry, *at, *outer])
        given = flow.body.input_types[: count + sequences]
        inputs = [(n, t.dtype, t.shape) for n, t in zip([*carry, *at], given, strict=True)]
        if not rows:
            rows = [self._counted(flow.length)]
            inputs.append((inner.fresh(), _INT64, ()))
        kept = [i for i, keeps in enumerate(flow.keep) if keeps]
        # of a carry the stack is of what it was before each step
        stacked = [carry[i] if i < count else results[i] for i in kept]
        outputs = [
            *[(n, t.dtype, t.shape) for n, t in zip(results[:count], types[:count], strict=True)],
            *[(n, types[i].dtype, types[i].shape) for n, i in zip(stacked, kept, strict=True)],
        ]
        if flow.reverse:  # ONNX could say so in the node, but not everything reads it there
            rows = [self._turned(name) for name in rows]
        found = writer.nodes_results(
            "Scan",
            [*start, *rows],
            count + len(kept),
            body=self.graph(inner, inputs, outputs),
            num_scan_inputs=len(rows),
        )
        stacks: list[Any] = [None] * len(flow.keep)
        for i, name in zip(kept, found[count:], strict=True):
            stacks[i] = self._turned(name) if flow.reverse else name
        return [*found[:count], *stacks]


WRITERS: dict[type, Callable[[Flow, Any], list[Any] | None]] = {
    Choice: Flow.choice,
    Loop: Flow.loop,
}
"""What writes an op that runs regions, by the kind of its record."""
