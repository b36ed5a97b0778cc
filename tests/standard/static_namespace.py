"""The static mode as a namespace of arrays with values, for test suites that expect one.

Each call declares a graph of its operands, compiles it and runs it: ``add(x, y)`` is a placeholder
for `x`, one for `y`, their sum, and one run. The backend is in the environment variable
``STATIC_NAMESPACE_BACKEND``, ``numpy`` unless set. A suite is run by naming this module:

    ARRAY_API_TESTS_MODULE=tests.standard.static_namespace pytest array_api_tests
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

import staticgraph as sg
from oplibrary.errors import SymbolicValueError
from oplibrary.values.tree import flatten, unflatten

_BACKEND = os.environ.get("STATIC_NAMESPACE_BACKEND", "numpy")


class Array:
    """A value on which every operation is declared, compiled and run by itself."""

    def __init__(self, value: Any) -> None:
        self.held = np.asarray(value)

    def __repr__(self) -> str:
        return f"Array({self.held!r})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what printers and other libraries look for
            raise AttributeError(name)
        return run(getattr, self, name) if name in _PROPERTIES else _Method(self, name)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __int__(self) -> int:
        return int(self.held)

    def __float__(self) -> float:
        return float(self.held)

    def __complex__(self) -> complex:
        return complex(self.held)

    def __index__(self) -> int:
        return self.held.__index__()

    def __len__(self) -> int:
        return len(self.held)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.held = run(_written, self, key, value).held

    def to_device(self, device: str, /, *, stream: Any = None) -> Array:
        return run(lambda x: x.to_device(device, stream=stream), self)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        run(lambda x: x.__array_namespace__(api_version=api_version) and None, self)
        import tests.standard.static_namespace as namespace

        return namespace

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: Any = None,
        dl_device: Any = None,
        copy: Any = None,
    ) -> Any:  # what a run returns is NumPy's
        return self.held.__dlpack__(
            stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
        )

    def __dlpack_device__(self) -> Any:
        return self.held.__dlpack_device__()


class _Method:
    """A method of a node, bound to an array."""

    def __init__(self, array: Array, name: str) -> None:
        self.array, self.name = array, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return run(
            lambda x, *args, **kwargs: getattr(x, self.name)(*args, **kwargs),
            self.array,
            *args,
            **kwargs,
        )


_PROPERTIES = {"shape", "dtype", "ndim", "size", "device", "T", "mT", "real", "imag"}


def _written(x: Any, key: Any, value: Any) -> Any:
    copied = sg.asarray(x, copy=True)
    copied[key] = value
    return copied


def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call `function` on nodes in the place of arrays, and run the graph that this declares."""
    feeds: list[np.ndarray[Any, Any]] = []
    with sg.Graph():
        nodes: list[sg.Node] = []
        known: dict[int, Array] = {}

        def declare(value: Any) -> Any:
            if isinstance(value, Array):
                nodes.append(sg.placeholder(f"x{len(nodes)}", value.held.shape, value.held.dtype))
                feeds.append(value.held)
                known[id(nodes[-1])] = value
                return nodes[-1]
            if isinstance(value, slice):  # a shape follows from its ends
                ends = value.start, value.stop, value.step
                return slice(*[int(x) if isinstance(x, Array) else x for x in ends])
            if type(value) in (tuple, list):
                return type(value)(map(declare, value))
            return value

        result = function(*map(declare, args), **{k: declare(v) for k, v in kwargs.items()})
        leaves, structure = flatten(result)
        if not any(isinstance(leaf, sg.Node) for leaf in leaves):
            return result
        found = sg.compile(leaves, nodes, backend=_BACKEND)(*feeds)
        # an operand that comes back as it is, as from asarray, is the array itself
        pairs = zip(leaves, found, strict=True)
        return unflatten(structure, [known.get(id(leaf), Array(x)) for leaf, x in pairs])


def _operator(name: str) -> Callable[..., Any]:
    def method(self: Array, *args: Any) -> Any:
        return run(lambda x, *args: getattr(x, name)(*args), self, *args)

    return method


def _into(form: str) -> Callable[..., Any]:
    # an array is a name for a value here: writing into it lets it hold the new one
    def method(self: Array, other: Any) -> Array:
        self.held = getattr(self, form)(other).held
        return self

    return method


for _name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split():
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(Array, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(Array, f"__i{_name}__", _into(f"__{_name}__"))
for _name in "eq ne lt le gt ge neg pos abs invert getitem".split():
    setattr(Array, f"__{_name}__", _operator(f"__{_name}__"))


def _run_alone(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(function, *args, **kwargs)
        except SymbolicValueError:  # a shape follows from it: it is known while declaring
            known = [x.held if isinstance(x, Array) else x for x in args[1:]]
            return run(function, *args[:1], *known, **kwargs)

    return call


class _Namespace:
    """A namespace of the static mode whose functions take arrays."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if isinstance(found, ModuleType):
            return _Namespace(found)
        return _run_alone(found) if callable(found) and not isinstance(found, type) else found

    def __dir__(self) -> list[str]:
        return dir(self._wrapped)


_NAMESPACE = _Namespace(sg)


def __getattr__(name: str) -> Any:
    return getattr(_NAMESPACE, name)


def __dir__() -> list[str]:
    return dir(_NAMESPACE)
