"""PyTorch's operators that draw random numbers, here of keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from staticgraph.importing.pytorch.table import PLACED, TABLE
from staticgraph.importing.shared.block import Several


@TABLE.entry("aten.native_dropout.default")
def _dropout(xp: Any, input: Any, p: float, train: bool | None, draw: Any) -> Any:
    if not train or p == 0:
        return Several(lambda: input, lambda: xp.ones_like(input, dtype=np.dtype(bool)))
    if p == 1:  # PyTorch draws nothing then
        none = xp.zeros_like(input, dtype=np.dtype(bool))
        return Several(lambda: input * 0.0, lambda: none)
    kept = draw(lambda key: xp.bernoulli(key, 1 - p, input.shape))
    return Several(lambda: input * xp.astype(kept, input.dtype) * (1 / (1 - p)), lambda: kept)


@TABLE.entry("aten.bernoulli.p", generator=None)
def _bernoulli(xp: Any, self: Any, draw: Any, p: float = 0.5) -> Any:
    return draw(lambda key: xp.astype(xp.bernoulli(key, p, self.shape), self.dtype))


@TABLE.entry("aten.bernoulli.default", generator=None)
def _bernoulli_each(xp: Any, self: Any, draw: Any) -> Any:
    return draw(
        lambda key: xp.astype(xp.uniform(key, self.shape, dtype=self.dtype) < self, self.dtype)
    )


def _made(name: str) -> Any:
    def entry(xp: Any, size: Any, draw: Any, dtype: Any = None) -> Any:
        return draw(lambda key: getattr(xp, name)(key, tuple(size), dtype=dtype or np.dtype("f4")))

    return entry


def _made_like(name: str) -> Any:
    def entry(xp: Any, self: Any, draw: Any, dtype: Any = None) -> Any:
        return draw(lambda key: getattr(xp, name)(key, self.shape, dtype=dtype or self.dtype))

    return entry


for source, ours in (("rand", "uniform"), ("randn", "normal")):
    TABLE.entry(f"aten.{source}.default", ignored=PLACED)(_made(ours))
    TABLE.entry(f"aten.{source}_like.default", ignored=PLACED)(_made_like(ours))


@TABLE.entry("aten.randperm.default", ignored=PLACED)
def _randperm(xp: Any, n: int, draw: Any, dtype: Any = None) -> Any:
    return draw(lambda key: xp.permutation(key, n))


@TABLE.entry("aten.exponential.default", generator=None)
def _exponential(xp: Any, self: Any, draw: Any, lambd: float = 1.0) -> Any:
    def made(key: Any) -> Any:
        return -xp.log1p(-xp.uniform(key, self.shape, dtype=self.dtype)) / lambd

    return draw(made)


@TABLE.entry("aten.normal.Tensor_float", generator=None)
def _normal(xp: Any, mean: Any, draw: Any, std: float = 1.0) -> Any:
    centre = xp.stop_gradient(mean)  # as PyTorch does, which has no gradient for it
    return draw(lambda key: centre + std * xp.normal(key, mean.shape, dtype=mean.dtype))


@TABLE.entry("aten.randint.low", ignored=PLACED)
def _randint(xp: Any, low: int, high: int, size: Any, draw: Any, dtype: Any = None) -> Any:
    return draw(lambda key: xp.randint(key, tuple(size), low, high))


@TABLE.entry("aten.randint.default", ignored=PLACED)
def _randint_below(xp: Any, high: int, size: Any, draw: Any, dtype: Any = None) -> Any:
    return draw(lambda key: xp.randint(key, tuple(size), 0, high))


@TABLE.entry("aten.randint_like.default", ignored=PLACED)
def _randint_like_below(xp: Any, self: Any, high: int, draw: Any, dtype: Any = None) -> Any:
    return draw(lambda key: xp.randint(key, self.shape, 0, high))


@TABLE.entry("aten.randint_like.low_dtype", ignored=PLACED)
def _randint_like(xp: Any, self: Any, low: int, high: int, draw: Any, dtype: Any = None) -> Any:
    return draw(lambda key: xp.randint(key, self.shape, low, high))


@TABLE.entry("aten.bernoulli.Tensor", generator=None)
def _bernoulli_of(xp: Any, self: Any, p: Any, draw: Any) -> Any:
    return draw(lambda key: xp.astype(xp.uniform(key, self.shape, dtype=p.dtype) < p, self.dtype))


@TABLE.entry("aten.normal_functional.default", generator=None)
def _normal_in_place(xp: Any, self: Any, draw: Any, mean: float = 0.0, std: float = 1.0) -> Any:
    return draw(lambda key: mean + std * xp.normal(key, self.shape, dtype=self.dtype))


@TABLE.entry("aten.uniform.default", generator=None)
def _uniform(xp: Any, self: Any, draw: Any, from_: float = 0.0, to: float = 1.0) -> Any:
    return draw(lambda key: xp.uniform(key, self.shape, from_, to, dtype=self.dtype))


@TABLE.entry("aten.normal.float_Tensor", generator=None)
def _normal_around(xp: Any, std: Any, draw: Any, mean: float = 0.0) -> Any:
    wide = xp.stop_gradient(std)
    return draw(lambda key: mean + wide * xp.normal(key, std.shape, dtype=std.dtype))


@TABLE.entry("aten.normal.Tensor_Tensor", generator=None)
def _normal_of(xp: Any, mean: Any, std: Any, draw: Any) -> Any:
    wide, centre = xp.stop_gradient(std), xp.stop_gradient(mean)
    shape = np.broadcast_shapes(mean.shape, std.shape)
    return draw(lambda key: centre + wide * xp.normal(key, shape, dtype=mean.dtype))


@TABLE.entry("aten.normal.float_float", ignored=PLACED, generator=None)
def _normal_numbers(
    xp: Any, mean: float, std: float, size: Any, draw: Any, dtype: Any = None
) -> Any:
    return draw(lambda key: mean + std * xp.normal(key, tuple(size), dtype=dtype or np.dtype("f4")))


@TABLE.entry("aten.poisson.default", generator=None)
def _poisson(xp: Any, self: Any, draw: Any) -> Any:
    return draw(lambda key: xp.astype(xp.poisson(key, self, self.shape), self.dtype))


@TABLE.entry("aten.cauchy.default", generator=None)
def _cauchy(xp: Any, self: Any, draw: Any, median: float = 0.0, sigma: float = 1.0) -> Any:
    return draw(lambda key: median + sigma * xp.cauchy(key, self.shape, dtype=self.dtype))


@TABLE.entry("aten.log_normal.default", generator=None)
def _log_normal(xp: Any, self: Any, draw: Any, mean: float = 1.0, std: float = 2.0) -> Any:
    return draw(lambda key: xp.exp(mean + std * xp.normal(key, self.shape, dtype=self.dtype)))
