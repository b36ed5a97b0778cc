"""What a function with a derivative of its own leaves on the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dyngraph.engine.apply import annotate
from dyngraph.engine.inplace import continue_from
from dyngraph.functions.custom_function import Gradients, OutputGradFn
from dyngraph.tape import versions
from dyngraph.tape.grad_mode import is_grad_enabled, special
from dyngraph.tape.nodes import GradFn, TapeNode, tick
from dyngraph.tape.versions import storage_of
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.executors.autodiff import conjugated
from oplibrary.messages.errors import InPlaceError
from oplibrary.ops.movement import clone
from oplibrary.transforms.custom_call import CustomCall
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import TensorType


class CustomGradFn(GradFn):
    """One call of a function with a derivative of its own.

    Attributes
    ----------
    custom : CustomCall
    inputs : int
        How many of the operands are arguments; the others are what the gradient needs besides.
    output_types : tuple of TensorType
    """

    __slots__ = ("custom", "inputs", "output_types")
    custom: CustomCall
    inputs: int
    output_types: tuple[TensorType, ...]

    def parts(self, g: Any) -> list[Any]:
        """Return the gradient of each result, None where none arrived."""
        return [g.parts.get(index) for index in range(len(self.output_types))]

    def joined(self, parts: list[Any]) -> Gradients:
        """Return the gradients of the results as one."""
        return Gradients({i: part for i, part in enumerate(parts) if part is not None})

    def describe(self) -> str:
        """Return the function's name."""
        return self.custom.name

    def name(self) -> str:
        """Return the function's name with ``Backward``."""
        return f"{self.custom.name}Backward"

    def pull(self, g: Any, out: Any, operands: tuple[Any, ...]) -> list[Any]:
        """Return what the function's own rule gives."""
        symbolic = is_grad_enabled()  # else nobody goes on from what is computed here
        tensors = [x if isinstance(x, Tensor) else tensor_of(x) for x in operands]
        cotangents: list[Any] = []
        for index, type in enumerate(self.output_types):
            part = g.parts.get(index)
            if type.dtype.kind not in FLOATING:
                cotangents.append(None)
                continue
            if part is None:
                part = np.zeros(type.shape, type.dtype)
            cotangents.append(conjugated(part if isinstance(part, Tensor) else tensor_of(part)))
        found = self.custom.pull(
            cotangents, tensors[: self.inputs], tensors[self.inputs :], not symbolic
        )
        grads: list[Any] = [None] * len(self.edges)
        for position, grad in enumerate(found):
            if grad is not None and self.edges[position] is not None:
                grad = conjugated(grad)
                grads[position] = grad if symbolic else grad._array
        for position in range(len(tensors), len(self.edges)):
            grads[position] = np.zeros(())  # which no one reads: its node refuses
        return grads

    def push(
        self,
        tangents: Sequence[Any],
        out: Any,
        operands: tuple[Any, ...],
        transpose: Callable[..., list[Any]],
    ) -> Any:
        """Return the tangent of each result by the function's own rule."""
        if self.custom.push is None:
            raise self.custom.refusal()
        return self.custom.push(tangents[: self.inputs], operands[: self.inputs])


class _OutsideGradFn(GradFn):
    """Leads to what a function with a derivative of its own read from outside, and refuses."""

    __slots__ = ("custom",)
    custom: CustomCall
    saves = False

    def describe(self) -> str:
        """Return the function's name."""
        return self.custom.name

    def pull(self, g: Any, out: Any, operands: tuple[Any, ...]) -> list[Any]:
        """Raise: there is no rule for that."""
        raise self.custom.from_outside()

    def push(
        self,
        tangents: Sequence[Any],
        out: Any,
        operands: tuple[Any, ...],
        transpose: Callable[..., list[Any]],
    ) -> Any:
        """Raise: there is no rule for that."""
        raise self.custom.from_outside()


def attach(
    results: Sequence[Tensor],
    inputs: Sequence[Tensor],
    kept: Sequence[Tensor],
    custom: CustomCall,
    moment: int,
) -> list[Tensor]:
    """Return new tensors of the results, recorded; see `Differentiation.attached`."""
    for x in inputs:
        if versions.latest[0] != moment and versions.change_after(x._array, moment) is not None:
            raise InPlaceError(
                f"{custom.name} changed one of its arguments in place",
                cause="the gradient of what else was computed from it would be wrong",
                fix="write to a copy of it, made with clone, or compute a new array",
            )
    owners = {id(storage_of(x._array)) for x in inputs}
    fresh = [
        tensor_of(clone.kernel(y._array) if id(storage_of(y._array)) in owners else y._array)
        for y in results
    ]
    outside = [_outside(y, custom) for y in results if y._node is not None]
    node = CustomGradFn()
    node.edges = (*[x._node for x in inputs], *[None] * len(kept), *outside)
    node.operands = tuple([x._array for x in (*inputs, *kept)])
    node.out = None
    node.extra = None
    node.custom = custom
    node.inputs = len(inputs)
    node.output_types = tuple([TensorType(y.shape, y.dtype) for y in fresh])
    node.sequence = tick()
    if special.count:
        annotate(node)
    for index, y in enumerate(fresh):
        if y.dtype.kind in FLOATING:
            continue_from(y, OutputGradFn.of(node, index))
    return fresh


def _outside(y: Tensor, custom: CustomCall) -> TapeNode:
    node = _OutsideGradFn()
    node.edges = (y._node,)
    node.operands = ()
    node.out = None
    node.extra = None
    node.custom = custom
    node.sequence = tick()
    return node
