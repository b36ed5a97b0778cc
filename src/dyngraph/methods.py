"""Tensor's methods that run operations, or go backward: entered here, since they need the engine.

`Tensor` itself knows its data and its place on the tape. This file stands above all rooms and puts
the rest into the class: infix operators, functions as methods, in-place operations, gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from dyngraph.engine.backward import backward as run_backward
from dyngraph.engine.failures import no_leaf
from dyngraph.engine.hooks import register_post_accumulate_grad_hook
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tape.grad_mode import no_grad
from dyngraph.tape.nodes import AccumulateGrad, extra_of
from dyngraph.tensors.tensor import Tensor
from oplibrary.executors.in_place import install_in_place
from oplibrary.executors.operators import (
    BINARY_OPERATORS,
    COMPARISONS,
    METHODS,
    UNARY_METHODS,
    UNARY_OPERATORS,
    WRITTEN_METHODS,
)
from oplibrary.executors.spellings import METHODS as METHODS_ELSEWHERE
from oplibrary.executors.spellings import call_for, table
from oplibrary.late.method import install
from oplibrary.late.modules import load
from oplibrary.messages.errors import ArgumentError, warn
from oplibrary.values.types import TensorType

# gradients ----------------------------------------------------------------------------------------


def _grad(self: Tensor) -> Tensor | None:
    """The accumulated gradient, or None; None with a warning for what keeps no gradient."""
    node = self._node
    if node is None:
        return None
    if isinstance(node, AccumulateGrad):
        return node.grad  # type: ignore[no-any-return]
    extra = node.extra
    if extra is None or (extra.grad is None and not extra.retained):
        warn(no_leaf(node))
        return None
    return extra.grad  # type: ignore[no-any-return]


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if value is not None:
        if type(value) is not Tensor or value.shape != self.shape or value.dtype != self.dtype:
            raise ArgumentError(
                f"grad must be None or a tensor of type {TensorType(self.shape, self.dtype)}",
                cause="a gradient has the shape and dtype of its tensor",
                fix="assign a tensor of that type, or None",
            )
        if self._node is None:
            raise ArgumentError(
                "grad of a tensor that does not require one",
                cause="nothing will ever be added to it",
                fix="call requires_grad_() first",
            )
    if isinstance(self._node, AccumulateGrad):
        self._node.grad = value
    elif self._node is not None:
        extra_of(self._node).grad = value


def _data(self: Tensor) -> Tensor:
    """The same elements without the graph, as `detach` gives them.

    Setting it overwrites the elements, and records nothing.
    """
    return self.detach()


def _set_data(self: Tensor, value: Any) -> None:
    if not isinstance(value, Tensor) or value.shape != self.shape or value.dtype != self.dtype:
        raise ArgumentError(
            f"data must be a tensor of type {TensorType(self.shape, self.dtype)}",
            cause="the new elements take the place of the old ones",
            fix="assign a tensor of that shape and dtype",
        )
    if value._array is not self._array:  # x.data -= 1 has already changed what both share
        with no_grad():
            load("dyngraph.engine.inplace:write")(self, value, "x.data = value")


def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradient of this tensor to ``.grad`` of every leaf that it came from.

    Parameters
    ----------
    gradient : Tensor or array, optional
        The cotangent, of this tensor's shape; needed unless the tensor holds one element.
    retain_graph : bool, optional
        Keep the saved values for another backward pass; defaults to `create_graph`.
    create_graph : bool
        Record the backward pass itself, for higher derivatives.
    inputs : Tensor or sequence of Tensor, optional
        Accumulate into these only.

    Raises
    ------
    NoGraphError, NonScalarError, FreedGraphError, InPlaceError
    """
    run_backward((self,), (gradient,), retain_graph, create_graph, inputs)


def _install_gradients() -> None:
    setattr(Tensor, "grad", property(_grad, _set_grad))  # noqa: B010
    setattr(Tensor, "data", property(_data, _set_data))  # noqa: B010
    setattr(Tensor, "backward", backward)  # noqa: B010
    setattr(  # noqa: B010
        Tensor, "register_post_accumulate_grad_hook", register_post_accumulate_grad_hook
    )


# functions of the namespace -----------------------------------------------------------------------


def _install_operators() -> None:
    """Put the entries of fixed arity in place of Tensor's generic operators."""
    for dunder, name in {**BINARY_OPERATORS, **UNARY_OPERATORS}.items():
        install(Tensor, dunder, partial(NAMESPACE.__getitem__, name))
        if dunder in BINARY_OPERATORS and dunder not in COMPARISONS:
            install(Tensor, f"__r{dunder[2:]}", partial(_reflected, name))
    for name in (*UNARY_METHODS, *METHODS):
        if name not in WRITTEN_METHODS:
            install(Tensor, name, partial(NAMESPACE.__getitem__, name))
    Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    function = NAMESPACE[name]

    def reflected(self: Any, other: Any) -> Any:
        return function(other, self)

    return reflected


# in place -----------------------------------------------------------------------------------------

_WRITES = "dyngraph.engine.inplace_methods"
"""The module of methods that write, loaded once one is called."""


def _install_in_place() -> None:
    install_in_place(Tensor, _in_place, NAMESPACE.__getitem__)
    for name in ("fill_", "zero_", "copy_"):
        install(Tensor, name, partial(load, f"{_WRITES}:{name}"))
    install(Tensor, "__setitem__", partial(load, f"{_WRITES}:setitem"))


def _in_place(name: str, spelling: str) -> Callable[..., Tensor]:
    return load(f"{_WRITES}:in_place_method")(name, spelling)  # type: ignore[no-any-return]


# names of other libraries -------------------------------------------------------------------------


class _Elsewhere:
    """Says how a method of another library is written, and is no attribute to ``hasattr``."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, x: Any, owner: Any = None) -> Any:
        call = call_for(self._name, "dyngraph", METHODS_ELSEWHERE)
        raise AttributeError(f"Tensor has no attribute {self._name!r}; did you mean {call}?")


def _install_hints() -> None:
    for name in table(METHODS_ELSEWHERE):
        if not any(name in vars(kind) for kind in Tensor.__mro__):
            setattr(Tensor, name, _Elsewhere(name))


_install_gradients()
_install_operators()
_install_in_place()
_install_hints()
