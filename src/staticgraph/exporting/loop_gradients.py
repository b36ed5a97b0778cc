"""Gradients of a loop that a condition ends, in ONNX: the loop again, and its steps backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oplibrary.values.types import TensorType
from staticgraph.control.flow import Rewind
from staticgraph.exporting.flow import WRITERS, Flow
from staticgraph.exporting.writer import Name, Writer

_NUMBER, _ROW = TensorType((), np.dtype("int64")), (-1,)


def loop_gradient(part: Flow, flow: Rewind) -> list[Name]:
    """Write the gradients of a loop; where it has no step, they are what is given to them."""
    inputs = len(flow.body.input_types)
    given, types = part.operands[inputs:], flow.pullback.output_types
    assert len(types) == len(given)
    (holds,) = part.inlined(part.writer, flow.condition, part.operands[:inputs])
    inner = part.writer.within()
    steps = _Steps(Flow(inner, part.operands, part.write), flow.body, flow.carries)
    steps.run(flow.condition, holds)
    found = steps.pulled(flow.pullback, flow.first, given)
    return part.either(part.writer, holds, types, (inner, found), (part.writer.within(), given))


class _Steps:
    """The steps of a loop, and what each of them began with and keeps for its gradient."""

    def __init__(self, part: Flow, body: Any, carries: int) -> None:
        self.part, self.writer, self.body, self.carries = part, part.writer, body, carries
        self.start = part.operands[:carries]
        self.outer = part.operands[carries : len(body.input_types)]
        self.kept = body.output_types  # the carry before a step is of the types of that after it
        self.zero, self.one = self.writer.number(0), self.writer.number(1)

    def run(self, condition: Any, holds: Name) -> None:
        """Write the loop, which counts its steps and stacks what they keep, each in a row."""

        def step(inner: Writer, _: Name, carry: Sequence[Name]) -> tuple[Name, list[Name]]:
            count, *now = carry
            results = self.part.inlined(inner, self.body, [*now, *self.outer])
            after, residuals = results[: self.carries], results[self.carries :]
            (again,) = self.part.inlined(inner, condition, [*after, *self.outer])
            # what adds matrices to a stack is not the same in all that runs models
            rows = [inner.reshape(name, _ROW) for name in (*now, *residuals)]
            return again, [inner.node("Add", count, self.one), *after, *rows]

        carry = [_NUMBER, *self.body.output_types[: self.carries]]
        rows = [TensorType((t.size,), t.dtype) for t in self.kept]
        start = [self.zero, *self.start]
        self.count, *found = self.part.repeated("", holds, start, [*carry, *rows], step)
        self.stacks = found[self.carries :]

    def pulled(self, pullback: Any, first: Sequence[Any], gradients: Sequence[Name]) -> list[Name]:
        """Write the steps backwards: the last ones apart, as far as there are so many."""
        writer, types, left = self.writer, pullback.output_types, self.count
        for region in first:
            there = writer.node("Greater", left, self.zero)
            left = writer.node("Sub", left, self.one)
            inner = writer.within()
            pulled = inner, self._step(inner, region, left, gradients)
            gradients = self.part.either(writer, there, types, pulled, (writer.within(), gradients))

        def step(inner: Writer, number: Name, gradients: Sequence[Name]) -> Any:
            place = inner.node("Sub", inner.node("Sub", left, self.one), number)
            return "", self._step(inner, pullback, place, gradients)

        going = writer.constant(np.array(True))
        return self.part.repeated(left, going, gradients, types, step)

    def _step(
        self, inner: Writer, region: Any, place: Name, gradients: Sequence[Name]
    ) -> list[Name]:
        """Write the gradients of the step of a number."""
        rows = [
            inner.reshape(inner.node("Gather", stack, place, axis=0), t.shape)
            for stack, t in zip(self.stacks, self.kept, strict=True)
        ]
        given = [*rows[: self.carries], *self.outer, *gradients, *rows[self.carries :]]
        return self.part.inlined(inner, region, given[: len(region.input_types)])


WRITERS[Rewind] = loop_gradient
