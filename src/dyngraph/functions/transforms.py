"""Derivatives of functions: value_and_grad, vjp, jvp, jacobian, hessian.

A function takes tensors, or nested tuples, lists and dicts of them, and gives tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dyngraph.engine import backward as engine
from dyngraph.engine.failures import warning_of
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tape.grad_mode import enable_grad, is_grad_enabled
from dyngraph.tensors.arguments import require_callable, result_tensor
from dyngraph.tensors.conversion import as_tensor
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.tree import flatten, unflatten
from oplibrary.executors.autodiff import require_policy
from oplibrary.messages.errors import (
    ArgumentError,
    NonScalarError,
    NotDifferentiableError,
    ShapeError,
    UnusedInputError,
    warn,
)
from oplibrary.ops.arguments import normalize_ints


def value_and_grad(
    function: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    create_graph: bool = False,
    unused: str = "zero",
) -> Callable[..., Any]:
    """Return a function that gives the value of `function` and its gradients.

    Parameters
    ----------
    function : callable
        Its result, or the first of its results with `has_aux`, holds one number.
    argnums : int or sequence of int
        The arguments to differentiate with respect to; each may be a tree of tensors.
    has_aux : bool
        Whether the function returns ``(value, aux)``; then so does the new one, first.
    create_graph : bool
        Make the gradients differentiable; also done where the arguments themselves require one.
    unused : {"zero", "none", "warn", "raise"}
        What to give for an argument without a path to the value.

    Returns
    -------
    callable
        ``(value, gradients)``; the gradients have the structure of the argument, in a tuple if
        `argnums` is a sequence.

    Examples
    --------
    >>> import dyngraph as dg
    >>> value_and_grad(lambda x: dg.sum(x * x))(dg.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """
    require_callable(function, "value_and_grad")
    require_policy(unused)
    several = not isinstance(argnums, int)
    positions = normalize_ints(argnums, "argnums")

    def run(*args: Any, **kwargs: Any) -> Any:
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ArgumentError(
                    f"argnums names argument {position} of {len(args)}",
                    cause="arguments are counted from 0, by position",
                    fix="pass the argument by position, or change argnums",
                )
        prepared = list(args)
        leaves: list[Tensor] = []
        structures: list[tuple[Any, int]] = []
        deep = create_graph
        for position in positions:
            values, structure = flatten(args[position])
            if not values:
                raise ArgumentError(
                    f"argument {position} is {args[position]!r}, which holds no tensor",
                    cause="a gradient is taken with respect to numbers",
                    fix="pass a tensor, or name another argument with argnums",
                )
            fresh, tracked = _inputs(values)
            deep = deep or tracked
            prepared[position] = unflatten(structure, fresh)
            structures.append((structure, len(fresh)))
            leaves += fresh
        with enable_grad():
            result = function(*prepared, **kwargs)
        value, aux = _split(result) if has_aux else (result, None)
        if not isinstance(value, Tensor) or value.size != 1:
            raise NonScalarError(
                f"the function returned {_kind(value)}",
                cause="a gradient is defined for a function that returns one number",
                fix="return a scalar such as sum(...), or use jacobian",
            )
        if value._node is None:
            found: Sequence[Tensor | None] = _without_path(leaves, unused)
        else:
            found = engine.grad(value, leaves, create_graph=deep, unused=unused)
        grads = []
        for structure, count in structures:
            grads.append(unflatten(structure, list(found[:count])))
            found = found[count:]
        if not deep:
            value = value.detach()
        shown = (value, aux) if has_aux else value
        return shown, tuple(grads) if several else grads[0]

    return run


def _inputs(values: Sequence[Any]) -> tuple[list[Tensor], bool]:
    """Return what to differentiate with respect to, and whether an outer graph goes on from there.

    A tensor of an outer graph stays on it, so that derivatives of derivatives are right.
    """
    given = [as_tensor(value) for value in values]
    outer = is_grad_enabled()
    fresh = [
        NAMESPACE["clone"](x) if outer and x._node is not None else x.detach().requires_grad_()
        for x in given
    ]
    return fresh, outer and any(x._node is not None for x in given)


def _split(result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ArgumentError(
            f"the function returned {_kind(result)}, not a pair",
            cause="has_aux=True says that it returns the value first and everything else second",
            fix="return (value, aux)",
        )
    return result


def _without_path(leaves: list[Tensor], unused: str) -> list[Tensor | None]:
    if unused == "none":
        return [None] * len(leaves)
    if unused != "zero":
        error = UnusedInputError("the value depends on none of the arguments")
        if unused == "raise":
            raise error
        warn(warning_of(error))
    return [tensor_of(np.zeros(x.shape, x.dtype)) for x in leaves]


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {value.shape}"
    return f"a {type(value).__name__}"


def grad(*args: Any, **kwargs: Any) -> Any:
    """Return gradients of results, or the gradient function of a function.

    ``grad(outputs, inputs, ...)`` is PyTorch's: see `dyngraph.engine.grad`.
    ``grad(function, argnums=0)`` returns a function that gives the gradients: see `value_and_grad`.
    """
    if args and isinstance(args[0], (Tensor, tuple, list)):
        return engine.grad(*args, **kwargs)
    if args and callable(args[0]):
        run = value_and_grad(*args, **kwargs)
        aux = kwargs.get("has_aux", len(args) > 2 and args[2])

        def gradient(*inner: Any, **named: Any) -> Any:
            value, grads = run(*inner, **named)
            return (grads, value[1]) if aux else grads

        return gradient
    raise ArgumentError(
        f"grad of {type(args[0]).__name__ if args else 'nothing'}",
        cause="grad takes results and inputs, or a function",
        fix="write grad(y, [x]) or grad(f)(x)",
    )


def vjp(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the value of `function` and the function that pulls a cotangent back.

    Examples
    --------
    >>> import dyngraph as dg
    >>> y, pull = vjp(lambda x: x * x, dg.tensor([1.0, 2.0]))
    >>> pull(dg.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    require_callable(function, "vjp")
    inputs, deep = _inputs(primals)
    with enable_grad():
        value = function(*inputs)
    parts = value if isinstance(value, tuple) else (value,)
    for part in parts:
        result_tensor(part, "vjp")

    def pull(cotangent: Any) -> tuple[Tensor | None, ...]:
        given = cotangent if isinstance(cotangent, (tuple, list)) else (cotangent,)
        tracked = deep or any(isinstance(g, Tensor) and g._node is not None for g in given)
        if all(part._node is None for part in parts):
            return tuple(_without_path(inputs, "zero"))
        return engine.grad(
            value,
            inputs,
            cotangent,
            retain_graph=True,
            create_graph=tracked and is_grad_enabled(),
            unused="zero",
        )

    if deep:
        return value, pull
    shown = tuple(v.detach() for v in value) if isinstance(value, tuple) else value.detach()
    return shown, pull


def jvp(
    function: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]
) -> tuple[Tensor, Tensor]:
    """Return the value of `function` and its derivative in the direction of `tangents`.

    Computed as the gradient of a gradient: the vjp is linear in its cotangent, and its transpose is
    the jvp.

    References
    ----------
    J. Townsend, A new trick for calculating Jacobian vector products, 2017.

    Examples
    --------
    >>> import dyngraph as dg
    >>> jvp(lambda x: x * x, [dg.tensor([1.0, 2.0])], [dg.tensor([1.0, 0.5])])
    (tensor([1., 4.]), tensor([2., 2.]))
    """
    require_callable(function, "jvp")
    inputs, deep = _inputs(_listed(primals))
    directions = [as_tensor(t) for t in _listed(tangents)]
    if len(inputs) != len(directions):
        raise ArgumentError(
            f"jvp: {len(directions)} tangents for {len(inputs)} primals",
            cause="each primal moves along a tangent of its own",
            fix="pass one tangent a primal, zeros for those that stay",
        )
    for position, (x, t) in enumerate(zip(inputs, directions, strict=True)):
        if x.shape != t.shape:
            raise ShapeError(
                f"tangent {position} has shape {t.shape} and its primal {x.shape}",
                cause="a tangent is a direction in the space of its primal",
                fix="pass tangents of the primals' shapes",
            )
    deep = deep or (is_grad_enabled() and any(t._node is not None for t in directions))
    with enable_grad():
        value = result_tensor(function(*inputs), "jvp")
        shown = value if deep else value.detach()
        if value._node is None:
            return shown, tensor_of(np.zeros(value.shape, value.dtype))
        dummy = tensor_of(np.ones(value.shape, value.dtype)).requires_grad_()
        pulled = engine.grad(value, inputs, dummy, create_graph=True, unused="none")
        pairs = [
            (g, t)
            for g, t in zip(pulled, directions, strict=True)
            if g is not None and g._node is not None
        ]
        if any(g is not None and g._node is None and g._array.any() for g in pulled):
            raise NotDifferentiableError(
                "jvp: a gradient on the way has no graph of its own",
                cause="jvp differentiates the gradient, and a custom backward detached it",
                fix="write the backward with dyngraph's operations, without detach()",
            )
        if not pairs:
            return shown, tensor_of(np.zeros(value.shape, value.dtype))
        (tangent,) = engine.grad(
            [g for g, _ in pairs],
            [dummy],
            [t for _, t in pairs],
            create_graph=deep,
            unused="zero",
        )
    assert tangent is not None
    return shown, tangent


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, (tuple, list)) else (values,)


def jacobian(function: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
    """Return the derivative of every element of the value by every element of the inputs.

    Parameters
    ----------
    function : callable
    inputs : Tensor or sequence of Tensor
    create_graph : bool
        Make the result differentiable; also done where the inputs themselves require a gradient.

    Returns
    -------
    Tensor or tuple of Tensor
        Of shape ``value.shape + input.shape``, one an input.

    Examples
    --------
    >>> import dyngraph as dg
    >>> jacobian(lambda x: x * x, dg.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    require_callable(function, "jacobian")
    single = not isinstance(inputs, (tuple, list))
    xs, tracked = _inputs([inputs] if single else inputs)
    deep = create_graph or tracked
    with enable_grad():
        value = result_tensor(function(*xs), "jacobian")
        rows: list[list[Tensor]] = [[] for _ in xs]
        for index in np.ndindex(value.shape):
            cotangent = np.zeros(value.shape, value.dtype)
            cotangent[index] = 1
            if value._node is None:
                found: Sequence[Any] = _without_path(xs, "zero")
            else:
                found = engine.grad(
                    value,
                    xs,
                    tensor_of(cotangent),
                    retain_graph=True,
                    create_graph=deep,
                    unused="zero",
                )
            for row, g in zip(rows, found, strict=True):
                row.append(g)
        result = []
        for row, x in zip(rows, xs, strict=True):
            if row:
                stacked = NAMESPACE["stack"](row)
            else:
                stacked = tensor_of(np.zeros((0, *x.shape), x.dtype))
            result.append(stacked.reshape(value.shape + x.shape))
    return result[0] if single else tuple(result)


def hessian(function: Callable[..., Any], inputs: Any) -> Any:
    """Return the second derivatives of a function that returns one number.

    Returns
    -------
    Tensor, or tuple of tuples of Tensor
        Of shape ``inputs.shape + inputs.shape``; block ``[i][j]`` for several inputs.

    Examples
    --------
    >>> import dyngraph as dg
    >>> hessian(lambda x: dg.sum(x * x * x), dg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    require_callable(function, "hessian")
    single = not isinstance(inputs, (tuple, list))
    xs = [inputs] if single else list(inputs)
    run = value_and_grad(function, argnums=tuple(range(len(xs))), create_graph=True)

    def gradient(position: int) -> Callable[..., Any]:
        return lambda *args: run(*args)[1][position]

    blocks = tuple(jacobian(gradient(i), xs) for i in range(len(xs)))
    return blocks[0][0] if single else blocks
