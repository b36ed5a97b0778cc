"""One function of both modes, with its gradients, against PyTorch's and in every backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import dyngraph as dg
import staticgraph as sg


def draw(*shape: int, dtype: str = "float64", seed: int = 0) -> Any:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def value_and_gradients(xp: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives the value, and the gradients of a weighted sum of it."""

    def loss(*xs: Any) -> Any:
        y = function(xp, *xs)
        weights = np.linspace(0.5, 1.5, y.size).reshape(y.shape).astype(y.dtype)
        return xp.sum(y * weights), y

    def both(*xs: Any) -> Any:
        places = tuple(range(len(xs)))
        (_, y), gradients = xp.value_and_grad(loss, places, has_aux=True)(*xs)
        return (y, *gradients)

    return both


def in_every_mode(
    function: Callable[..., Any], *xs: Any, native: bool = True, rtol: float = 0.0
) -> list[Any]:
    """Return the value and gradients in dyngraph, after the compiled ones have been compared."""
    eager = [y.detach().numpy() for y in value_and_gradients(dg, function)(*map(dg.tensor, xs))]
    compiled = sg.function(value_and_gradients(sg, function), backend="numpy")(*xs)
    for mine, other in zip(eager, compiled, strict=True):
        assert (mine.shape, mine.dtype) == (np.shape(other), other.dtype)
        np.testing.assert_array_equal(other, mine)
    if native:
        machine = sg.function(value_and_gradients(sg, function), backend="native")(*xs)
        for mine, other in zip(eager, machine, strict=True):
            close = max(rtol, 1e-5 if mine.dtype == np.float32 else 1e-7)
            np.testing.assert_allclose(other, mine, rtol=close, atol=close)
    return eager


def against_torch(
    function: Callable[..., Any],
    theirs: Callable[..., Any],
    *xs: Any,
    rtol: float = 1e-7,
    native: bool = True,
    second: bool = False,
) -> None:
    """Compare ``function(xp, *xs)`` with ``theirs(*tensors)``, and the gradients of both.

    With `second`, check the second derivatives by differences, too.
    """
    leaves = [torch.tensor(x, requires_grad=True) for x in xs]
    expected = theirs(*leaves)
    weights = torch.linspace(0.5, 1.5, expected.numel(), dtype=torch.float64)
    loss = (expected * weights.reshape(expected.shape).to(expected.dtype)).sum()
    gradients = torch.autograd.grad(loss, leaves)
    found = in_every_mode(function, *xs, native=native, rtol=rtol)
    for mine, other in zip(found, (expected.detach(), *gradients), strict=True):
        assert (mine.shape, mine.dtype) == (tuple(other.shape), other.numpy().dtype)
        np.testing.assert_allclose(mine, other.numpy(), rtol=rtol, atol=rtol)
    if second:
        tensors = [dg.tensor(x, requires_grad=True) for x in xs]
        assert dg.gradgradcheck(lambda *xs: function(dg, *xs), tensors)


def refused(function: Callable[..., Any], *xs: Any) -> tuple[str, str]:
    """Return the id and the text of the error that both modes refuse a call with."""
    found = []
    for run in (
        lambda: function(dg, *map(dg.tensor, xs)),
        lambda: sg.function(lambda *xs: function(sg, *xs))(*xs),
    ):
        try:
            run()
        except dg.errors.SideBySideError as error:
            found.append((error.id, error.what))
        else:
            raise AssertionError("nothing was refused")
    assert found[0] == found[1]
    return found[0]
