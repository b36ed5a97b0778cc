"""Derivatives of functions: `oplibrary.transforms.derivatives` for tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from dyngraph.engine import backward as engine
from dyngraph.engine.failures import warning_of
from dyngraph.engine.forward import push_tangents
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.functions.custom_call import CustomGradFn, attach
from dyngraph.tape import versions
from dyngraph.tape.grad_mode import enable_grad, is_grad_enabled
from dyngraph.tape.nodes import GradFn, TapeNode
from dyngraph.tensors.conversion import as_tensor
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.dispatch import TRANSFORMS
from oplibrary.messages.errors import (
    ArgumentError,
    NotDifferentiableError,
    UnusedInputError,
    warn,
)
from oplibrary.tangents.families import is_linear
from oplibrary.transforms.custom_call import CustomCall
from oplibrary.transforms.derivatives import Transforms
from oplibrary.transforms.lifting import LiftedTransforms
from oplibrary.values.types import TensorType


class TensorTransforms(Transforms):
    """Derivatives that run at once: the function, then the backward pass."""

    kind = Tensor

    def tracked(self, x: Any) -> bool:
        """Tell whether an outer graph goes on from `x`, and is being recorded."""
        return isinstance(x, Tensor) and x._node is not None and is_grad_enabled()

    def recording(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return a block in which operations are recorded, whatever holds outside."""
        return enable_grad()

    def array(self, x: Any) -> Tensor:
        """Return data as a tensor."""
        return as_tensor(x)

    def input(self, x: Tensor, tracked: bool) -> Tensor:
        """Return the tensor to differentiate with respect to: on the outer graph, or a leaf."""
        return NAMESPACE["clone"](x) if tracked else x.detach().requires_grad_()

    def full(self, type: TensorType, value: float) -> Tensor:
        """Return a tensor in which every element is `value`."""
        return tensor_of(np.full(type.shape, value, type.dtype))

    def gradients(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        cotangents: Sequence[Any] | None,
        unused: str,
        create_graph: bool,
        retain_graph: bool = False,
    ) -> Sequence[Any]:
        """Go back from those of the outputs that were recorded."""
        given = [None] * len(outputs) if cotangents is None else cotangents
        roots = [pair for pair in zip(outputs, given, strict=True) if pair[0]._node is not None]
        if not roots:
            return self._without_path(inputs, unused)
        return engine.grad(
            [output for output, _ in roots],
            tuple(inputs),
            [cotangent for _, cotangent in roots],
            retain_graph=retain_graph or None,
            create_graph=create_graph and is_grad_enabled(),
            unused=unused,
        )

    def push(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        tangents: Sequence[Any],
        create_graph: bool,
        transpose: Callable[..., list[Any]],
    ) -> Sequence[Any]:
        """Walk the tape of the outputs forward."""
        return push_tangents(outputs, inputs, tangents, create_graph, transpose)

    def _without_path(self, inputs: Sequence[Tensor], unused: str) -> list[Tensor | None]:
        if unused == "none":
            return [None] * len(inputs)
        if unused != "zero":
            error = UnusedInputError("the value depends on none of the arguments")
            if unused == "raise":
                raise error
            warn(warning_of(error))
        return [self.full(TensorType(x.shape, x.dtype), 0) for x in inputs]

    def reverse_only(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> bool:
        """Tell whether something between the inputs and the outputs cannot push tangents."""
        return any(
            isinstance(node, CustomGradFn) and node.custom.push is None
            for node in _between(outputs, inputs)
        )

    def not_linear(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> str | None:
        """Return the name of an operation between the two that is not linear."""
        path = _between(outputs, inputs)
        for node in path:
            op = getattr(node, "op", None)
            if isinstance(node, GradFn) and op is not None:
                moving = [i for i, edge in enumerate(node.edges) if edge in path]
                if not is_linear(op, moving, len(node.edges)):
                    return node.describe()
        return None

    def isolated(self, x: Tensor) -> Tensor:
        """Return the same elements, off the tape."""
        return x.detach()

    def moment(self) -> int:
        """Return the number of the latest in-place change."""
        return versions.latest[0]

    def attached(
        self,
        results: Sequence[Any],
        inputs: Sequence[Any],
        kept: Sequence[Any],
        custom: CustomCall,
        moment: int,
    ) -> Sequence[Any]:
        """Return the results with the node of a function that has its own derivative."""
        return attach(results, inputs, kept, custom, moment)

    def detach(self, x: Tensor) -> Tensor:
        """Return a tensor of the same elements that keeps no graph alive."""
        return x.detach()

    def depends(self, gradient: Tensor | None) -> bool:
        """Tell whether a gradient was recorded.

        Raises
        ------
        NotDifferentiableError
            If it was not, although it is not zero.
        """
        if gradient is None or gradient._node is not None:
            return gradient is not None
        if gradient._array.any():
            raise NotDifferentiableError(
                "jvp: a gradient on the way has no graph of its own",
                cause="jvp differentiates the gradient, and a custom backward detached it",
                fix="write the backward with dyngraph's operations, without detach()",
            )
        return False


def _between(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> set[TapeNode]:
    return engine.path_between(
        [y._node for y in outputs if y._node is not None],
        [x._node for x in inputs if x._node is not None],
    )


_transforms = TRANSFORMS[Tensor] = LiftedTransforms(TensorTransforms())
value_and_grad, vjp = _transforms.value_and_grad, _transforms.vjp
jvp, linearize = _transforms.jvp, _transforms.linearize
jacobian, hessian = _transforms.jacobian, _transforms.hessian
vmap = _transforms.vmap


def grad(*args: Any, **kwargs: Any) -> Any:
    """Return gradients of results, or the gradient function of a function.

    ``grad(outputs, inputs, ...)`` is PyTorch's: see `dyngraph.engine.backward.grad`.
    ``grad(function, argnums=0, ...)`` returns a function that gives the gradients: see
    `value_and_grad`, whose arguments it takes.
    """
    if args and isinstance(args[0], (Tensor, tuple, list)):
        return engine.grad(*args, **kwargs)
    if args and callable(args[0]):
        return _transforms.grad(*args, **kwargs)
    raise ArgumentError(
        f"grad of {type(args[0]).__name__ if args else 'nothing'}",
        cause="grad takes results and inputs, or a function",
        fix="write grad(y, [x]) or grad(f)(x)",
    )
