"""What the array API standard asks a namespace to say about itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.values.types import DEFAULT_DTYPE

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_UNIONS = {
    "integral": ("signed integer", "unsigned integer"),
    "numeric": ("signed integer", "unsigned integer", "real floating", "complex floating"),
}


class NamespaceInfo:
    """Answer the questions of ``__array_namespace_info__``.

    Parameters
    ----------
    data_dependent_shapes : bool
        Whether the mode can have shapes that depend on values, as ``x[mask]``.

    Examples
    --------
    >>> NamespaceInfo(data_dependent_shapes=True).default_dtypes()["real floating"]
    dtype('float32')
    """

    def __init__(self, data_dependent_shapes: bool) -> None:
        self._data_dependent_shapes = data_dependent_shapes

    def capabilities(self) -> dict[str, Any]:
        """Return what may be relied on."""
        return {
            "boolean indexing": self._data_dependent_shapes,
            "data-dependent shapes": self._data_dependent_shapes,
            "max dimensions": 64,
        }

    def default_device(self) -> str:
        """Return ``"cpu"``."""
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        """Return the one device."""
        return ("cpu",)

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype[Any]]:
        """Return the dtypes of Python numbers that meet no array."""
        return {
            "real floating": DEFAULT_DTYPE,
            "complex floating": np.dtype(np.complex64),
            "integral": np.dtype(np.int64),
            "indexing": np.dtype(np.int64),
        }

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, np.dtype[Any]]:
        """Return the dtypes of a kind, all of them by default."""
        kinds = tuple(_KINDS) if kind is None else (kind,) if isinstance(kind, str) else kind
        names: list[str] = []
        for each in kinds:
            for member in _UNIONS.get(each, (each,)):
                names += _KINDS[member]
        return {name: np.dtype(name) for name in names}
