"""Tensor's methods that run operations, or go backward: entered here, since they need the engine.

`Tensor` itself knows its data and its place on the tape. This file stands above all rooms and puts
the rest into the class: infix operators, functions as methods, in-place operations, gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dyngraph.engine.backward import backward as run_backward
from dyngraph.engine.failures import no_leaf
from dyngraph.engine.hooks import register_post_accumulate_grad_hook
from dyngraph.engine.inplace import write
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tape.grad_mode import is_grad_enabled, no_grad, special
from dyngraph.tape.nodes import AccumulateGrad, extra_of
from dyngraph.tape.versions import changed
from dyngraph.tensors.conversion import as_tensor, numeric
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.op import Op, lookup
from oplibrary.core.types import TensorType, is_scalar
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
from oplibrary.messages.errors import ArgumentError, warn
from oplibrary.ops.indexing import set_item

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
            write(self, value, "x.data = value")


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
        function = NAMESPACE.get(name)
        if function is not None:
            setattr(Tensor, dunder, function)
            if dunder in BINARY_OPERATORS and dunder not in COMPARISONS:
                setattr(Tensor, f"__r{dunder[2:]}", _reflected(function))
    for name in (*UNARY_METHODS, *METHODS):
        if name not in WRITTEN_METHODS:
            setattr(Tensor, name, NAMESPACE[name])
    Tensor.__hash__ = object.__hash__  # type: ignore[method-assign]


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def reflected(self: Any, other: Any) -> Any:
        return function(other, self)

    return reflected


# in place -----------------------------------------------------------------------------------------


def _in_place(name: str, spelling: str) -> Callable[..., Tensor]:
    function = NAMESPACE[name]
    op: Any = lookup(name)
    kernel: Any = op.kernel if isinstance(op, Op) and op.arity == 2 else None
    directly = isinstance(kernel, np.ufunc)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        usual = directly and op.run is kernel and len(args) == 1 and not kwargs
        if usual and _untracked(self, args[0]):
            other = args[0]
            try:
                kernel(
                    self._array,
                    other._array if type(other) is Tensor else other,
                    out=self._array,
                )
            except (ValueError, TypeError, OverflowError):
                pass  # the general way below has the better message
            else:
                changed(self._array, spelling)
                return self
        return write(self, function(self, *args, **kwargs), spelling)

    return method


def _untracked(target: Tensor, other: Any) -> bool:
    """Tell whether writing to `target` concerns no graph, so that nothing need be recorded."""
    if type(other) is Tensor:
        edge = other._node
    elif is_scalar(other):
        edge = None
    else:
        return False
    if special.count and not is_grad_enabled():
        return True
    return edge is None and target._node is None and not hasattr(target, "_parent")


def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrite every element with `value`."""
    return write(self, _constant(value, self.dtype), "fill_")


def zero_(self: Tensor) -> Tensor:
    """Overwrite every element with zero."""
    return write(self, _constant(0, self.dtype), "zero_")


def copy_(self: Tensor, source: Any) -> Tensor:
    """Overwrite the elements with those of `source`, which broadcasts; gradients flow to it."""
    return write(self, _constant(source, self.dtype), "copy_", replaces=True)


def _constant(value: Any, dtype: np.dtype[Any]) -> Tensor:
    if isinstance(value, Tensor):
        # a new Tensor, as the graph of the source must not be handed on as that of the target
        return NAMESPACE["clone"](value)  # type: ignore[no-any-return]
    if isinstance(value, (list, tuple)):
        return as_tensor(value)
    return tensor_of(numeric(value, dtype if is_scalar(value) else None))


def setitem(self: Tensor, key: Any, value: Any) -> None:
    """Overwrite the elements that `key` selects: ``x[key] = value``."""
    if isinstance(value, (list, tuple)):
        value = as_tensor(value, self.dtype)
    write(self, set_item(self, key, value), "x[...] = value")


def _install_in_place() -> None:
    install_in_place(Tensor, _in_place, NAMESPACE.__getitem__)
    for function in (fill_, zero_, copy_):
        setattr(Tensor, function.__name__, function)
    setattr(Tensor, "__setitem__", setitem)  # noqa: B010


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
        if not hasattr(Tensor, name):
            setattr(Tensor, name, _Elsewhere(name))


_install_gradients()
_install_operators()
_install_in_place()
_install_hints()
