"""einops on our arrays: ``einops.rearrange(x, "a b -> b a")`` finds a backend for them.

einops looks for a subclass of its own class among those that exist. Ours is made the moment that
einops is imported, whichever of both comes first; without einops nothing is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_MODULE = "einops._backends"
"""The module that has einops's base class of backends."""

_ENTERED: list[tuple[str, type]] = []
"""For each namespace, its name and the type of its arrays."""


def enter(namespace: str, arrays: type) -> None:
    """Let einops take the arrays of a namespace, now or when it is imported.

    Parameters
    ----------
    namespace : str
        The name of its module, such as ``"dyngraph"``.
    arrays : type
    """
    _ENTERED.append((namespace, arrays))
    loaded = sys.modules.get(_MODULE)
    if loaded is not None:
        _make_backend(loaded, namespace, arrays)
    elif len(_ENTERED) == 1:
        sys.meta_path.insert(0, _Watch())


class _Watch:
    """Make our backends as soon as the module of einops has run."""

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _MODULE:
            return None
        from importlib.machinery import PathFinder

        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Run a module by its own loader, then make our backends."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for namespace, arrays in _ENTERED:
            _make_backend(module, namespace, arrays)


_BACKENDS: list[type] = []
"""Keeps the classes: einops finds them as subclasses, which are known for as long as they live."""


def _make_backend(einops: ModuleType, namespace: str, arrays: type) -> None:
    """Make einops's backend for the arrays of a namespace."""

    def function(name: str) -> Callable[..., Any]:
        return getattr(sys.modules[namespace], name)  # type: ignore[no-any-return]

    class Backend(einops.AbstractBackend):  # type: ignore[name-defined, misc]
        framework_name = namespace

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, arrays)

        def arange(self, start: int, stop: int) -> Any:
            return function("arange")(start, stop)

        def transpose(self, x: Any, axes: Any) -> Any:
            return function("permute_dims")(x, axes=tuple(axes))

        def reduce(self, x: Any, operation: str, axes: Any) -> Any:
            return function(operation)(x, axis=tuple(axes))

        def stack_on_zeroth_dimension(self, tensors: list[Any]) -> Any:
            return function("stack")(tensors, axis=0)

        def add_axis(self, x: Any, new_position: int) -> Any:
            return function("expand_dims")(x, axis=new_position)

        def tile(self, x: Any, repeats: Any) -> Any:
            return function("tile")(x, repeats)

        def concat(self, tensors: list[Any], axis: int) -> Any:
            return function("concat")(tensors, axis=axis)

        def is_float_type(self, x: Any) -> bool:
            return bool(x.dtype.kind == "f")

        def einsum(self, pattern: str, *operands: Any) -> Any:
            return function("einsum")(pattern, *operands)

    _BACKENDS.append(Backend)
