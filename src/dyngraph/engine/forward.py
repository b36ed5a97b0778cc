"""Forward mode: walk the tape from the inputs to the results, and push tangents on.

An operation has a larger sequence number than everything it read, so the order of these numbers
visits every node after all that it read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dyngraph.engine.backward import check_versions, path_between, recompute, saved_tensors
from dyngraph.tape import grad_mode, versions
from dyngraph.tape.nodes import GradFn
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.tangents.families import Push, tangent_rule_of
from oplibrary.values.types import TensorType, type_of

Transpose = Callable[..., list[Any]]


def push_tangents(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    tangents: Sequence[Any],
    create_graph: bool,
    transpose: Transpose,
) -> list[Any]:
    """Return the tangent of each output, None for one that no input leads to.

    Parameters
    ----------
    outputs, inputs : sequence of Tensor
    tangents : sequence of Tensor, or of rows of them
        Of each input.
    create_graph : bool
        Make the tangents differentiable themselves.
    transpose : callable
        Pushes through what has gradient rules only.
    """
    given = dict(zip([x._node for x in inputs], tangents, strict=True))
    roots = [y._node for y in outputs if y._node is not None]
    found: dict[Any, Any] = dict(given)
    with grad_mode.enable_grad() if create_graph else grad_mode.no_grad():
        path = path_between(roots, [node for node in given if node is not None])
        for node in sorted(path, key=lambda node: node.sequence):
            if isinstance(node, GradFn) and node not in given:
                found[node] = _push(
                    node, [found.get(edge) for edge in node.edges], create_graph, transpose
                )
    return [None if y._node is None else found.get(y._node) for y in outputs]


def _full(type: TensorType, value: float) -> Tensor:
    """Return a tensor of one number: beside an array of bfloat16 NumPy takes Python's for wide."""
    return tensor_of(np.full(type.shape, value, type.dtype))


def push(
    node: GradFn,
    tangents: Sequence[Any],
    out: Any,
    operands: tuple[Any, ...],
    transpose: Callable[..., list[Any]],
) -> Any:
    """Return the tangent of the result of `node`, None where it does not move.

    Parameters
    ----------
    node : GradFn
    tangents : sequence of array or None
        Of each operand.
    out, operands
        As of `GradFn.pull`.
    transpose : callable
        ``transpose(types, tangents)``, with the types of the results, pushes by `GradFn.pull`.
    """
    op = node.op
    moved = tuple([t if op.operand_rule(i) is not None else None for i, t in enumerate(tangents)])
    moving = [t for t in moved if t is not None]
    if not moving:
        return None
    # without types, operands are of one type, or numbers beside it
    types = node.types or (type_of(moving[0]),) * len(moved)
    result = op.infer(*types, **node.attrs)
    rule = tangent_rule_of(op)
    if rule is None:
        return transpose([result], moved)[0]
    call = Push(op, moved, out, operands, types, result, node.attrs, _full, transpose)
    tangent = rule(call)
    return None if tangent is None else call.fitted(tangent)


GradFn.push = push


def _push(node: GradFn, tangents: Sequence[Any], create_graph: bool, transpose: Transpose) -> Any:
    if node.operands is None:
        recompute(node)
    if versions.latest[0] > node.sequence:
        check_versions(node)

    def transposed(types: Sequence[TensorType], moved: Sequence[Any]) -> list[Any]:
        def pull(cotangents: list[Any]) -> Sequence[Any]:
            return node.pull(node.joined(cotangents), *saved_tensors(node))

        return transpose(pull, types, moved, create_graph)

    return node.push(tangents, *saved_tensors(node), transposed)
