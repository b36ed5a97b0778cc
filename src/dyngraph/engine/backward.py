"""The backward pass: walk the tape from the results to the leaves, latest operation first.

An operation has a larger sequence number than everything it read, so popping the largest number off
a heap visits every node after all that used its result, in one pass and without recursion.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from sys import getrefcount
from typing import Any

import numpy as np
from numpy import ndarray

from dyngraph.engine import failures
from dyngraph.engine.hooks import run_accumulated, run_before
from dyngraph.tape import grad_mode, versions
from dyngraph.tape.nodes import AccumulateGrad, Dropped, Freed, GradFn, TapeNode, extra_of
from dyngraph.tensors.arguments import listed_tensors
from dyngraph.tensors.conversion import numeric
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.executors.autodiff import complex_value, conjugated, fit, require_policy
from oplibrary.executors.kernels import choice, fused_gradient, meets_large
from oplibrary.messages.errors import (
    ArgumentError,
    FreedGraphError,
    NonScalarError,
    ShapeError,
    UnusedInputError,
    warn,
)
from oplibrary.messages.source import source_of, user_place
from oplibrary.values.dtypes import bfloat16_met, is_bfloat16
from oplibrary.values.types import Array, TensorType

_LARGE = 1 << 14
"""Bytes from which on a sum of gradients is added up in place: smaller ones gain nothing."""


def backward(
    tensors: Sequence[Tensor],
    grad_tensors: Sequence[Any] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to ``.grad`` of every leaf; see `Tensor.backward`."""
    if type(tensors) is not tuple:
        tensors = listed_tensors(tensors, "result")
    roots = _roots(tensors, grad_tensors, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        _run(roots, retain, create_graph, None, None)
        return
    wanted = listed_tensors(inputs, "input")
    if not wanted:
        raise ArgumentError(
            "inputs= names no tensor",
            cause="backward() would compute nothing",
            fix="name the tensors to accumulate into, or leave inputs= out for every leaf",
        )
    nodes = [_wanted_node(t, i) for i, t in enumerate(wanted)]
    found = _run(
        roots, retain, create_graph, nodes, path_between([node for node, _ in roots], nodes)
    )
    for node in dict.fromkeys(nodes):
        if node in found and (node.is_leaf or node.extra is None or not node.extra.retained):
            _accumulate(node, found[node])  # what is retained was added on the way
            if isinstance(node, AccumulateGrad) and node.extra is not None:
                run_accumulated(node, found[node])


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    unused: str = "raise",
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return the gradients of `outputs` with respect to `inputs`, leaving ``.grad`` alone.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
    inputs : Tensor or sequence of Tensor
        Leaves or intermediate results.
    grad_outputs : sequence of Tensor or array, optional
        A cotangent for each output; not needed for those of one element.
    retain_graph : bool, optional
        Keep the saved values; defaults to `create_graph`.
    create_graph : bool
        Make the gradients differentiable themselves.
    unused : {"raise", "warn", "zero", "none"}
        What to give for an input that no output depends on: an error that shows where the path
        may break, zeros with a warning or without one, or None.
    allow_unused : bool
        PyTorch's spelling of ``unused="none"``.

    Returns
    -------
    tuple of Tensor or None

    Raises
    ------
    UnusedInputError, NoGraphError, NonScalarError, FreedGraphError, InPlaceError

    Examples
    --------
    >>> import dyngraph as dg
    >>> x = dg.tensor(3.0, requires_grad=True)
    >>> (dx,) = dg.grad(x * x, x, create_graph=True)
    >>> dg.grad(dx, x)
    (tensor(2.),)
    """
    policy = "none" if allow_unused else unused
    require_policy(policy)
    outputs = listed_tensors(outputs, "result")
    inputs = listed_tensors(inputs, "input")
    if grad_outputs is not None and not isinstance(grad_outputs, (tuple, list)):
        grad_outputs = (grad_outputs,)
    roots = _roots(outputs, grad_outputs, create_graph)
    nodes = [_wanted_node(t, i) for i, t in enumerate(inputs)]
    retain = create_graph if retain_graph is None else retain_graph
    found = _run(
        roots, retain, create_graph, nodes, path_between([node for node, _ in roots], nodes)
    )
    grads: list[Tensor | None] = []
    for position, (node, x) in enumerate(zip(nodes, inputs, strict=True)):
        if node in found:
            grads.append(_tensor(found[node]))
        elif policy == "none":
            grads.append(None)
        else:
            if policy != "zero":
                error = failures.unused_input(x, position, [root for root, _ in roots])
                if policy == "raise":
                    raise error
                warn(failures.warning_of(error))
            grads.append(tensor_of(np.zeros(x.shape, x.dtype)))
    return tuple(grads)


def _wanted_node(x: Tensor, position: int) -> TapeNode:
    if x._node is None:
        raise UnusedInputError(
            f"input {position}, a tensor {TensorType(x.shape, x.dtype)}, "
            "does not require a gradient",
            cause="operations on it were not recorded",
            fix="create it with requires_grad=True, before the computation",
        )
    return x._node


def _roots(
    tensors: Iterable[Any], cotangents: Sequence[Any] | None, create_graph: bool
) -> list[tuple[TapeNode, Any]]:
    """Return each result's node with its cotangent."""
    tensors = tuple(tensors)
    given = (None,) * len(tensors) if cotangents is None else tuple(cotangents)
    if len(given) != len(tensors):
        raise ArgumentError(
            f"{len(given)} cotangents for {len(tensors)} results",
            cause="each result has its own",
            fix="pass one a result, None for those of one element",
        )
    roots: list[tuple[TapeNode, Any]] = []
    for x, cotangent in zip(tensors, given, strict=True):
        if type(x) is not Tensor:
            listed_tensors(tensors, "result")
        node = x._node
        if node is None:
            raise failures.no_graph(x)
        array = x._array
        g: Any
        if cotangent is None:
            if array.dtype.kind == "c":
                raise complex_value(f"a tensor {TensorType(array.shape, array.dtype)}")
            if array.size != 1:
                raise NonScalarError(f"the result has shape {array.shape}")
            g = np.ones(array.shape, array.dtype)
        else:
            tensor = isinstance(cotangent, Tensor)
            g = cotangent if tensor and create_graph else numeric(cotangent, array.dtype)
            if g.shape != array.shape:
                raise ShapeError(
                    f"the cotangent has shape {g.shape} and the result {array.shape}",
                    cause="a cotangent holds one number for each element of the result",
                    fix="pass gradient= of the result's shape",
                )
            with grad_mode.enable_grad() if create_graph else grad_mode.no_grad():
                g = conjugated(g)
        roots.append((node, tensor_of(g) if create_graph and not isinstance(g, Tensor) else g))
    return roots


def path_between(roots: Iterable[TapeNode], wanted: Iterable[TapeNode]) -> set[TapeNode]:
    """Return the nodes that a root leads to, and from which a wanted node can be reached."""
    wanted = set(wanted)
    order: list[TapeNode] = []
    seen: set[TapeNode] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        order.append(node)
        if isinstance(node, GradFn):
            stack += [edge for edge in node.edges if edge is not None]
    path: set[TapeNode] = set()
    # operands have smaller sequence numbers than results
    for node in sorted(order, key=lambda node: node.sequence):
        if node in wanted or (
            isinstance(node, GradFn) and any(edge in path for edge in node.edges)
        ):
            path.add(node)
    return path


def _run(
    roots: list[tuple[TapeNode, Any]],
    retain: bool,
    create_graph: bool,
    wanted: Sequence[TapeNode] | None,
    path: set[TapeNode] | None,
) -> dict[TapeNode, Any]:
    """Pull gradients back through the tape.

    Without `wanted`, gradients are added to the leaves; with it, those of the wanted nodes are
    returned and only nodes on the `path` to them are visited.
    """
    found: dict[TapeNode, Any] = {}
    targets = frozenset(wanted or ())
    freed = None if retain else Freed(user_place())
    anomaly = grad_mode.is_anomaly_enabled()
    latest_change = versions.latest
    brain = bfloat16_met[0]
    machine = choice.maker is not None
    pending: dict[TapeNode, Any] = {}  # what has arrived at each node so far
    heap: list[tuple[int, TapeNode]] = []  # the operations in it, latest first
    node: Any
    for node, g in roots:
        if node in pending:
            pending[node] = pending[node] + g
        else:
            pending[node] = g
            if not node.is_leaf:
                heappush(heap, (-node.sequence, node))
    with grad_mode.enable_grad() if create_graph else grad_mode.no_grad():
        carried: Any = None  # one operation that belongs into the heap, often the next to come out
        while heap or carried is not None:
            if carried is None:
                node = heappop(heap)[1]
            elif heap:
                node = heappushpop(heap, (-carried.sequence, carried))[1]
            else:
                node = carried
            carried = None
            g = pending.pop(node)
            if node.extra is not None:
                g = _run_extra(node, g)
            if targets and node in targets:
                found[node] = conjugated(g)
            operands = node.operands
            if operands is None:
                recompute(node)
                operands = node.operands
            if latest_change[0] > node.sequence:
                check_versions(node)
            if create_graph:
                grads = node.pull(g, *saved_tensors(node))
            elif brain and _meets_bfloat16(node, g):
                grads = _pull_as_tensors(node, g)
            elif machine and meets_large((g, node.out, *operands)):
                grads = _pull_by_functions(node, g)
            else:
                grads = node.pull(g, node.out, operands)
            if anomaly:
                _check_finite(node, g, grads)
            for edge, grad in zip(node.edges, grads):
                if grad is None or (path is not None and edge not in path):
                    continue
                if edge in pending:
                    before = pending[edge]
                    if (
                        type(before) is ndarray
                        and before.nbytes >= _LARGE
                        and getrefcount(before) == 3  # `pending`, here, and in getrefcount
                        and _may_be_added_to(before, grad)
                    ):
                        before += grad
                    else:
                        pending[edge] = before + grad
                    before = None
                else:
                    pending[edge] = grad
                    if not edge.is_leaf:
                        if carried is not None:
                            heappush(heap, (-carried.sequence, carried))
                        carried = edge
            grads = grad = None  # so that a leaf may keep the array itself, see _accumulate
            if freed is not None and node.saves:
                node.free(freed)
        for node in list(pending):  # only leaves are left
            g = pending.pop(node)
            if node.extra is not None:
                g = run_before(node, _run_extra(node, g))
            if g.dtype.kind == "c":
                g = conjugated(g)
            if node in targets:
                found[node] = g
            if wanted is None:
                _accumulate(node, g)
                if node.extra is not None:
                    run_accumulated(node, g)
    return found


def _may_be_added_to(sum_: Array, g: Any) -> bool:
    """Tell whether `g` can be added to `sum_`, an array that nobody else sees, in its place."""
    return (
        sum_.base is None and type(g) is ndarray and g.dtype == sum_.dtype and g.shape == sum_.shape
    )


def saved_tensors(node: GradFn) -> tuple[Any, tuple[Any, ...]]:
    """Return what `node` saved as Tensors that lead on into the graph."""
    assert node.operands is not None
    out = node.out
    if isinstance(out, np.ndarray):
        out = tensor_of(out, node)
    operands: list[Any] = []
    for position, operand in enumerate(node.operands):
        if isinstance(operand, np.ndarray):
            operands.append(tensor_of(operand, node.edges[position]))
        else:
            operands.append(operand)
    return out, tuple(operands)


def _meets_bfloat16(node: GradFn, g: Any) -> bool:
    """Tell whether a rule of `node` would compute with arrays of bfloat16.

    Beside them NumPy takes Python's numbers for wide ones, unlike both executors.
    """
    met = (g, node.out, *(node.operands or ()))
    return any(is_bfloat16(x.dtype) for x in met if hasattr(x, "dtype"))


def _pull_as_tensors(node: GradFn, g: Any) -> list[Any]:
    """Return what `node.pull` does, by the rules of this executor for dtypes."""
    parts = [None if part is None else _tensor(part) for part in node.parts(g)]
    grads = node.pull(node.joined(parts), *saved_tensors(node))
    return [x._array if isinstance(x, Tensor) else x for x in grads]


def _pull_by_functions(node: GradFn, g: Any) -> Sequence[Any]:
    """Return what `node.pull` does, by a function for each rule, or each op of a rule."""
    op, types = node.op, node.types
    operands = node.operands
    assert operands is not None
    grads: list[Any] = []
    for position, edge in enumerate(node.edges):
        grad = None
        if edge is not None and op.operand_rule(position) is not None:
            grad = fused_gradient(op, position, g, node.out, operands, node.attrs)
            if grad is None:
                return _pull_as_tensors(node, g)
            if types is not None:
                grad = fit(grad, types[position])
        grads.append(grad)
    return grads


def _tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else tensor_of(np.asarray(g))


_accumulating = threading.RLock()
"""Held while a gradient is read and its sum is put in its place: passes of several threads may end
in one leaf, and a contribution that came in between would be lost. It is one for all, as threads
that add at once are rare, and can be taken again by what the sum itself may run (a finalizer)."""


def _accumulate(node: TapeNode, g: Any) -> None:
    """Add `g` to the gradient that `node` keeps; the array kept is never shared."""
    holder = node if isinstance(node, AccumulateGrad) else extra_of(node)
    with _accumulating:
        before = holder.grad
        if before is None:
            if not isinstance(g, Tensor):
                # 3: here, in _run and in getrefcount; anything above is someone else's
                shared = getrefcount(g) > 3 or type(g) is not np.ndarray or g.base is not None
                g = tensor_of(np.array(g, order="C") if shared else g)
            holder.grad = g
        elif isinstance(g, Tensor):
            holder.grad = before + g
        else:
            holder.grad = tensor_of(before._array + g)


def _run_extra(node: TapeNode, g: Any) -> Any:
    """Run the hooks of `node` and keep its gradient if asked to."""
    extra = node.extra
    assert extra is not None
    if not extra.hooks and not extra.retained:
        return g
    g = conjugated(g)
    for hook in tuple(extra.hooks):
        given = _tensor(g)
        result = hook(given)
        if result is not None:
            if not isinstance(result, Tensor) or result.shape != given.shape:
                raise ArgumentError(
                    f"a hook returned {type(result).__name__} of shape "
                    f"{getattr(result, 'shape', None)} for a gradient of shape {given.shape}",
                    cause="a hook returns None, or a tensor like the one it got",
                    fix="return a tensor of the gradient's shape",
                )
            g = result if isinstance(g, Tensor) else result._array
    if extra.retained:
        _accumulate(node, g)
    return conjugated(g)


def recompute(node: GradFn) -> None:
    """Fetch again what a checkpoint dropped.

    Raises
    ------
    FreedGraphError
        If it was not dropped by a checkpoint but freed by an earlier backward pass.
    """
    if isinstance(node.out, Dropped):
        node.out.restore()
        return
    where = source_of(node.out.place) if isinstance(node.out, Freed) else None
    raise FreedGraphError(f"second backward through {node.describe()}", related=(("freed", where),))


def check_versions(node: GradFn) -> None:
    """Refuse to read what was overwritten after `node` saved it.

    Raises
    ------
    InPlaceError
    """
    for array in node.saved():
        change = versions.change_after(array, node.sequence)
        if change is not None:
            raise failures.overwritten(node, array, change)


def _check_finite(node: GradFn, g: Any, grads: Sequence[Any]) -> None:
    """Raise if `node` gave a gradient that holds NaN."""
    for position, grad in enumerate(grads):
        array = grad._array if isinstance(grad, Tensor) else grad
        if isinstance(array, np.ndarray) and np.isnan(array).any():
            raise failures.not_a_number(node, g, position, array)
