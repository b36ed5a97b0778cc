"""Derivatives of functions, declared: `oplibrary.executors.transforms` for nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from oplibrary.core.types import Array, TensorType
from oplibrary.executors.transforms import Transforms
from oplibrary.messages.errors import ArgumentError
from oplibrary.messages.source import Source
from staticgraph.declare.autodiff import gradients
from staticgraph.declare.build import declare, full, require_graph, stop_gradient, to_node
from staticgraph.graph.graph import current_graph
from staticgraph.graph.graph_ops import ARGUMENT
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import is_symbolic

_USER = "the gradient of a function"


class NodeTransforms(Transforms):
    """Derivatives as further nodes of the same graph, which can be differentiated again."""

    kind = Node

    def tracked(self, x: Any) -> bool:
        """Tell that whatever is declared can be differentiated."""
        return True

    def recording(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Return the graph that is being declared, or that of a node among the arguments."""
        nodes = [x for x in leaves if isinstance(x, Node)]
        return current_graph() or (nodes[0].graph if nodes else require_graph(_USER))

    def array(self, x: Any) -> Node:
        """Return data as a node: itself, or a constant."""
        return to_node(require_graph(_USER), x)

    def input(self, x: Node, tracked: bool) -> Node:
        """Declare a node of the same value, to differentiate with respect to."""
        return declare(ARGUMENT, (x,), {})

    def full(self, type: TensorType, value: float) -> Node:
        """Declare an array in which every element is `value`."""
        return full(require_graph(_USER), type, value)

    def gradients(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        cotangents: Sequence[Any] | None,
        unused: str,
        create_graph: bool,
        retain_graph: bool = False,
    ) -> Sequence[Any]:
        """Declare the gradients; see `staticgraph.gradients`."""
        return gradients(list(outputs), list(inputs), cotangents, unused)

    def detach(self, x: Node) -> Node:
        """Declare the same value, cut off from the inputs."""
        return stop_gradient(x)

    def declared_at(self, x: Node) -> Source | None:
        """Return the line that declared a node."""
        return x.source

    def basis(self, type: TensorType) -> Iterator[Array]:
        """Yield the arrays that are one at one element, for a type whose lengths are known.

        Raises
        ------
        ArgumentError
            If one of them is symbolic.
        """
        if is_symbolic(type.shape):
            raise ArgumentError(
                f"the function returned a value of type {type}, whose length each run chooses",
                cause="each element of the value is given a gradient of its own when the graph is "
                "declared",
                fix="declare it for one length, or pull back the cotangents in question with vjp",
            )
        return super().basis(type)


_transforms = NodeTransforms()
value_and_grad, grad = _transforms.value_and_grad, _transforms.grad
vjp, jvp = _transforms.vjp, _transforms.jvp
jacobian, hessian = _transforms.jacobian, _transforms.hessian
