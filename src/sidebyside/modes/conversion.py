"""Arrays of NumPy in and out of the format of a mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oplibrary.values.tree import flatten, map_tree


def convert_arrays(convert: Callable[[Any], Any], tree: Any) -> Any:
    """Return `tree` with its arrays converted, and everything else as it is."""
    return map_tree(
        lambda leaf: convert(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else leaf, tree
    )


def converter(convert: Callable[[Any], Any]) -> Callable[[Sequence[Any]], list[Any]]:
    """Return what converts the arrays in the arguments of a call."""
    return lambda arguments: [convert_arrays(convert, tree) for tree in arguments]


def public(module: Any) -> dict[str, Any]:
    """Return the functions of a module, those too that it looks up only when they are used."""
    return {name: getattr(module, name) for name in dir(module) if name[0] != "_"}


def max_pool2d(xp: Any, x: Any, kernel_size: int) -> Any:
    """Return the maximum of each square of ``(n, c, h, w)``, for libraries without pooling."""
    n, channels, height, width = x.shape
    rows, columns = height // kernel_size, width // kernel_size
    whole = x[:, :, : rows * kernel_size, : columns * kernel_size]
    squares = (n, channels, rows, kernel_size, columns, kernel_size)
    return xp.max(xp.reshape(whole, squares), axis=(3, 5))


def numbers(results: Any) -> list[Any]:
    """Return the results of a call in a list."""
    return flatten(results)[0]


def to_arrays(results: Any) -> list[Any]:
    """Return the results of a call in a list: numbers as ndarrays, and all else as it is."""
    return list(map(_as_array, numbers(results)))


def _as_array(leaf: Any) -> Any:
    is_number = isinstance(leaf, (bool, int, float, complex, np.generic))
    return np.asarray(leaf) if is_number or hasattr(leaf, "__array__") else leaf
