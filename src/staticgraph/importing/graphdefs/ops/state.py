"""TensorFlow's ops on variables: here functions of the old value that return the next one."""

from __future__ import annotations

from typing import Any

from staticgraph.importing.graphdefs.ops.table import entry, named


@entry("ReadVariableOp", ignored="dtype")
def _read(xp: Any, resource: Any) -> Any:
    return resource


def _assign(xp: Any, old: Any, value: Any) -> Any:
    return value


def _add(xp: Any, old: Any, value: Any) -> Any:
    return old + value


def _subtract(xp: Any, old: Any, value: Any) -> Any:
    return old - value


def _rows_added(xp: Any, old: Any, indices: Any, updates: Any) -> Any:
    rest = old.shape[1:]
    rows = xp.reshape(updates, (-1, *rest))
    return xp.scatter_add(old, xp.reshape(indices, (-1,)), rows, axis=0)


def _rows_subtracted(xp: Any, old: Any, indices: Any, updates: Any) -> Any:
    return _rows_added(xp, old, indices, -updates)


def _rows_set(xp: Any, old: Any, indices: Any, updates: Any) -> Any:
    return xp.set_item(old, (indices,), updates)


entry("AssignVariableOp", ignored="dtype validate_shape", writes="resource")(
    named(_assign, "resource value")
)
entry("Assign", ignored="T validate_shape use_locking", writes="ref")(named(_assign, "ref value"))
for each, change in (("Add", _add), ("Sub", _subtract)):
    entry(f"Assign{each}VariableOp", ignored="dtype", writes="resource")(
        named(change, "resource value")
    )
    entry(f"Assign{each}", ignored="T use_locking", writes="ref")(named(change, "ref value"))
for each, rows in (("Add", _rows_added), ("Sub", _rows_subtracted), ("Update", _rows_set)):
    entry(f"ResourceScatter{each}", ignored="dtype Tindices", writes="resource")(
        named(rows, "resource indices updates")
    )
    entry(f"Scatter{each}", ignored="T Tindices use_locking", writes="ref")(
        named(rows, "ref indices updates")
    )


# optimisers ---------------------------------------------------------------------------------------


@entry(
    "ApplyGradientDescent",
    "ResourceApplyGradientDescent",
    ignored="T use_locking",
    writes="var",
)
def _descend(xp: Any, var: Any, alpha: Any, delta: Any) -> Any:
    return var - alpha * delta


@entry("ApplyMomentum", "ResourceApplyMomentum", ignored="T use_locking", writes="var accum")
def _momentum(
    xp: Any, var: Any, accum: Any, lr: Any, grad: Any, momentum: Any, use_nesterov: bool
) -> Any:
    speed = accum * momentum + grad
    step = grad * lr + speed * momentum * lr if use_nesterov else speed * lr
    return [var - step, speed]


@entry("ResourceApplyKerasMomentum", ignored="T use_locking", writes="var accum")
def _keras_momentum(
    xp: Any, var: Any, accum: Any, lr: Any, grad: Any, momentum: Any, use_nesterov: bool
) -> Any:
    speed = accum * momentum - grad * lr
    return [var + (speed * momentum - grad * lr if use_nesterov else speed), speed]


@entry("ApplyAdagrad", ignored="T use_locking", writes="var accum", update_slots=True)
def _adagrad(xp: Any, var: Any, accum: Any, lr: Any, grad: Any) -> Any:
    total = accum + grad * grad
    return [var - grad * lr * xp.rsqrt(total), total]


@entry("ResourceApplyAdagradV2", ignored="T use_locking", writes="var accum", update_slots=True)
def _adagrad_v2(xp: Any, var: Any, accum: Any, lr: Any, epsilon: Any, grad: Any) -> Any:
    total = accum + grad * grad
    return [var - grad * lr / (xp.sqrt(total) + epsilon), total]


@entry("ApplyAdam", "ResourceApplyAdam", ignored="T use_locking", writes="var m v")
def _adam(
    xp: Any,
    var: Any,
    m: Any,
    v: Any,
    beta1_power: Any,
    beta2_power: Any,
    lr: Any,
    beta1: Any,
    beta2: Any,
    epsilon: Any,
    grad: Any,
    use_nesterov: bool,
) -> Any:
    rate = lr * xp.sqrt(1 - beta2_power) / (1 - beta1_power)
    first = m + (grad - m) * (1 - beta1)
    second = v + (grad * grad - v) * (1 - beta2)
    ahead = grad * (1 - beta1) + beta1 * first if use_nesterov else first
    return [var - ahead * rate / (xp.sqrt(second) + epsilon), first, second]


@entry("ApplyRMSProp", "ResourceApplyRMSProp", ignored="T use_locking", writes="var ms mom")
def _rms_prop(
    xp: Any,
    var: Any,
    ms: Any,
    mom: Any,
    lr: Any,
    rho: Any,
    momentum: Any,
    epsilon: Any,
    grad: Any,
) -> Any:
    mean = ms + (grad * grad - ms) * (1 - rho)
    speed = mom * momentum + grad * lr * xp.rsqrt(mean + epsilon)
    return [var - speed, mean, speed]
