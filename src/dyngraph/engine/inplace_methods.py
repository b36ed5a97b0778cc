"""Tensor's methods that write in place; they are loaded when one is first called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dyngraph.engine.inplace import write
from dyngraph.engine.namespace import NAMESPACE
from dyngraph.tape.grad_mode import is_grad_enabled, special
from dyngraph.tape.versions import changed
from dyngraph.tensors.conversion import as_tensor, numeric
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.op import Op
from oplibrary.core.registry import lookup
from oplibrary.ops.indexing import set_item
from oplibrary.values.dtypes import bfloat16_met, is_bfloat16
from oplibrary.values.types import is_scalar


def in_place_method(name: str, spelling: str) -> Callable[..., Tensor]:
    """Return the method that overwrites its tensor with what the function called `name` returns.

    Parameters
    ----------
    name, spelling : str
        Of the function, and how the user writes the method.
    """
    function = NAMESPACE[name]
    op: Any = lookup(name)
    kernel: Any = op.kernel if isinstance(op, Op) and op.arity == 2 else None
    directly = isinstance(kernel, np.ufunc)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        usual = directly and op.run is kernel and len(args) == 1 and not kwargs
        if usual and _untracked(self, args[0]) and not (bfloat16_met[0] and _is_brain(self)):
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


def _is_brain(target: Tensor) -> bool:
    """Tell whether `target` is bfloat16, into which NumPy writes complex numbers, too.

    It also computes with wide numbers of Python's, and rounds once more.
    """
    return is_bfloat16(target._array.dtype)


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
