"""Tensors out of data: numbers, nested sequences, arrays, what other libraries hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from dyngraph.tape.grad_mode import is_grad_enabled
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.dispatch import LIFTED
from oplibrary.messages.errors import ArgumentError, LostGradientWarning, warn
from oplibrary.ops.arguments import require_device, require_flag
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.values.data import array_from_dlpack, copy_of, has_dtype, narrow_dtype, to_numbers
from oplibrary.values.dtypes import PLAIN_NUMBERS, to_dtype
from oplibrary.values.tree import refuse_depth
from oplibrary.values.types import Array

if TYPE_CHECKING:
    import numpy.typing as npt


def tensor(data: Any, dtype: npt.DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor from numbers, nested sequences, arrays or tensors; the data is copied.

    Parameters
    ----------
    data : array_like
    dtype : dtype, optional
        Defaults to the array's own; Python floats become float32 and ints int64.
    requires_grad : bool
        Make it a leaf of the graph.

    Raises
    ------
    DTypeError
        If the data is not made of numbers, or not rectangular.

    Examples
    --------
    >>> tensor([1.0, 2.0], requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    if dtype is None and not hasattr(data, "dtype"):
        dtype = _inferred_dtype(data)
    if not requires_grad and is_grad_enabled() and _requires_grad(data):
        warn(
            LostGradientWarning(
                "tensor(...) copies the numbers of a tensor that requires a gradient",
                cause="the copy is new data, and no gradient will come through it",
                fix="use asarray(...), or stack, to keep the graph; detach() where it is to end",
            )
        )
    return _made(data, dtype, True, requires_grad)


def _requires_grad(data: Any) -> bool:
    """Tell whether a Tensor that requires a gradient is, or is in, `data`."""
    if isinstance(data, (list, tuple)):
        return holds_values(data) and any(map(_requires_grad, data))
    return type(data) is Tensor and data._node is not None


def asarray(
    data: Any,
    dtype: npt.DTypeLike | None = None,
    device: str | None = None,
    copy: bool | None = None,
) -> Tensor:
    """Make a tensor that shares memory with `data` where that is possible.

    Tensors in nested sequences are stacked, and gradients flow to them. Changes made to the array
    behind the tensor's back are not noticed by ``backward()``.

    Parameters
    ----------
    data : array_like
    dtype : dtype, optional
        Defaults to the array's own; Python floats become float32 and ints int64.
    device : str, optional
        ``"cpu"``, the only one.
    copy : bool, optional
        Whether the data is copied; by default only where it has to be. A copy of a tensor is
        recorded, and gradients flow through it.

    Raises
    ------
    ArgumentError
        If `copy` is False and the data cannot be shared.

    Examples
    --------
    >>> x = np.zeros(2, "float32")
    >>> asarray(x)[0] = 1
    >>> x.tolist()
    [1.0, 0.0]
    """
    require_device(device)
    if copy is not None and not require_flag(copy, "copy"):
        _require_shared(data, dtype)
    if isinstance(data, (list, tuple)) and holds_values(data):
        data = stack_nested(data)
    if type(data) is Tensor:
        converted: Tensor = data if dtype is None else data.to(dtype)
        return converted.clone() if copy else converted
    if type(data) in LIFTED:  # rows of tensors
        data = data if dtype is None or data.dtype == to_dtype(dtype) else data.astype(dtype)
        return data.clone() if copy else data  # type: ignore[no-any-return]
    if dtype is None and not hasattr(data, "dtype"):
        dtype = _inferred_dtype(data)
    return _made(data, dtype, bool(copy), False)


as_tensor = from_numpy = asarray


def _require_shared(data: Any, dtype: npt.DTypeLike | None) -> None:
    """Refuse `data` that a tensor of `dtype` would have to copy.

    Raises
    ------
    ArgumentError
    """
    array = data._array if type(data) is Tensor else data
    try:
        np.asarray(array, dtype, copy=False)
    except (ValueError, TypeError):
        raise ArgumentError(
            f"asarray: with copy=False this {type(data).__name__} cannot become a tensor"
            + ("" if dtype is None else f" of {to_dtype(dtype)}"),
            cause="its elements lie in memory in another form, and would have to be converted",
            fix="leave copy out: asarray copies only where it has to",
        ) from None


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


def stop_gradient(x: Any) -> Tensor:
    """Return the same value, cut off from what it was computed from; no gradient passes.

    Examples
    --------
    >>> x = tensor([1.0, 2.0], requires_grad=True)
    >>> stop_gradient(x * x).requires_grad
    False
    """
    return asarray(x).detach()


def from_dlpack(array: Any, /, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """Make a tensor that shares memory with an array of another library.

    Parameters
    ----------
    array : object with ``__dlpack__``
    device : str, optional
        ``"cpu"``, the only one.
    copy : bool, optional
        Whether the data is copied; by default only where it has to be.

    Raises
    ------
    ArgumentError
        If the array cannot be shared, because it lies elsewhere or has no ``__dlpack__``.
    """
    require_device(device)
    if copy is not None:
        require_flag(copy, "copy")
    return asarray(array_from_dlpack(array, device, copy))


def _inferred_dtype(data: Any) -> np.dtype[Any]:
    array = numeric(data)
    return array.dtype if has_dtype(data) or holds_values(data) else narrow_dtype(array)


def numeric(data: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """Return `data` as an array of numbers or booleans.

    Raises
    ------
    DTypeError
        If it is not made of them, not rectangular, or has elements that are masked.
    """
    if type(data) is Tensor:
        data = data._array
    elif isinstance(data, (list, tuple)):
        try:
            if holds_values(data):
                joined = stack_nested(data)
                data = joined._array if type(joined) is Tensor else joined  # refuses by itself
        except RecursionError:
            refuse_depth(data)
            raise
    return to_numbers(data, dtype, "tensor")


def _made(data: Any, dtype: npt.DTypeLike | None, copied: bool, requires_grad: bool) -> Tensor:
    array = numeric(data, dtype)
    if copied:
        array = copy_of(array, "tensor")
    out = tensor_of(array)
    return out.requires_grad_() if requires_grad else out


def is_tensor(value: object) -> TypeGuard[Tensor]:
    """Tell whether `value` is a Tensor."""
    return isinstance(value, Tensor)
