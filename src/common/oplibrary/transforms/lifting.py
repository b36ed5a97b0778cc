"""Derivatives inside of vectorised functions: what an executor says of arrays, said of their rows.

The examples do not depend on each other, so the gradient of all their values, summed, by all rows
of an input holds the gradient of each example in its row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from oplibrary.core.registry import REGISTRY
from oplibrary.messages.source import Source
from oplibrary.ops.joining import stack
from oplibrary.transforms.batched import Batched, Level, open_levels
from oplibrary.transforms.derivatives import Transforms
from oplibrary.values.types import TensorType, type_of


class LiftedTransforms(Transforms):
    """The derivatives of functions for an executor's arrays, and for rows of them.

    Attributes
    ----------
    plain : Transforms
        Those for its arrays alone.
    """

    def __init__(self, plain: Transforms) -> None:
        self.plain = self._plain = plain
        self.kind = (plain.kind, Batched)  # type: ignore[assignment]

    def tracked(self, x: Any) -> bool:
        """Tell whether derivatives with respect to `x` may be asked of what is computed now."""
        return self._plain.tracked(_innermost(x))

    def recording(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return a block in which operations can be differentiated."""
        return self._plain.recording(list(map(_innermost, leaves)))

    def opened(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return a block in which operations on `leaves` can run."""
        return self._plain.opened(list(map(_innermost, leaves)))

    def array(self, x: Any) -> Any:
        """Return data as an array of the executor, or as the rows that it is."""
        return x if type(x) is Batched else self._plain.array(x)

    def input(self, x: Any, tracked: bool) -> Any:
        """Return an array as one of its own, with a row for each example of each open call."""
        return self._fresh(x, tracked, open_levels())

    def _fresh(self, x: Any, tracked: bool, levels: Sequence[Level]) -> Any:
        if not levels:
            return self._plain.input(x, tracked)
        level = levels[-1]
        if type(x) is Batched and x._level is level:
            value = x._value
        else:
            value = REGISTRY["broadcast_to"](x, shape=(level.size, *type_of(x).shape))
        return Batched(self._fresh(value, tracked, levels[:-1]), level)

    def full(self, type: TensorType, value: float) -> Any:
        """Return an array in which every element is `value`."""
        return self._plain.full(type, value)

    def gradients(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        cotangents: Sequence[Any] | None,
        unused: str,
        create_graph: bool,
        retain_graph: bool = False,
    ) -> Sequence[Any]:
        """Return the gradient of the outputs by each input, of each example's by its own row."""
        level = inputs[0]._level if inputs and type(inputs[0]) is Batched else None
        given = [None] * len(outputs) if cotangents is None else list(cotangents)
        deeper = [
            x._level
            for x in given
            if type(x) is Batched and (level is None or x._level.depth > level.depth)
        ]
        if deeper:
            last = max(deeper, key=lambda each: each.depth)
            return self._each(last, outputs, inputs, given, unused, create_graph)
        if level is None:
            return self._plain.gradients(
                outputs, inputs, cotangents, unused, create_graph, retain_graph
            )
        pairs = [self._rows(y, g, level) for y, g in zip(outputs, given, strict=True)]
        found = self.gradients(
            [y for y, _ in pairs],
            [x._value for x in inputs],
            [g for _, g in pairs],
            unused,
            create_graph,
            retain_graph,
        )
        return [None if g is None else Batched(g, level) for g in found]

    def _rows(self, output: Any, cotangent: Any, level: Level) -> tuple[Any, Any]:
        """Return a value of all examples, and its cotangent."""
        if type(output) is not Batched or output._level is not level:
            # no input leads to it, as each has rows
            return output, self.full(type_of(output), 0)
        value = output._value
        if cotangent is None:
            return value, self.full(type_of(value), 1)
        if type(cotangent) is Batched and cotangent._level is level:
            return value, cotangent._value
        return value, self._with_rows(self.array(cotangent), level)

    def _each(
        self,
        level: Level,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        cotangents: Sequence[Any],
        unused: str,
        create_graph: bool,
    ) -> Sequence[Any]:
        """Pull back the cotangents of one example after the other, through what ran for all."""
        columns = []
        for i in range(level.size):
            row = [_row(g, i, level) for g in cotangents]
            columns.append(self.gradients(outputs, inputs, row, "zero", create_graph, True))
        return [Batched(stack(list(column)), level) for column in zip(*columns, strict=True)]

    def push(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        tangents: Sequence[Any],
        create_graph: bool,
        transpose: Callable[..., list[Any]],
    ) -> Sequence[Any]:
        """Return the tangent of each output, of each example's by the tangents of its own row."""
        level = inputs[0]._level if inputs and type(inputs[0]) is Batched else None
        if level is None:
            return self._plain.push(outputs, inputs, tangents, create_graph, transpose)
        deeper = [t._level for t in tangents if type(t) is Batched and t._level.depth > level.depth]
        if deeper:
            last = max(deeper, key=lambda each: each.depth)
            return self._push_each(last, outputs, inputs, tangents, create_graph, transpose)
        own = [y for y in outputs if type(y) is Batched and y._level is level]
        found = iter(
            self.push(
                [y._value for y in own],
                [x._value for x in inputs],
                [self._with_rows(t, level) for t in tangents],
                create_graph,
                transpose,
            )
        )
        results = [next(found) if any(y is each for each in own) else None for y in outputs]
        return [None if t is None else Batched(t, level) for t in results]

    def _with_rows(self, x: Any, level: Level) -> Any:
        """Return a value with a row for each example."""
        if type(x) is Batched and x._level is level:
            return x._value
        return REGISTRY["broadcast_to"](x, shape=(level.size, *type_of(x).shape))

    def _push_each(
        self,
        level: Level,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        tangents: Sequence[Any],
        create_graph: bool,
        transpose: Callable[..., list[Any]],
    ) -> Sequence[Any]:
        """Push the tangents of one example after the other, through what ran for all."""
        columns = []
        for i in range(level.size):
            row = [_row(t, i, level) for t in tangents]
            columns.append(self.push(outputs, inputs, row, create_graph, transpose))
        return [
            None if column[0] is None else Batched(stack(list(column)), level)
            for column in zip(*columns, strict=True)
        ]

    def detach(self, x: Any) -> Any:
        """Return a result without what leads back to the inputs, if it would keep that."""
        return (
            Batched(self.detach(x._value), x._level)
            if type(x) is Batched
            else (self._plain.detach(x))
        )

    def reverse_only(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> bool:
        """Tell whether something between the inputs and the outputs cannot push tangents."""
        return self._plain.reverse_only(
            list(map(_innermost, outputs)), list(map(_innermost, inputs))
        )

    def isolated(self, x: Any) -> Any:
        """Return the value of `x` as one of its own, for a function with its own derivative."""
        if type(x) is Batched:
            return Batched(self.isolated(x._value), x._level)
        return self._plain.isolated(x)

    def depends(self, gradient: Any) -> bool:
        """Tell whether `gradient` depends on its cotangent."""
        return self._plain.depends(_innermost(gradient))

    def symbolic(self, x: Any) -> bool:
        """Tell whether each run chooses how many elements `x` has."""
        return self._plain.symbolic(_innermost(x))

    def declared_at(self, x: Any) -> Source | None:
        """Return the user's line that made an array, where the executor knows it."""
        return self._plain.declared_at(_innermost(x))

    def rows(self, value: Any, inputs: Sequence[Any], create_graph: bool) -> Sequence[Any]:
        """Return the gradients of every element of `value`, stacked along axis 0, an input each."""
        if type(value) is Batched or (inputs and type(inputs[0]) is Batched):
            return super().rows(value, inputs, create_graph)
        return self._plain.rows(value, inputs, create_graph)


def _row(x: Any, index: int, level: Level) -> Any:
    """Return the row of one example, or what all share."""
    if type(x) is Batched and x._level is level:
        return REGISTRY["index_axis"](x._value, index=index, axis=0)
    return x


def _innermost(x: Any) -> Any:
    """Return the array of the executor that holds the rows."""
    while type(x) is Batched:
        x = x._value
    return x
