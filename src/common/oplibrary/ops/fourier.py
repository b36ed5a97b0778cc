"""Discrete Fourier transforms, by NumPy's kernels.

Three ops do all of them: the transform of complex numbers along some axes, that of real numbers
along one, whose second half is the mirror of the first and is left out, and the inverse of the
latter. Each is linear, so that its gradient is a transform again; W. Briggs and V. Henson, "The
DFT: an owner's manual" (1995), has the symmetries.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from oplibrary.core.batching import Rows, along_axis
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import DTypeError
from oplibrary.ops.elementwise import cast, conj, real
from oplibrary.ops.kernels import halves_in_float32
from oplibrary.ops.slicing import pad_op, slice_axis
from oplibrary.tangents.families import linear
from oplibrary.values.dtypes import is_half, is_numeric
from oplibrary.values.types import Array, TensorType, normalize_axis

NORMS = ("backward", "ortho", "forward")
"""Which transform is divided: the inverse by n, both by its root, or the other one by n."""

OTHER_WAY = dict(zip(NORMS, reversed(NORMS)))
"""For each norm, that by which a transform is divided as the one of the other direction is."""


@lru_cache(64)
def _complex_dtype(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a transform: complex, of the precision of `dtype`."""
    if not is_numeric(dtype):
        raise DTypeError(f"{name} is not defined for {dtype}")
    return np.fft.fft(np.zeros(1, dtype)).dtype


def _real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.empty(0, dtype).real.dtype


# lengths ------------------------------------------------------------------------------------------


def resized(x: Any, length: int, axis: int) -> Any:
    """Return `x` cut off, or continued by zeros, to a length along an axis."""
    known = x.shape[axis]
    if length < known:
        return slice_axis(x, start=0, stop=length, axis=axis)
    if length > known:
        width = [(0, 0)] * len(x.shape)
        width[axis] = (0, length - known)
        return pad_op(x, pad_width=tuple(width))
    return x


# the ops ------------------------------------------------------------------------------------------


def _dft(x: Array, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    transform: Any = np.fft.ifftn if inverse else np.fft.fftn
    return transform(x, axes=axes, norm=norm)


def _fitting(result: Any, x_type: TensorType) -> Any:
    """Return a transform as the gradient of an operand: real, or in half precision, as that is."""
    result = result if x_type.dtype.kind == "c" else real(result)
    return result if result.dtype == x_type.dtype else cast(result, dtype=x_type.dtype)


def _dft_rule(g: Any, _out: Any, x_type: TensorType, **attrs: Any) -> Any:
    result = dft(g, **attrs)  # the matrix of the transform is symmetric
    return _fitting(result, x_type)


def _dft_rows(rows: Rows) -> Any:
    ndim = rows.types[0].ndim
    axes = tuple([normalize_axis(axis, ndim) + 1 for axis in rows.attrs["axes"]])
    return dft(rows.operands[0], **{**rows.attrs, "axes": axes})


_COMPLEX = np.array([[1 + 2j, -0.5j, 3.0], [0.25, -1 - 1j, 2j]])

dft: Op = register(
    Op(
        name="dft",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_dft,
        routine="oplibrary.machine.routines.fourier:complex_transforms",
        infer=lambda x, *, axes, inverse, norm: TensorType(x.shape, _complex_dtype("fft", x.dtype)),
        vjp=(_dft_rule,),
        jvp=linear,
        attrs={"axes": ..., "inverse": False, "norm": "backward"},
        public=False,
        examples=(
            example(_COMPLEX, axes=(1,)),
            example(_COMPLEX, axes=(0, 1), inverse=True, norm="ortho"),
            example((3, 4), axes=(0,)),
        ),
        batch=_dft_rows,
        doc="Return the discrete Fourier transform along some axes.",
    )
)


def _real_dft_infer(x: TensorType, *, axis: int, norm: str) -> TensorType:
    if x.dtype.kind == "c":
        raise DTypeError(
            f"rfft is not defined for {x.dtype}",
            cause="it transforms real numbers, whose transform is the mirror of itself",
            fix="use fft, or take the real part first",
        )
    at = normalize_axis(axis, x.ndim)
    shape = (*x.shape[:at], x.shape[at] // 2 + 1, *x.shape[at + 1 :])
    return TensorType(shape, _complex_dtype("rfft", x.dtype))


def _real_dft(x: Array, *, axis: int, norm: str) -> Any:
    if x.dtype.kind == "c":
        _real_dft_infer(TensorType(x.shape, x.dtype), axis=axis, norm=norm)
    transform: Any = np.fft.rfft  # untyped: NumPy's stubs want one of three literal texts
    return transform(x, None, axis, norm)


def _real_dft_rule(g: Any, _out: Any, x_type: TensorType, *, axis: int, norm: str) -> Any:
    result = dft(resized(g, x_type.shape[axis], axis), axes=(axis,), inverse=False, norm=norm)
    return _fitting(result, x_type)


real_dft: Op = register(
    Op(
        name="real_dft",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_real_dft,
        routine="oplibrary.machine.routines.fourier:real_transform",
        infer=_real_dft_infer,
        vjp=(_real_dft_rule,),
        jvp=linear,
        attrs={"axis": ..., "norm": "backward"},
        public=False,
        examples=(
            example((3, 4), axis=1),
            example((5, 2), axis=0, norm="ortho"),
            example((1,), axis=0),
        ),
        batch=along_axis,
        doc="Return the first half of the transform of real numbers along an axis.",
    )
)


def _inverse_real_dft_infer(x: TensorType, *, n: int, axis: int, norm: str) -> TensorType:
    at = normalize_axis(axis, x.ndim)
    shape = (*x.shape[:at], n, *x.shape[at + 1 :])
    if is_half(x.dtype):  # as NumPy has it of float16
        return TensorType(shape, x.dtype)
    return TensorType(shape, _real_dtype(_complex_dtype("irfft", x.dtype)))


@halves_in_float32(1)
def _inverse_real_dft(x: Array, *, n: int, axis: int, norm: str) -> Any:
    transform: Any = np.fft.irfft
    return transform(x, n, axis, norm)


def _inverse_real_dft_rule(
    g: Any, _out: Any, x_type: TensorType, *, n: int, axis: int, norm: str
) -> Any:
    # all but the ends stand for themselves and for their mirror
    weights = np.full(n // 2 + 1, 2.0, g.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    weights = weights.reshape((-1,) + (1,) * (x_type.ndim - 1 - axis % x_type.ndim))
    return _fitting(conj(real_dft(g, axis=axis, norm=OTHER_WAY[norm])) * weights, x_type)


inverse_real_dft: Op = register(
    Op(
        name="inverse_real_dft",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_inverse_real_dft,
        routine="oplibrary.machine.routines.fourier:inverse_real_transform",
        infer=_inverse_real_dft_infer,
        vjp=(_inverse_real_dft_rule,),
        jvp=linear,
        attrs={"n": ..., "axis": ..., "norm": "backward"},
        public=False,
        examples=(
            example(_COMPLEX, n=4, axis=1),
            example((2, 3), n=4, axis=1),
            example(_COMPLEX, n=5, axis=1, norm="forward"),
            example(_COMPLEX, n=2, axis=0, norm="ortho"),
        ),
        batch=along_axis,
        doc="Return the n real numbers along an axis of whose transform this is the first half.",
    )
)
