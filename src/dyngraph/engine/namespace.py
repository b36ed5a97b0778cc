"""The functions of the namespace ``dyngraph``: the op library, bound to this executor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from dyngraph.engine.apply import FAST, lift
from dyngraph.tensors.conversion import numeric
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.op import Op
from oplibrary.core.registry import CREATION, lookup, named_as, names
from oplibrary.messages.call_errors import UNFIT, explain_call, explain_creation
from oplibrary.messages.errors import SideBySideError
from oplibrary.ops.arguments import require_flag
from oplibrary.values.data import require_numbers
from oplibrary.values.dtypes import PLAIN_NUMBERS


def wrap(result: Any) -> Any:
    """Return `result` with every array in it made a Tensor."""
    if type(result) is np.ndarray or isinstance(result, np.generic):
        array = np.asarray(result)
        return tensor_of(array if array.dtype.kind in PLAIN_NUMBERS else numeric(array))
    if type(result) in (tuple, list):
        return type(result)(map(wrap, result))
    if isinstance(result, tuple):  # a named one
        return type(result)(*map(wrap, result))
    return result


def _lifted(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return `function` as one whose result is a Tensor whatever it was called with."""
    if isinstance(function, Op):
        op = function

        def call_op(*args: Any, **kwargs: Any) -> Any:
            if op.options.keys().isdisjoint(kwargs):
                return lift(op, *op.bind(args, kwargs))
            return op.call_with_options(call_op, args, kwargs)

        return named_as(op, call_op)  # type: ignore[no-any-return]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            require_numbers((*args, *kwargs.values()))
            return wrap(function(*args, **kwargs))
        except SideBySideError:
            raise
        except UNFIT as error:
            explained = explain_call(name, function, error)
            if explained is error:
                raise
            raise explained from error

    return call


def _creation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a creation function that makes Tensors and knows ``requires_grad``."""

    @functools.wraps(function)
    def create(*args: Any, requires_grad: bool = False, **kwargs: Any) -> Tensor:
        try:
            out = tensor_of(function(*args, **kwargs))
        except SideBySideError:
            raise
        except UNFIT as error:
            raise explain_creation(function, args, error) from error
        return out.requires_grad_() if require_flag(requires_grad, "requires_grad") else out

    plain = inspect.signature(function)
    flag = inspect.Parameter("requires_grad", inspect.Parameter.KEYWORD_ONLY, default=False)
    create.__signature__ = plain.replace(parameters=[*plain.parameters.values(), flag])  # type: ignore[attr-defined]
    return create


class Functions(dict[str, Callable[..., Any]]):
    """The functions of a namespace by name, each made once it is asked for.

    Parameters
    ----------
    below : str
        The main namespace is ``""``, one below it ``"linalg"``.
    """

    def __init__(self, below: str = "") -> None:
        super().__init__()
        self._below = below

    def __missing__(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] | None = self.get(name)
        if function is None:
            raise KeyError(name)
        return function

    def get(self, name: str, default: Any = None) -> Any:
        """Return the function called `name`, or `default`."""
        made = dict.get(self, name)
        if made is not None:
            return made
        if not self._below and name in CREATION:
            return self.setdefault(name, _creation(CREATION[name]))
        function = lookup(f"{self._below}.{name}" if self._below else name)
        if function is None:
            return default
        entry = FAST[function] if isinstance(function, Op) else None
        return self.setdefault(name, entry or _lifted(function, name))

    def names(self) -> list[str]:
        """Return the names of all, in order."""
        return sorted({*names(self._below), *(() if self._below else CREATION.modules)})


NAMESPACE = Functions()
