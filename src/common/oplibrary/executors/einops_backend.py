"""einops on our arrays: ``einops.rearrange(x, "a b -> b a")`` finds a backend for them.

einops looks for a subclass of its own class among those that exist. Ours is made the moment that
einops is imported, whichever of both comes first; without einops nothing is.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from oplibrary.values.dtypes import REAL_FLOATING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_MODULE = "einops._backends"
"""The module that has einops's base class of backends."""

_MADE: list[type] = []
"""Keeps our class: einops finds it as a subclass, which is known for as long as it lives."""


def offer(arrays: type) -> None:
    """Let einops take arrays, now or when it is imported.

    Parameters
    ----------
    arrays : type
        Of all of them; each knows its namespace by ``__array_namespace__``.
    """
    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        _make_backend(loaded, arrays)
    else:
        sys.meta_path.insert(0, _Watch(arrays))


class _Watch:
    """Make our backend as soon as the module of einops has run."""

    def __init__(self, arrays: type) -> None:
        self._arrays = arrays

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        from importlib.machinery import PathFinder

        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._arrays)  # type: ignore[assignment]
        return spec


class _Loader:
    """Run a module by its own loader, then make our backend."""

    def __init__(self, loader: Any, arrays: type) -> None:
        self._loader = loader
        self._arrays = arrays

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _make_backend(module, self._arrays)


def _make_backend(einops: ModuleType, arrays: type) -> None:
    """Make einops's backend for our arrays, whose functions are those of their namespace."""

    class Backend(einops.AbstractBackend):  # type: ignore[name-defined, misc]
        framework_name = "oplibrary"  # einops asks whether a module of that name is loaded

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, arrays)

        def transpose(self, x: Any, axes: Any) -> Any:
            return x.__array_namespace__().permute_dims(x, axes=tuple(axes))

        def reduce(self, x: Any, operation: str, axes: Any) -> Any:
            return getattr(x.__array_namespace__(), operation)(x, axis=tuple(axes))

        def stack_on_zeroth_dimension(self, tensors: list[Any]) -> Any:
            return tensors[0].__array_namespace__().stack(tensors, axis=0)

        def add_axis(self, x: Any, new_position: int) -> Any:
            return x.__array_namespace__().expand_dims(x, axis=new_position)

        def tile(self, x: Any, repeats: Any) -> Any:
            return x.__array_namespace__().tile(x, repeats)

        def concat(self, tensors: list[Any], axis: int) -> Any:
            return tensors[0].__array_namespace__().concat(tensors, axis=axis)

        def is_float_type(self, x: Any) -> bool:
            return bool(x.dtype.kind in REAL_FLOATING)

        def einsum(self, pattern: str, *operands: Any) -> Any:
            return operands[0].__array_namespace__().einsum(pattern, *operands)

    _MADE.append(Backend)
