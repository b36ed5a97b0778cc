"""Random numbers from an explicit key, so that a program draws the same ones in every mode.

A key is two unsigned 64-bit numbers. It selects one stream of Philox4x64-10, the counter-based
generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
which NumPy provides. Every function draws from the start of its key's stream: the same key gives
the same numbers, so split a key before each use.

>>> key = random_key(0)
>>> first, second = random_split(key)
>>> bool(np.any(uniform(first, (3,)) == uniform(second, (3,))))
False
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.messages.errors import ArgumentError, DTypeError
from oplibrary.ops.arguments import normalize_shape
from oplibrary.ops.comparison import less
from oplibrary.values.dtypes import to_dtype
from oplibrary.values.types import Array, Shape, TensorType
from oplibrary.values.types import broadcast_shapes as shape_of_all

if TYPE_CHECKING:
    import numpy.typing as npt

_SPLIT_COUNTER = 1 << 63
"""Keys are split from a part of the stream that draws of less than 2**193 numbers never reach."""


# one generator a thread: setting its state costs 0.7 µs, making one 6.3
_thread = threading.local()


def generator_at(key: Array, counter: int = 0) -> np.random.Generator:
    """Return this thread's generator, set to the start of the stream that `key` selects."""
    if key.shape != (2,) or key.dtype != np.uint64:
        check_key("random", TensorType(key.shape, key.dtype))
    generator: np.random.Generator | None = getattr(_thread, "generator", None)
    if generator is None:
        generator = _thread.generator = np.random.Generator(np.random.Philox(key=0))
    generator.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": np.array([0, 0, 0, counter], np.uint64), "key": key},
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return generator


def _raw(key: Array, count: int, counter: int = 0) -> Array:
    return generator_at(key, counter).bit_generator.random_raw(count)


def check_key(name: str, key: TensorType) -> None:
    """Refuse what is no key.

    Raises
    ------
    DTypeError
    """
    if key.shape != (2,) or key.dtype != np.uint64:
        raise DTypeError(
            f"{name}: {key} is not a key",
            cause="a key is uint64[2]",
            fix="make one with random_key(seed), and more with random_split(key, n)",
        )


@public
def random_key(seed: int) -> Array:
    """Return the key of an integer seed.

    Parameters
    ----------
    seed : int
        Not negative.

    Returns
    -------
    ndarray, (2,) of uint64
        A constant in every mode: pass it to the program as an input where it must change.

    Raises
    ------
    ArgumentError
        If the seed is negative or not an int.
    """
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise ArgumentError(
            f"random_key: the seed is {seed!r}",
            cause="a seed is an int of any size, not negative",
            fix="pass an int, for example random_key(0)",
        )
    return np.random.SeedSequence(int(seed)).generate_state(2, np.uint64)


def _random_op(
    name: str,
    kernel: Any,
    infer: Any,
    attrs: dict[str, Any],
    examples: tuple[dict[str, Any], ...],
    doc: str,
    routine: str,
) -> Op:
    """Register an op of one operand, the key."""

    def checked(key: TensorType, **values: Any) -> TensorType:
        check_key(name, key)
        result: TensorType = infer(**values)
        return result

    return register(
        Op(
            name=name,
            kind=Kind.OPAQUE,
            arity=1,
            kernel=kernel,
            infer=checked,
            attrs=attrs,
            routine=f"oplibrary.machine.routines.drawing:{routine}",
            operand_names=("key",),
            examples=tuple(example(np.array([7, 11], np.uint64), **values) for values in examples),
            doc=doc,
        )
    )


def _float_dtype(name: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    resolved = to_dtype(dtype)
    if resolved not in (np.float32, np.float64):
        raise DTypeError(
            f"{name}: dtype {resolved}",
            cause="the numbers are drawn as float32 or float64",
            fix="draw float32 and convert it with astype",
        )
    return resolved


# splitting and bits -------------------------------------------------------------------------------


def _count(name: str, n: Any, least: int) -> int:
    if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < least:
        raise ArgumentError(
            f"{name}: n is {n!r}",
            cause=f"it counts, from {least}",
            fix=f"pass an int of at least {least}",
        )
    return int(n)


random_split = _random_op(
    "random_split",
    lambda key, *, n=2: _raw(key, 2 * _count("random_split", n, 1), _SPLIT_COUNTER).reshape(n, 2),
    lambda *, n=2: TensorType((_count("random_split", n, 1), 2), np.uint64),
    {"n": 2},
    ({}, {"n": 5}),
    "Return n new keys, (n, 2), whose streams are independent of the key's own.",
    routine="keys",
)
random_bits = _random_op(
    "random_bits",
    lambda key, *, shape: _raw(key, prod(normalize_shape(shape))).reshape(shape),
    lambda *, shape: TensorType(normalize_shape(shape), np.uint64),
    {"shape": ...},
    ({"shape": (3, 4)}, {"shape": ()}, {"shape": (0,)}),
    "Return uniformly distributed 64-bit numbers, uint64.",
    routine="bits",
)


# floating-point numbers ---------------------------------------------------------------------------


def _uniform_kernel(
    key: Array,
    *,
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    dtype: npt.DTypeLike = np.float32,
) -> Array:
    resolved = _uniform_infer(shape=shape, low=low, high=high, dtype=dtype).dtype
    lengths = normalize_shape(shape)
    result = np.asarray(generator_at(key).random(lengths, resolved))
    if low != 0.0 or high != 1.0:
        result *= high - low
        result += low
        # rounding may reach the end, which does not belong to the interval
        np.minimum(result, np.nextafter(resolved.type(high), resolved.type(low)), out=result)
    return result


def _uniform_infer(
    *, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = np.float32
) -> TensorType:
    resolved = _float_dtype("uniform", dtype)
    if not resolved.type(low) < resolved.type(high):
        raise ArgumentError(
            f"uniform: low {low} is not below high {high}",
            cause=f"the numbers lie in [low, high), as {resolved}",
            fix="swap them, or widen the interval",
        )
    return TensorType(normalize_shape(shape), resolved)


uniform = _random_op(
    "uniform",
    _uniform_kernel,
    _uniform_infer,
    {"shape": ..., "low": 0.0, "high": 1.0, "dtype": "float32"},
    (
        {"shape": (3, 4)},
        {"shape": (), "dtype": "float64"},
        {"shape": (5,), "low": -1.0, "high": 3.0},
    ),
    "Return numbers uniformly distributed in [low, high), float32 or float64.",
    routine="interval",
)
normal = _random_op(
    "normal",
    lambda key, *, shape, dtype="float32": np.asarray(
        generator_at(key).standard_normal(normalize_shape(shape), _float_dtype("normal", dtype))
    ),
    lambda *, shape, dtype="float32": TensorType(
        normalize_shape(shape), _float_dtype("normal", dtype)
    ),
    {"shape": ..., "dtype": "float32"},
    ({"shape": (3, 4)}, {"shape": (), "dtype": "float64"}),
    "Return numbers of the standard normal distribution, float32 or float64.",
    routine="normal",
)


# integers and choices -----------------------------------------------------------------------------


def _randint_infer(*, shape: Shape, low: int, high: int) -> TensorType:
    whole = all(isinstance(bound, (int, np.integer)) for bound in (low, high))
    if not whole or not -(2**63) <= low < high <= 2**63:
        raise ArgumentError(
            f"randint: low {low!r}, high {high!r}",
            cause="the numbers are int64 in [low, high)",
            fix="pass ints with low below high",
        )
    return TensorType(normalize_shape(shape), np.int64)


def _randint_kernel(key: Array, *, shape: Shape, low: int, high: int) -> Array:
    lengths = _randint_infer(shape=shape, low=low, high=high).shape
    return np.asarray(generator_at(key).integers(low, high, lengths))


randint = _random_op(
    "randint",
    _randint_kernel,
    _randint_infer,
    {"shape": ..., "low": ..., "high": ...},
    ({"shape": (3, 4), "low": 0, "high": 10}, {"shape": (), "low": -5, "high": -4}),
    "Return integers uniformly distributed in [low, high), int64.",
    routine="integers",
)
permutation = _random_op(
    "permutation",
    lambda key, *, n: generator_at(key).permutation(_count("permutation", n, 0)),
    lambda *, n: TensorType((_count("permutation", n, 0),), np.int64),
    {"n": ...},
    ({"n": 6}, {"n": 0}),
    "Return 0 to n - 1 in random order, int64.",
    routine="permutation",
)


@public
def bernoulli(key: Any, p: Any, shape: int | Sequence[int]) -> Any:
    """Return True with probability `p`, element by element.

    Parameters
    ----------
    key : array
        Made by `random_key` or `random_split`, ``(2,)`` of uint64.
    p : float or array
        Probability, 0 to 1; an array broadcasts against the draws.
    shape : tuple of int
        Shape of the draws.

    Returns
    -------
    array of bool

    Notes
    -----
    There is no gradient by `p`; see `poisson`.
    """
    drawn = normalize_shape(shape)
    if hasattr(p, "shape"):  # before there are draws that p does not fit
        shape_of_all(drawn, tuple(p.shape))
    return less(uniform(key, shape=drawn), p)
