"""How tensors print: as PyTorch prints them."""

from __future__ import annotations

from typing import Any

import numpy as np

from common.types import DEFAULT_DTYPE, Array
from dyngraph.tape import GradFn

PRECISION = 4
_PLAIN = (DEFAULT_DTYPE, np.dtype(np.int64), np.dtype(np.bool_))


def format_tensor(array: Array, node: Any) -> str:
    """Return the text of a tensor, such as ``tensor([6.], grad_fn=<MulBackward0>)``.

    Parameters
    ----------
    array : ndarray
    node : GradFn, AccumulateGrad or None
    """
    prefix = "tensor("
    body = np.array2string(
        array,
        separator=", ",
        prefix=prefix,
        threshold=1000,
        edgeitems=3,
        max_line_width=80,
        formatter={"all": _formatter(array)},
    )
    if array.size == 0:
        body = "[]"
    suffix = []
    if array.size == 0 and array.ndim != 1:
        suffix.append(f"size={array.shape}")
    if array.dtype not in _PLAIN:
        suffix.append(f"dtype={array.dtype.name}")
    if isinstance(node, GradFn):
        suffix.append(f"grad_fn=<{node.name()}>")
    elif node is not None:
        suffix.append("requires_grad=True")
    return prefix + ", ".join([body, *suffix]) + ")"


def _formatter(array: Array) -> Any:
    if array.dtype.kind == "b":
        width = max((len(str(x)) for x in np.unique(array)), default=0) if array.ndim else 0
        return lambda x: str(bool(x)).rjust(width)
    if array.dtype.kind in "iu":
        width = (
            max((len(str(x)) for x in (array.min(), array.max())), default=0) if array.size else 0
        )
        return lambda x: str(int(x)).rjust(width)
    if array.dtype.kind == "c":
        real, imag = _float_text(array.real), _float_text(np.abs(array.imag))

        def complex_text(x: Any) -> str:
            sign = "-" if np.signbit(x.imag) else "+"
            return f"{real(x.real)}{sign}{imag(abs(x.imag)).strip()}j"

        return complex_text
    text = _float_text(array)
    shown = _sample(array)
    width = max((len(text(x)) for x in shown[np.isfinite(shown)]), default=0)
    return lambda x: text(x).rjust(width)


def _sample(array: Array) -> Any:
    """Return the elements that will be shown."""
    flat = array.reshape(-1)
    return flat if flat.size <= 1000 else np.concatenate([flat[:3000], flat[-3000:]])


def _float_text(array: Array) -> Any:
    """Return the formatter of a float: integers as ``5.``, else fixed or scientific, as PyTorch."""
    finite = np.abs(array[np.isfinite(array)].astype(np.float64))
    nonzero = finite[finite > 0]
    if nonzero.size == 0 or (finite == np.floor(finite)).all():
        if nonzero.size and nonzero.max() >= 1e8:
            return lambda x: f"{float(x):.{PRECISION}e}"
        return lambda x: f"{float(x):.0f}." if np.isfinite(x) else str(float(x))
    low, high = nonzero.min(), nonzero.max()
    if high / low > 1000 or high > 1e8 or low < 1e-4:
        return lambda x: f"{float(x):.{PRECISION}e}" if np.isfinite(x) else str(float(x))
    return lambda x: f"{float(x):.{PRECISION}f}" if np.isfinite(x) else str(float(x))
