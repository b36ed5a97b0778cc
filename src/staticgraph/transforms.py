"""Derivatives of functions, declared: `oplibrary.transforms.derivatives` for nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from oplibrary.core.dispatch import TRANSFORMS
from oplibrary.messages.source import Source
from oplibrary.ops.comparison import equal
from oplibrary.ops.elementwise import cast
from oplibrary.tangents.families import is_linear
from oplibrary.transforms.custom_call import CustomCall
from oplibrary.transforms.derivatives import Transforms
from oplibrary.transforms.lifting import LiftedTransforms
from oplibrary.values.types import TensorType
from staticgraph.control import map
from staticgraph.declare.autodiff import ancestors, gradients, path_between
from staticgraph.declare.build import declare, full, require_graph, stop_gradient, to_node
from staticgraph.declare.custom_calls import attach, customs_of, isolated
from staticgraph.declare.forward import push_tangents
from staticgraph.graph.graph import current_graph
from staticgraph.graph.graph_ops import ARGUMENT
from staticgraph.graph.node import Node
from staticgraph.program.polynomial import is_symbolic

_USER = "the gradient of a function"
_MOST_WITHOUT_A_LOOP = 16
"""Rows of a Jacobian; with more the graph would be long, and a loop costs little beside them."""


class NodeTransforms(Transforms):
    """Derivatives as further nodes of the same graph, which can be differentiated again."""

    kind = Node

    def tracked(self, x: Any) -> bool:
        """Tell that whatever is declared can be differentiated."""
        return True

    @contextmanager
    def recording(self, leaves: Sequence[Any]) -> Iterator[None]:
        """Open the graph that is being declared, or that of a node among the arguments."""
        nodes = [x for x in leaves if isinstance(x, Node)]
        graph = current_graph() or (nodes[0].graph if nodes else require_graph(_USER))
        outer = graph.differentiated_from
        graph.differentiated_from = min(outer, graph.next_sequence)
        try:
            with graph:
                yield
        finally:
            graph.differentiated_from = outer

    def opened(self, leaves: Sequence[Any]) -> AbstractContextManager[Any]:
        """Open the graph that is being declared, or that of a node among the arguments."""
        nodes = [x for x in leaves if isinstance(x, Node)]
        return current_graph() or (nodes[0].graph if nodes else require_graph("vmap"))

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

    def push(
        self,
        outputs: Sequence[Any],
        inputs: Sequence[Any],
        tangents: Sequence[Any],
        create_graph: bool,
        transpose: Callable[..., list[Any]],
    ) -> Sequence[Any]:
        """Declare the tangents, in the order in which the values were declared."""
        return push_tangents(outputs, inputs, tangents, transpose)

    def reverse_only(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> bool:
        """Tell whether something between the inputs and the outputs cannot push tangents."""
        return any(
            custom.push is None
            for node in _between(outputs, inputs)
            for custom in customs_of(node.op, node.attrs)
        )

    def not_linear(self, outputs: Sequence[Any], inputs: Sequence[Any]) -> str | None:
        """Return the name of an operation between the two that is not linear."""
        path, given = _between(outputs, inputs), set(inputs)
        for node in path - given:
            moving = [i for i, operand in enumerate(node.operands) if operand in path]
            if not is_linear(node.op, moving, len(node.operands)):
                return node.op.name
        return None

    def isolated(self, x: Node) -> Node:
        """Declare the same value, as an argument of its own."""
        return isolated(x)

    def moment(self) -> float:
        """Return the place of the next node in the order of declaration."""
        return require_graph(_USER).next_sequence

    def attached(
        self,
        results: Sequence[Any],
        inputs: Sequence[Any],
        kept: Sequence[Any],
        custom: CustomCall,
        moment: float,
    ) -> Sequence[Any]:
        """Declare the results of a function that has its own derivative."""
        return attach(results, inputs, kept, custom, moment)

    def symbolic(self, x: Node) -> bool:
        """Tell whether each run chooses how many elements `x` has."""
        return is_symbolic(x.type.shape)

    def rows(self, value: Node, inputs: Sequence[Node], create_graph: bool) -> Sequence[Node]:
        """Declare a gradient for every element, or a loop over the elements if they are many."""
        if value.type.size <= _MOST_WITHOUT_A_LOOP:
            return super().rows(value, inputs, create_graph)
        cotangent = declare(ARGUMENT, (self.full(value.type, 0),), {})
        grads = self.gradients([value], inputs, [cotangent], "zero", create_graph)
        places = np.arange(value.type.size)

        def row(place: Node) -> tuple[Node, ...]:
            chosen = cast(equal(places, place), dtype=value.type.dtype).reshape(value.type.shape)
            return _again(grads, cotangent, chosen)

        return map(row, places)  # type: ignore[no-any-return]


def _between(outputs: Sequence[Node], inputs: Sequence[Node]) -> set[Node]:
    graph = require_graph(_USER)
    return path_between([graph.adopt(y) for y in outputs], [graph.adopt(x) for x in inputs])


def _again(nodes: Sequence[Node], changed: Node, value: Node) -> tuple[Node, ...]:
    """Declare in the open graph what `nodes` compute from `changed`, with `value` in its place.

    What does not depend on it is computed once, outside of the loop that this is the body of.
    """
    graph = require_graph(_USER)
    new = {changed: value}
    outer = graph.line
    try:
        for node in sorted(ancestors(nodes), key=lambda node: node.sequence):
            if any(operand in new for operand in node.operands):
                graph.line = node.source
                operands = [new[x] if x in new else graph.adopt(x) for x in node.operands]
                new[node] = graph.add_op(node.op, tuple(operands), node.attrs, type=node.type)
    finally:
        graph.line = outer
    return tuple([new[node] if node in new else graph.adopt(node) for node in nodes])


_transforms = TRANSFORMS[Node] = LiftedTransforms(NodeTransforms())
value_and_grad, grad = _transforms.value_and_grad, _transforms.grad
vjp, jvp, linearize = _transforms.vjp, _transforms.jvp, _transforms.linearize
jacobian, hessian = _transforms.jacobian, _transforms.hessian
vmap = _transforms.vmap
