"""The functions of the namespace ``dyngraph``: the op library, bound to this executor."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from dyngraph.engine.apply import FAST, call_by_name
from dyngraph.tensors.conversion import wrap
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.op import Op
from oplibrary.core.registry import CREATION, lookup, named_as, names
from oplibrary.messages.call_errors import UNFIT, explain_call, explain_creation
from oplibrary.messages.errors import ArgumentError, SideBySideError
from oplibrary.ops.arguments import require_flag
from oplibrary.values.data import require_numbers


def _lifted(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Return `function` as one whose result is a Tensor whatever it was called with."""
    if isinstance(function, Op):
        op = function

        def call_op(*args: Any, **kwargs: Any) -> Any:
            return call_by_name(op, call_op, args, kwargs)

        return named_as(op, call_op)  # type: ignore[no-any-return]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            require_numbers((*args, *kwargs.values()))
            return wrap(function(*args, **kwargs))
        except ArgumentError as error:
            explained: Exception = error
        except SideBySideError:
            raise
        except UNFIT as error:
            explained = explain_call(name, function, error)
            if explained is error:
                raise
            explained.__cause__ = error
        from oplibrary.executors.numpy.spelled import call_as_numpy

        return wrap(call_as_numpy(function, args, kwargs, explained))

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
