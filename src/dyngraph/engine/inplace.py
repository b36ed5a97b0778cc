"""What writing in place means for the graph.

The new values are computed out of place and recorded like any others, then written over the old
ones. Three things keep gradients right:

- the storage's version moves on, so a backward pass that still needs the old values says so
  (`dyngraph.tape.versions`);
- where the operation itself saved the array that is overwritten, it keeps a copy;
- a view and its base share the change: the base's graph continues from the view's, and every living
  view is derived afresh from the base.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from dyngraph.engine.apply import record
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tape.grad_mode import is_grad_enabled
from dyngraph.tape.nodes import AccumulateGrad, GradFn, TapeNode, extra_of
from dyngraph.tape.versions import changed, storage_of
from dyngraph.tensors.tensor import Tensor
from oplibrary.core.dispatch import LIFTED
from oplibrary.core.op import Kind, Op
from oplibrary.executors.in_place import (
    one_for_all_examples,
    read_only,
    require_fit,
    writes_to_leaf,
)
from oplibrary.messages.errors import InPlaceError
from oplibrary.ops.creation import zeros_like
from oplibrary.tangents.families import linear
from oplibrary.values.types import Array, TensorType, type_of_array


def _write_view(base: Array, values: Array, *, view: Op, view_attrs: Any) -> Array:
    result = np.array(base)  # of its own, and an array: a sum of two 0-d gradients is a scalar
    view.kernel(result, **dict(view_attrs))[...] = values
    return result


def _write_view_base(g: Any, _out: Any, _base: Any, values_type: TensorType, **how: Any) -> Any:
    zeros = np.zeros(values_type.shape, values_type.dtype)
    return write_view(g, zeros, **how)


def _write_view_values(
    g: Any, _out: Any, _base: Any, _values: Any, *, view: Op, view_attrs: Any
) -> Any:
    return view(g, **dict(view_attrs))


write_view = Op(
    name="_write_view",
    public=False,
    kind=Kind.OPAQUE,
    arity=2,
    kernel=_write_view,
    infer=lambda base, _values, **_: base,
    vjp=(_write_view_base, _write_view_values),
    jvp=linear,
    attrs={"view": ..., "view_attrs": ...},
    alias=("copy_slices",),
    operand_names=("base", "values"),
    doc="Return `base` with what the view op selects replaced by `values`.",
)
"""Kept out of the registry: only the tape runs it."""


overwrite = Op(
    name="_overwrite",
    public=False,
    kind=Kind.OPAQUE,
    arity=2,
    kernel=lambda base, values: np.array(np.broadcast_to(values, base.shape), base.dtype),
    infer=lambda base, _values: base,
    vjp=(
        lambda g, _out, _base, _values: zeros_like(g),
        lambda g, _out, _base, _values: g,
    ),
    jvp=linear,
    alias=("copy",),
    operand_names=("base", "values"),
    doc="Return `values` in the shape and dtype of `base`, which has a gradient of zeros.",
)
"""Likewise."""


def write(target: Tensor, result: Tensor, operation: str, replaces: bool = False) -> Tensor:
    """Overwrite `target` with `result`, values and graph, and return it.

    Parameters
    ----------
    target, result : Tensor
    operation : str
        What the user wrote, for messages and for the version.
    replaces : bool
        Whether the result was not computed from the target.

    Raises
    ------
    InPlaceError
        If a leaf that requires a gradient, or a view of one, would be changed while recording; or
        through a view that was made while nothing was recorded.
    ShapeError, DTypeError
        If the result does not fit into the target.
    """
    if type(result) in LIFTED:
        raise one_for_all_examples(operation)
    array = target._array
    if result.shape != array.shape or result.dtype != array.dtype:
        require_fit(operation, type_of_array(result._array), type_of_array(array))
    if not array.flags.writeable:
        raise read_only(operation)
    recording = is_grad_enabled()
    chain = _ancestors(target)
    tracked = result._node is not None or any(x._node is not None for x in chain)
    if recording and tracked:
        _check_family(chain, operation)
        if target._node is not None and len(chain) == 1 and (replaces or result._node is None):
            # what was there before keeps a gradient, of zeros
            result = overwrite(target, result)
    if isinstance(result._node, GradFn):
        _keep_copies(result._node, array)
    np.copyto(array, result._array, casting="same_kind")
    changed(array, operation)
    if recording and tracked:
        _rebase(chain, result)
    return target


def _check_family(chain: list[Tensor], operation: str) -> None:
    for x in chain:
        if isinstance(x._node, AccumulateGrad):
            raise writes_to_leaf(operation, x is not chain[0])
    for view, parent in itertools.pairwise(chain):
        if view._node is None and parent._node is not None:
            raise InPlaceError(
                f"{operation} on a view that was made inside no_grad()",
                cause="its base requires a gradient, and how the view follows from the base was "
                "not recorded",
                fix="make the view outside no_grad(), or make the change inside it",
            )


def _ancestors(target: Tensor) -> list[Tensor]:
    """Return the tensor, the one it is a view of, and so on to the one that is no view."""
    chain = [target]
    while (parent := getattr(chain[-1], "_parent", None)) is not None:
        chain.append(parent[0])
    return chain


def _keep_copies(node: GradFn, overwritten: Array) -> None:
    """Copy what `node` saved of the storage that is about to be overwritten."""
    owner = storage_of(overwritten)

    def safe(x: Any) -> Any:
        return x.copy() if isinstance(x, np.ndarray) and storage_of(x) is owner else x

    node.out = safe(node.out)
    if node.operands is not None:
        node.operands = tuple(map(safe, node.operands))


def _rebase(chain: list[Tensor], result: Tensor) -> None:
    """Let the graph of the whole family of views go on from `result`."""
    target = chain[0]
    fitted = result
    if fitted.dtype != target.dtype:  # the gradient is summed up in the target's dtype
        fitted = NAMESPACE["cast"](fitted, dtype=target.dtype)
    if fitted.shape != target.shape:
        fitted = NAMESPACE["broadcast_to"](fitted, shape=target.shape)
    node = fitted._node
    for view, parent in itertools.pairwise(chain):
        _, op, attrs = view._parent
        how = {"view": op, "view_attrs": tuple(attrs.items())}
        arrays = [parent._array, view._array]
        node = record(write_view, arrays, [parent._node, node], how, parent._array)
    continue_from(chain[-1], node)


def continue_from(base: Tensor, node: TapeNode | None) -> None:
    """Let `base`, which is no view, and its views go on from `node`."""
    _set_node(base, node)
    _derive_views(base)


def _set_node(x: Tensor, node: TapeNode | None) -> None:
    """Let `x` go on from `node`; a gradient that it retains is from now on that of `node`."""
    before = x._node
    if isinstance(before, GradFn) and before.extra is not None and before.extra.retained:
        if node is not None:
            after = extra_of(node)
            after.retained, after.grad = True, before.extra.grad
        before.extra.retained, before.extra.grad = False, None
    x._node = node


def _derive_views(base: Tensor) -> None:
    """Record afresh how every living view follows from `base`, views of views included."""
    bases = [base]
    while bases:
        base = bases.pop()
        views = [reference() for reference in getattr(base, "_views", ())]
        for view in views:
            if view is not None:
                _, op, attrs = view._parent
                _set_node(view, record(op, [base._array], [base._node], attrs, view._array))
        bases += [view for view in reversed(views) if view is not None]
