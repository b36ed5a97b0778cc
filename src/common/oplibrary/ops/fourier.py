"""Discrete Fourier transforms, by NumPy's kernels.

Three ops do all of them: the transform of complex numbers along some axes, that of real numbers
along one, whose second half is the mirror of the first and is left out, and the inverse of the
latter. Each is linear, so that its gradient is a transform again; W. Briggs and V. Henson, "The
DFT: an owner's manual" (1995), has the symmetries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from oplibrary.core.op import Kind, Op, example, public_in, register
from oplibrary.core.types import Array, TensorType, normalize_axes, normalize_axis
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import normalize_ints, operand_type, require_device, require_int
from oplibrary.ops.creation import resolve_dtype
from oplibrary.ops.elementwise import conj, real
from oplibrary.ops.slicing import pad_op, roll, slice_axis

# untyped: NumPy's stubs want one of three literal texts
_NUMPYS_RFFT: Any = np.fft.rfft
_NUMPYS_IRFFT: Any = np.fft.irfft

NORMS = ("backward", "ortho", "forward")
"""Which transform is divided: the inverse by n, both by its root, or the other one by n."""

_OTHER_WAY = dict(zip(NORMS, reversed(NORMS)))
"""For each norm, that by which a transform is divided as the one of the other direction is."""


@lru_cache(64)
def _complex_dtype(name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of a transform: complex, of the precision of `dtype`."""
    if dtype.kind not in "biufc":
        raise DTypeError(f"{name} is not defined for {dtype}")
    return np.fft.fft(np.zeros(1, dtype)).dtype


def _real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.empty(0, dtype).real.dtype


# the ops ------------------------------------------------------------------------------------------


def _dft(x: Array, *, axes: tuple[int, ...], inverse: bool, norm: str) -> Any:
    transform: Any = np.fft.ifftn if inverse else np.fft.fftn
    return transform(x, axes=axes, norm=norm)


def _dft_rule(g: Any, _out: Any, x_type: TensorType, **attrs: Any) -> Any:
    result = dft(g, **attrs)  # the matrix of the transform is symmetric
    return result if x_type.dtype.kind == "c" else real(result)


_COMPLEX = np.array([[1 + 2j, -0.5j, 3.0], [0.25, -1 - 1j, 2j]])

dft: Op = register(
    Op(
        name="dft",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_dft,
        infer=lambda x, *, axes, inverse, norm: TensorType(x.shape, _complex_dtype("fft", x.dtype)),
        vjp=(_dft_rule,),
        attrs={"axes": ..., "inverse": False, "norm": "backward"},
        public=False,
        examples=(
            example(_COMPLEX, axes=(1,)),
            example(_COMPLEX, axes=(0, 1), inverse=True, norm="ortho"),
            example((3, 4), axes=(0,)),
        ),
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
    return _NUMPYS_RFFT(x, None, axis, norm)


def _real_dft_rule(g: Any, _out: Any, x_type: TensorType, *, axis: int, norm: str) -> Any:
    return real(dft(_resized(g, x_type.shape[axis], axis), axes=(axis,), inverse=False, norm=norm))


real_dft: Op = register(
    Op(
        name="real_dft",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=_real_dft,
        infer=_real_dft_infer,
        vjp=(_real_dft_rule,),
        attrs={"axis": ..., "norm": "backward"},
        public=False,
        examples=(
            example((3, 4), axis=1),
            example((5, 2), axis=0, norm="ortho"),
            example((1,), axis=0),
        ),
        doc="Return the first half of the transform of real numbers along an axis.",
    )
)


def _inverse_real_dft_infer(x: TensorType, *, n: int, axis: int, norm: str) -> TensorType:
    at = normalize_axis(axis, x.ndim)
    shape = (*x.shape[:at], n, *x.shape[at + 1 :])
    return TensorType(shape, _real_dtype(_complex_dtype("irfft", x.dtype)))


def _inverse_real_dft_rule(
    g: Any, _out: Any, x_type: TensorType, *, n: int, axis: int, norm: str
) -> Any:
    # all but the ends stand for themselves and for their mirror
    weights = np.full(n // 2 + 1, 2.0, g.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    weights = weights.reshape((-1,) + (1,) * (x_type.ndim - 1 - axis % x_type.ndim))
    result = conj(real_dft(g, axis=axis, norm=_OTHER_WAY[norm])) * weights
    return result if x_type.dtype.kind == "c" else real(result)


inverse_real_dft: Op = register(
    Op(
        name="inverse_real_dft",
        kind=Kind.OPAQUE,
        arity=1,
        kernel=lambda x, *, n, axis, norm: _NUMPYS_IRFFT(x, n, axis, norm),
        infer=_inverse_real_dft_infer,
        vjp=(_inverse_real_dft_rule,),
        attrs={"n": ..., "axis": ..., "norm": "backward"},
        public=False,
        examples=(
            example(_COMPLEX, n=4, axis=1),
            example((2, 3), n=4, axis=1),
            example(_COMPLEX, n=5, axis=1, norm="forward"),
            example(_COMPLEX, n=2, axis=0, norm="ortho"),
        ),
        doc="Return the n real numbers along an axis of whose transform this is the first half.",
    )
)


# arguments ----------------------------------------------------------------------------------------


def _require_norm(name: str, norm: Any) -> str:
    if norm is None:
        return "backward"
    if norm not in NORMS:
        raise ArgumentError(
            f"{name}: norm is {norm!r}",
            cause="it says which transform is divided by the number of elements",
            fix='pass norm="backward", norm="ortho" or norm="forward"',
        )
    return str(norm)


def _require_length(name: str, n: Any) -> int:
    length = require_int(n, "n")
    if isinstance(n, bool) or length < 1:
        raise ArgumentError(
            f"{name}: n is {n}",
            cause="a transform has one element or more",
            fix="pass 1 or more, or leave it out",
        )
    return length


def _resized(x: Any, length: int, axis: int) -> Any:
    """Return `x` cut off, or continued by zeros, to a length along an axis."""
    known = x.shape[axis]
    if length < known:
        return slice_axis(x, start=0, stop=length, axis=axis)
    if length > known:
        width = [(0, 0)] * len(x.shape)
        width[axis] = (0, length - known)
        return pad_op(x, pad_width=tuple(width))
    return x


def _along(name: str, x: Any, n: Any, axis: Any) -> tuple[int, int]:
    """Return the length of a transform of `x` and its axis, counted from the left."""
    given = operand_type(name, x)
    at = normalize_axis(axis, given.ndim)
    return _require_length(name, given.shape[at] if n is None else n), at


def _axes_and_lengths(
    name: str, x: Any, s: Any, axes: Any
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the axes of a transform of several, in the order given, and its lengths along them."""
    given = operand_type(name, x)
    wanted = None if s is None else [None if n is None else n for n in _listed(s)]
    if axes is None:
        count = given.ndim if wanted is None else len(wanted)
        if count > given.ndim:
            raise ShapeError(
                f"{name}: s has {count} lengths for {given.ndim} axes",
                cause="each is that of one of the last axes",
                fix="pass no more lengths than there are axes",
            )
        places = tuple(range(given.ndim - count, given.ndim))
    else:
        listed = normalize_ints(axes, "axes")
        normalize_axes(listed, given.ndim)
        places = tuple(normalize_axis(a, given.ndim) for a in listed)
    if wanted is None:
        wanted = [None] * len(places)
    if len(wanted) != len(places):
        raise ArgumentError(
            f"{name}: s has {len(wanted)} lengths for {len(places)} axes",
            cause="each axis has one",
            fix="pass one length for each of axes",
        )
    lengths = [given.shape[at] if n in (None, -1) else n for n, at in zip(wanted, places)]
    return places, tuple(_require_length(name, n) for n in lengths)


def _listed(s: Any) -> list[Any]:
    return list(s) if isinstance(s, (list, tuple)) else [s]


# complex numbers ----------------------------------------------------------------------------------


def _transform(name: str, x: Any, n: Any, axis: Any, norm: Any, inverse: bool) -> Any:
    length, at = _along(name, x, n, axis)
    norm = _require_norm(name, norm)
    return dft(_resized(x, length, at), axes=(at,), inverse=inverse, norm=norm)


@public_in("fft")
def fft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the discrete Fourier transform along an axis.

    Parameters
    ----------
    x : array
    n : int, optional
        The length of the transform: `x` is cut off or continued by zeros; by default that of the
        axis.
    axis : int
    norm : {"backward", "ortho", "forward"}
        ``"backward"`` divides the inverse transform by n, ``"forward"`` this one, ``"ortho"`` both
        by the root of n.

    Returns
    -------
    array
        Complex, of the precision of `x`.

    Raises
    ------
    ArgumentError
        If `n` is not positive or `norm` is another one.
    AxisError
        If there is no such axis.

    Examples
    --------
    >>> fft(np.array([1.0, 0.0, 0.0])).tolist()
    [(1+0j), (1+0j), (1+0j)]
    """
    return _transform("fft", x, n, axis, norm, False)


@public_in("fft")
def ifft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the inverse of `fft`, with the same parameters.

    Examples
    --------
    >>> ifft(np.array([2.0, 0.0])).tolist()
    [(1+0j), (1+0j)]
    """
    return _transform("ifft", x, n, axis, norm, True)


def _transform_axes(name: str, x: Any, s: Any, axes: Any, norm: Any, inverse: bool) -> Any:
    places, lengths = _axes_and_lengths(name, x, s, axes)
    norm = _require_norm(name, norm)
    for at, length in zip(places, lengths):
        x = _resized(x, length, at)
    return dft(x, axes=places, inverse=inverse, norm=norm)


@public_in("fft")
def fftn(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """Return the discrete Fourier transform along several axes.

    Parameters
    ----------
    x : array
    s : sequence of int, optional
        The length along each of the axes; by default theirs.
    axes : sequence of int, optional
        By default the last ones, as many as `s` has lengths, or all.
    norm : {"backward", "ortho", "forward"}
        See `fft`.

    Raises
    ------
    ArgumentError
        If a length is not positive, or there is not one for each axis.
    AxisError
        If there is no such axis.

    Examples
    --------
    >>> fftn(np.eye(2)).tolist()
    [[(2+0j), 0j], [0j, (2+0j)]]
    """
    return _transform_axes("fftn", x, s, axes, norm, False)


@public_in("fft")
def ifftn(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """Return the inverse of `fftn`, with the same parameters.

    Examples
    --------
    >>> ifftn(np.ones((2, 2))).tolist()
    [[(1+0j), 0j], [0j, 0j]]
    """
    return _transform_axes("ifftn", x, s, axes, norm, True)


@public_in("fft")
def fft2(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Any:
    """Return the discrete Fourier transform along two axes; see `fftn`."""
    return _transform_axes("fft2", x, s, axes, norm, False)


@public_in("fft")
def ifft2(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Any:
    """Return the inverse of `fft2`, with the same parameters."""
    return _transform_axes("ifft2", x, s, axes, norm, True)


# real numbers -------------------------------------------------------------------------------------


@public_in("fft")
def rfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the first half, n // 2 + 1 elements, of the transform of real numbers; see `fft`.

    The other half is its mirror, the conjugate.

    Raises
    ------
    DTypeError
        If `x` is complex.

    Examples
    --------
    >>> rfft(np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [(10+0j), (-2+2j), (-2+0j)]
    """
    length, at = _along("rfft", x, n, axis)
    return real_dft(_resized(x, length, at), axis=at, norm=_require_norm("rfft", norm))


@public_in("fft")
def irfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the inverse of `rfft`: n real numbers, by default twice as many as `x` has, less 2.

    Examples
    --------
    >>> irfft(rfft(np.array([1.0, 2.0, 3.0])), n=3).tolist()
    [1.0, 2.0, 3.0]
    """
    return _to_real("irfft", x, n, axis, _require_norm("irfft", norm))


def _to_real(name: str, x: Any, n: Any, axis: Any, norm: str) -> Any:
    given = operand_type(name, x)
    at = normalize_axis(axis, given.ndim)
    length = _require_length(name, 2 * (given.shape[at] - 1) if n is None else n)
    return inverse_real_dft(_resized(x, length // 2 + 1, at), n=length, axis=at, norm=norm)


def _real_axes(name: str, x: Any, s: Any, axes: Any, norm: Any) -> Any:
    places, lengths = _axes_and_lengths(name, x, s, axes)
    norm = _require_norm(name, norm)
    if not places:
        raise _without_axes(name)
    x = real_dft(_resized(x, lengths[-1], places[-1]), axis=places[-1], norm=norm)
    for at, length in zip(places[:-1], lengths[:-1]):
        x = _resized(x, length, at)
    # from the last to the first, as NumPy, for the same bits
    for at in reversed(places[:-1]):
        x = dft(x, axes=(at,), inverse=False, norm=norm)
    return x


def _without_axes(name: str) -> ArgumentError:
    return ArgumentError(
        f"{name}: there is no axis",
        cause="the real half is that of the last axis",
        fix="pass one axis or more",
    )


@public_in("fft")
def rfftn(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """Return the transform of real numbers along several axes, half of it along the last one.

    The parameters are those of `fftn`.

    Examples
    --------
    >>> rfftn(np.ones((2, 2))).tolist()
    [[(4+0j), 0j], [0j, 0j]]
    """
    return _real_axes("rfftn", x, s, axes, norm)


def _inverse_real_axes(name: str, x: Any, s: Any, axes: Any, norm: Any) -> Any:
    given = operand_type(name, x)
    places, _ = _axes_and_lengths(name, x, None if s is None else [1] * len(_listed(s)), axes)
    norm = _require_norm(name, norm)
    if not places:
        raise _without_axes(name)
    wanted = [None] * len(places) if s is None else _listed(s)
    lengths = [given.shape[at] if n in (None, -1) else n for n, at in zip(wanted, places)]
    if wanted[-1] in (None, -1):
        lengths[-1] = 2 * (given.shape[places[-1]] - 1)
    lengths = [_require_length(name, n) for n in lengths]
    for at, length in zip(places[:-1], lengths[:-1]):
        x = dft(_resized(x, length, at), axes=(at,), inverse=True, norm=norm)
    return _to_real(name, x, lengths[-1], places[-1], norm)


@public_in("fft")
def irfftn(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
) -> Any:
    """Return the inverse of `rfftn`, with the same parameters.

    Examples
    --------
    >>> irfftn(rfftn(np.ones((2, 2)))).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return _inverse_real_axes("irfftn", x, s, axes, norm)


@public_in("fft")
def rfft2(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Any:
    """Return the transform of real numbers along two axes; see `rfftn`."""
    return _real_axes("rfft2", x, s, axes, norm)


@public_in("fft")
def irfft2(
    x: Any,
    s: Sequence[int] | None = None,
    axes: Sequence[int] = (-2, -1),
    norm: str = "backward",
) -> Any:
    """Return the inverse of `rfft2`, with the same parameters."""
    return _inverse_real_axes("irfft2", x, s, axes, norm)


@public_in("fft")
def hfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the transform, which is real, of numbers whose second half mirrors the first.

    The parameters are those of `irfft`; `x` is the first half.

    Examples
    --------
    >>> hfft(np.array([1.0, 2.0, 3.0])).tolist()
    [8.0, -2.0, 0.0, -2.0]
    """
    norm = _require_norm("hfft", norm)
    operand_type("hfft", x)
    return _to_real("hfft", conj(x), n, axis, _OTHER_WAY[norm])


@public_in("fft")
def ihfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the inverse of `hfft`, with the same parameters.

    Examples
    --------
    >>> ihfft(np.array([8.0, -2.0, 0.0, -2.0])).tolist()
    [(1-0j), (2-0j), (3-0j)]
    """
    length, at = _along("ihfft", x, n, axis)
    norm = _OTHER_WAY[_require_norm("ihfft", norm)]
    return conj(real_dft(_resized(x, length, at), axis=at, norm=norm))


# frequencies --------------------------------------------------------------------------------------


def _frequencies(name: str, numbers: Any, n: int, d: Any, dtype: Any, device: Any) -> Any:
    require_device(device)
    if not isinstance(d, (int, float, np.integer, np.floating)):
        raise ArgumentError(
            f"{name}: d must be a number, not {d!r}",
            cause="it is the distance between two samples",
            fix="pass a float, such as d=0.1",
        )
    kind = resolve_dtype(dtype)
    if kind.kind != "f":
        raise DTypeError(f"{name} is not defined for {kind}", cause="frequencies are fractions")
    return (numbers / (n * float(d))).astype(kind)


@public_in("fft")
def fftfreq(
    n: int, d: float = 1.0, dtype: npt.DTypeLike | None = None, device: str | None = None
) -> Any:
    """Return the frequency of each element of a transform of length `n`.

    Parameters
    ----------
    n : int
    d : float
        The distance between two samples.
    dtype : dtype, optional
        float32 by default.
    device : str, optional
        ``"cpu"``, the only one.

    Examples
    --------
    >>> fftfreq(4, 0.5).tolist()
    [0.0, 0.5, -1.0, -0.5]
    """
    length = _require_length("fftfreq", n)
    numbers = np.fft.ifftshift(np.arange(-(length // 2), (length + 1) // 2))
    return _frequencies("fftfreq", numbers, length, d, dtype, device)


@public_in("fft")
def rfftfreq(
    n: int, d: float = 1.0, dtype: npt.DTypeLike | None = None, device: str | None = None
) -> Any:
    """Return the frequency of each element of `rfft`; see `fftfreq`.

    Examples
    --------
    >>> rfftfreq(4, 0.5).tolist()
    [0.0, 0.5, 1.0]
    """
    length = _require_length("rfftfreq", n)
    return _frequencies("rfftfreq", np.arange(length // 2 + 1), length, d, dtype, device)


def _shifted(name: str, x: Any, axes: Any, sign: int) -> Any:
    given = operand_type(name, x)
    listed = range(given.ndim) if axes is None else normalize_ints(axes, "axes")
    for axis in listed:
        at = normalize_axis(axis, given.ndim)
        n = given.shape[at]
        x = roll(x, shift=n // 2 if sign > 0 else -(n // 2), axis=at)
    return x


@public_in("fft")
def fftshift(x: Any, axes: int | Sequence[int] | None = None) -> Any:
    """Put the frequency 0 in the middle of each of some axes, by default of all.

    Examples
    --------
    >>> fftshift(np.array([0, 1, -2, -1])).tolist()
    [-2, -1, 0, 1]
    """
    return _shifted("fftshift", x, axes, 1)


@public_in("fft")
def ifftshift(x: Any, axes: int | Sequence[int] | None = None) -> Any:
    """Return the inverse of `fftshift`.

    Examples
    --------
    >>> ifftshift(np.array([-2, -1, 0, 1])).tolist()
    [0, 1, -2, -1]
    """
    return _shifted("ifftshift", x, axes, -1)
