"""The default generator of random keys: a seed, and how many keys were drawn since."""

from __future__ import annotations

import threading

import numpy as np

from oplibrary.ops.arguments import require_int
from oplibrary.values.types import Array


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
