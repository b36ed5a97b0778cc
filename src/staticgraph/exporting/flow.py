"""Branches and loops in ONNX: graphs inside of nodes, which see what is around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import GraphProto, helper

from staticgraph.control.flow import Choice, Loop
from staticgraph.exporting.writer import BEFORE_ALL, Name, Names, Writer, declared
from staticgraph.program.polynomial import is_symbolic
from staticgraph.program.program import Instruction, Program, Value

WriteProgram = Callable[[Writer, Program, dict[Value, Names]], None]
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
    """
    assert instruction.op.control is not None
    flow = instruction.op.control(**instruction.attrs)
    part = _Flow(writer, operands, write)
    if isinstance(flow, Choice):
        return part.choice(flow)
    assert isinstance(flow, Loop)
    if flow.condition is not None:
        # more steps than are allowed would have to be an error
        return part.loop(flow) if flow.max_steps is None else None
    return part.scan(flow)


class _Flow:
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
        graphs = []
        zero = writer.constant(np.zeros((), _INT64))
        whole = writer.node("Cast", number, to=helper.np_dtype_to_tensor_dtype(_INT64))
        first = writer.node("LessOrEqual", whole, zero)
        one = writer.constant(np.ones((), _INT64))
        for rest in (branches[:1], branches[1:]):  # one, and those behind it
            inner = writer.within()
            below = (
                whole if len(rest) < 2 or rest is branches[:1] else inner.node("Sub", whole, one)
            )
            names = self._chosen(inner, below, rest, given)
            outputs = [(n, t.dtype, t.shape) for n, t in zip(names, types, strict=True)]
            graphs.append(self.graph(inner, [], outputs))
        return writer.nodes_results(
            "If", [first], len(types), then_branch=graphs[0], else_branch=graphs[1]
        )

    def loop(self, flow: Loop) -> list[Any]:
        """Write a loop that a condition ends."""
        writer, count = self.writer, flow.carries
        types = flow.body.output_types[:count]
        start, outer = self.operands[:count], self.operands[count:]
        (first,) = self.inlined(writer, flow.condition, self.operands)
        inner = writer.within()
        step, going = inner.fresh(), inner.fresh()
        carry = [inner.fresh() for _ in range(count)]
        results = self.inlined(inner, flow.body, [*carry, *outer])[:count]
        (again,) = self.inlined(inner, flow.condition, [*results, *outer])
        inputs = [
            (step, _INT64, ()),
            (going, _BOOL, ()),
            *[(n, t.dtype, t.shape) for n, t in zip(carry, types, strict=True)],
        ]
        outputs = [
            (again, _BOOL, ()),
            *[(n, t.dtype, t.shape) for n, t in zip(results, types, strict=True)],
        ]
        body = self.graph(inner, inputs, outputs)
        return writer.nodes_results("Loop", ["", first, *start], count, body=body)

    def _turned(self, name: Name) -> Name:
        """Return a value with the positions of axis 0 in reverse."""
        bounds = [self.writer.integers([n]) for n in (-1, BEFORE_ALL, 0, -1)]
        return self.writer.node("Slice", name, *bounds)

    def _counted(self, length: int) -> Name:
        """Return the numbers from 0 to a length."""
        if not is_symbolic(length):
            return self.writer.constant(np.arange(length))
        return self.writer.node("Range", *map(self.writer.number, (0, length, 1)))

    def scan(self, flow: Loop) -> list[Any] | None:
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
