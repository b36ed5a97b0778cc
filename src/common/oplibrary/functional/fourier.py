"""Fourier transforms as users call them: of any length, along one axis or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.registry import public_in
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import (
    is_real_number,
    normalize_ints,
    operand_type,
    require_device,
    require_int,
)
from oplibrary.ops.creation import resolve_dtype
from oplibrary.ops.elementwise import conj
from oplibrary.ops.fourier import NORMS, OTHER_WAY, dft, inverse_real_dft, real_dft, resized
from oplibrary.ops.slicing import roll
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import normalize_axes, normalize_axis

if TYPE_CHECKING:
    import numpy.typing as npt

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
    return dft(resized(x, length, at), axes=(at,), inverse=inverse, norm=norm)


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
        x = resized(x, length, at)
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
    return real_dft(resized(x, length, at), axis=at, norm=_require_norm("rfft", norm))


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
    return inverse_real_dft(resized(x, length // 2 + 1, at), n=length, axis=at, norm=norm)


def _real_axes(name: str, x: Any, s: Any, axes: Any, norm: Any) -> Any:
    places, lengths = _axes_and_lengths(name, x, s, axes)
    norm = _require_norm(name, norm)
    if not places:
        raise _without_axes(name)
    x = real_dft(resized(x, lengths[-1], places[-1]), axis=places[-1], norm=norm)
    for at, length in zip(places[:-1], lengths[:-1]):
        x = resized(x, length, at)
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
        x = dft(resized(x, length, at), axes=(at,), inverse=True, norm=norm)
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
    return _to_real("hfft", conj(x), n, axis, OTHER_WAY[norm])


@public_in("fft")
def ihfft(x: Any, n: int | None = None, axis: int = -1, norm: str = "backward") -> Any:
    """Return the inverse of `hfft`, with the same parameters.

    Examples
    --------
    >>> ihfft(np.array([8.0, -2.0, 0.0, -2.0])).tolist()
    [(1-0j), (2-0j), (3-0j)]
    """
    length, at = _along("ihfft", x, n, axis)
    norm = OTHER_WAY[_require_norm("ihfft", norm)]
    return conj(real_dft(resized(x, length, at), axis=at, norm=norm))


# frequencies --------------------------------------------------------------------------------------


def _frequencies(name: str, numbers: Any, n: int, d: Any, dtype: Any, device: Any) -> Any:
    require_device(device)
    if not is_real_number(d):
        raise ArgumentError(
            f"{name}: d must be a number, not {d!r}",
            cause="it is the distance between two samples",
            fix="pass a float, such as d=0.1",
        )
    kind = resolve_dtype(dtype)
    if kind.kind not in REAL_FLOATING:
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
