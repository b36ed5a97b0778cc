"""What the namespaces of all executors have in common besides the functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.registry import NAMESPACES
from oplibrary.executors.operators import API_VERSIONS
from oplibrary.executors.spellings import MissingName
from oplibrary.late.modules import bring, load
from oplibrary.late.table import by_name
from oplibrary.values.dtypes import to_dtype

if TYPE_CHECKING:
    from oplibrary.executors.namespace_info import NamespaceInfo

_DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 "
    "complex128"
).split()
LATE_DTYPES = ("bfloat16",)
"""Dtypes that load another package when they are first asked for."""


def common_names(*, data_dependent_shapes: bool) -> dict[str, Any]:
    """Return the dtypes and constants by name, and what the array API standard asks for.

    Parameters
    ----------
    data_dependent_shapes : bool
        Whether the mode can have shapes that depend on values, as ``x[mask]``.
    """
    names: dict[str, Any] = {name: np.dtype(name) for name in _DTYPES}
    names |= {
        "half": names["float16"],
        "float": names["float32"],
        "double": names["float64"],
        "long": names["int64"],
    }
    names |= {"e": math.e, "inf": math.inf, "nan": math.nan, "newaxis": None, "pi": math.pi}
    names["__array_api_version__"] = API_VERSIONS[-1]
    return {**names, "__array_namespace_info__": _information(data_dependent_shapes)}


class LateNames:
    """The names of an executor's namespace that are loaded when they are first asked for.

    Parameters
    ----------
    package : str
        ``"dyngraph"`` or ``"staticgraph"``.
    places : mapping of str to str
        The names that each module of the executor gives, separated by spaces; a package gives its
        modules.
    functions : callable
        Returns the function of the op library of a name, bound to the executor, or None.
    """

    def __init__(
        self, package: str, places: Mapping[str, str], functions: Callable[[str], Any]
    ) -> None:
        self._package, self._functions = package, functions
        self.places = {**by_name(places), **dict.fromkeys(LATE_DTYPES, "")}

    def load(self, name: str, known: Iterable[str]) -> Any:
        """Return what is called `name`.

        Raises
        ------
        MissingName
            If nothing is; it suggests one of those that are `known`.
        """
        place = self.places.get(name)
        if place is None:
            found = None if name.startswith("_") else self._functions(name)
        elif not place:
            found = to_dtype(name)
        elif "." in place:
            found = load(f"{place}:{name}")
        else:
            found = bring(f"{place}.{name}")
        if found is None:
            raise MissingName(self._package, name, known)
        return found


def _information(data_dependent_shapes: bool) -> Callable[[], NamespaceInfo]:
    def __array_namespace_info__() -> NamespaceInfo:
        """Return what the array API standard asks a namespace to say about itself."""
        from oplibrary.executors.namespace_info import NamespaceInfo

        return NamespaceInfo(data_dependent_shapes)

    return __array_namespace_info__


def public_names(names: Mapping[str, Any]) -> list[str]:
    """Return which names of a namespace are its API: neither private ones nor its rooms."""
    modules = {"errors", "optimizers", *NAMESPACES}
    return sorted(
        name
        for name, value in names.items()
        if not name.startswith("_") and (name in modules or not isinstance(value, ModuleType))
    )
