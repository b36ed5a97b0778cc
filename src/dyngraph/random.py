"""Random tensors from a default generator, as PyTorch has them.

Each draw takes the next key of a counter, so that a seed fixes every number that follows. Programs
that run in both modes pass keys of their own; see ``uniform`` and ``normal``.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tensors.tensor import Tensor
from oplibrary.core.types import DEFAULT_DTYPE, Array
from oplibrary.ops.arguments import normalize_shape, require_int


class _Generator(threading.local):
    def __init__(self) -> None:
        self.seed = 0
        self.draws = 0


_generator = _Generator()


def manual_seed(seed: int) -> None:
    """Start the default generator of this thread afresh from `seed`."""
    _generator.seed = require_int(seed, "seed")
    _generator.draws = 0


def get_state() -> tuple[int, int]:
    """Return the seed and the number of draws since."""
    return _generator.seed, _generator.draws


def set_state(state: tuple[int, int]) -> None:
    """Set what `get_state` returned."""
    _generator.seed, _generator.draws = state


def next_key() -> Array:
    """Return a key that the default generator has not given before."""
    _generator.draws += 1
    mask = (1 << 64) - 1
    return np.array([_generator.seed & mask, _generator.draws], np.uint64)


def _shape(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return normalize_shape(shape[0] if len(shape) == 1 else shape)


def rand(*shape: Any, dtype: npt.DTypeLike = DEFAULT_DTYPE, requires_grad: bool = False) -> Tensor:
    """Draw from the uniform distribution over [0, 1)."""
    out = NAMESPACE["uniform"](next_key(), shape=_shape(shape), dtype=dtype)
    return out.requires_grad_(requires_grad)  # type: ignore[no-any-return]


def randn(*shape: Any, dtype: npt.DTypeLike = DEFAULT_DTYPE, requires_grad: bool = False) -> Tensor:
    """Draw from the standard normal distribution."""
    out = NAMESPACE["normal"](next_key(), shape=_shape(shape), dtype=dtype)
    return out.requires_grad_(requires_grad)  # type: ignore[no-any-return]


def randperm(n: int) -> Tensor:
    """Draw a random order of the numbers below `n`."""
    return NAMESPACE["permutation"](next_key(), n)  # type: ignore[no-any-return]
