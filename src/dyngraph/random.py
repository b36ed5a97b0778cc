"""Random tensors from a default generator, as PyTorch has them.

Each draw takes the next key of a counter, so that a seed fixes every number that follows. Programs
that run in both modes pass keys of their own; see ``uniform`` and ``normal``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dyngraph.engine.generator import next_key
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tensors.tensor import Tensor
from oplibrary.ops.arguments import normalize_shape
from oplibrary.values.types import DEFAULT_DTYPE

if TYPE_CHECKING:
    import numpy.typing as npt


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
