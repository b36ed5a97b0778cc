"""Whole numbers and choices drawn from an explicit key; they have no gradient.

Each draws from the start of its key's stream: the same key gives the same numbers in every mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.functional.continuous_distributions import gumbel
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError, SymbolicValueError
from oplibrary.ops.arguments import normalize_shape, operand_type, require_flag
from oplibrary.ops.comparison import greater
from oplibrary.ops.elementwise import add, cast, maximum, minimum, multiply, where
from oplibrary.ops.exponential import log
from oplibrary.ops.gather import take
from oplibrary.ops.movement import moveaxis, reshape
from oplibrary.ops.numbers import number_array
from oplibrary.ops.random import permutation, randint, uniform
from oplibrary.ops.random_parameters import (
    binomial_counts,
    drawn_shape,
    multinomial_counts,
    poisson_counts,
)
from oplibrary.ops.reduction import argmax
from oplibrary.ops.scan import cumulative_sum
from oplibrary.ops.searching import searchsorted
from oplibrary.ops.slicing import index_axis, slice_axis
from oplibrary.ops.sorting import argsort
from oplibrary.values.types import is_known, normalize_axis, number_kind


def _array(name: str, value: Any, dtype: Any) -> Any:
    operand_type(name, value)
    return value if number_kind(value) is None else number_array(value, dtype)


@public
def poisson(key: Any, rate: Any, shape: int | Sequence[int] | None = None) -> Any:
    """Return numbers of the Poisson distribution, int64.

    Parameters
    ----------
    key : array, (2,) of uint64
        Made by `random_key` or `random_split`.
    rate : float or array
        Not negative.
    shape : tuple of int, optional
        Of the draws, to which the parameters broadcast; by default the shape of these.

    Raises
    ------
    ArgumentError
        If a rate is negative, NaN, or more than int64 holds.
    DTypeError
        If the key is none, or the rate no real number.
    ShapeError
        If the parameters do not broadcast to `shape`.

    Notes
    -----
    Whole numbers have no gradient by the rate: one through the draws is 0, and refused with
    ``unused="raise"``. That of the mean of ``f(draws)`` is the gradient of
    ``mean(stop_gradient(f(draws)) * log_probability(draws))`` (Williams, "Simple statistical
    gradient-following algorithms", 1992).
    """
    rate = _array("poisson", rate, np.float64)
    return poisson_counts(key, rate, shape=drawn_shape("poisson", shape, rate.shape))


@public
def binomial(key: Any, n: Any, p: Any, shape: int | Sequence[int] | None = None) -> Any:
    """Return how many of `n` trials succeed, each with probability `p`, int64.

    Parameters
    ----------
    key, shape
        As for `poisson`.
    n : int or array
        Whole numbers, not negative.
    p : float or array
        From 0 to 1.

    Raises
    ------
    ArgumentError
        If a number or a probability is none.
    DTypeError, ShapeError
        As by `poisson`.

    Notes
    -----
    There is no gradient by `p`; see `poisson`.
    """
    n, p = _array("binomial", n, np.int64), _array("binomial", p, np.float64)
    return binomial_counts(key, n, p, shape=drawn_shape("binomial", shape, n.shape, p.shape))


@public
def multinomial(key: Any, n: Any, p: Any, shape: int | Sequence[int] | None = None) -> Any:
    """Return how often each category comes up in `n` draws, int64.

    Parameters
    ----------
    key : array, (2,) of uint64
    n : int or array
        Whole numbers, not negative.
    p : array
        Of each category, ``(..., k)``; they are divided by their sum.
    shape : tuple of int, optional
        Of the draws without their last axis, to which ``...`` and the shape of `n` broadcast.

    Returns
    -------
    array
        ``(*shape, k)``, of which each row adds up to `n`.

    Raises
    ------
    ArgumentError
        If a probability is negative or NaN, or all are 0, or `n` does not count.
    DTypeError, ShapeError
        As by `poisson`.

    Notes
    -----
    There is no gradient by `p`; see `poisson`.
    """
    n = _array("multinomial", n, np.int64)
    operand_type("multinomial", p)
    return multinomial_counts(
        key, n, p, shape=drawn_shape("multinomial", shape, n.shape, tuple(p.shape)[:-1])
    )


@public
def categorical(
    key: Any, logits: Any, shape: int | Sequence[int] | None = None, axis: int = -1
) -> Any:
    """Return categories, each with a probability in proportion to the exponential of its logit.

    Parameters
    ----------
    key : array, (2,) of uint64
    logits : array
        Logarithms of probabilities, up to a constant; ``-inf`` is never drawn.
    shape : tuple of int, optional
        Of the draws, to which the shape of `logits` without `axis` broadcasts.
    axis : int
        The axis of the categories.

    Returns
    -------
    array of int64

    Raises
    ------
    ShapeError
        If there is no category, or `logits` does not broadcast to `shape`.
    DTypeError
        If the key is none, or the logits are not floating-point.

    Notes
    -----
    By the largest of the logits with Gumbel noise added (Gumbel, 1954). There is no gradient by the
    logits, see `poisson`; that of `gumbel_softmax` is one of a smooth choice.
    """
    given = operand_type("categorical", logits)
    if given.dtype not in (np.float32, np.float64):
        raise DTypeError(
            f"categorical: logits of {given.dtype}",
            cause="logits are logarithms, of float32 or float64",
            fix="convert them with astype",
        )
    at = normalize_axis(axis, given.ndim)
    logits = moveaxis(logits, at, -1)
    count, batch = given.shape[at], (*given.shape[:at], *given.shape[at + 1 :])
    drawn = drawn_shape("categorical", shape, batch)
    if not count:
        raise ShapeError(
            f"categorical: logits of shape {given.shape} have no category",
            cause="a draw chooses one along the axis",
            fix="pass one logit for each category",
        )
    noise = gumbel(key, (*drawn, count), given.dtype)
    return argmax(add(logits, noise), axis=-1)


@public
def choice(
    key: Any,
    a: Any,
    shape: int | Sequence[int] = (),
    replace: bool = True,
    p: Any = None,
    axis: int = 0,
) -> Any:
    """Return elements, or slices, chosen at random.

    Parameters
    ----------
    key : array, (2,) of uint64
    a : int or array
        What is chosen from: the numbers below an int, or the slices of an array along `axis`.
    shape : tuple of int
        How many are chosen, and how they are arranged.
    replace : bool
        Whether one may be chosen more than once.
    p : array, optional
        The probability of each, ``(n,)``, in proportion to which it is chosen; by default all are
        equally likely. They are not checked.
    axis : int

    Returns
    -------
    array
        `a` with `shape` in the place of `axis`; int64 of `shape` for an int.

    Raises
    ------
    ArgumentError
        If there are fewer than are chosen.
    ShapeError
        If `p` has another length.
    DTypeError
        If the key is none.
    SymbolicValueError
        If `a` is as long as only a run will know, and `p` is not passed.

    Notes
    -----
    There is no gradient by `p`, see `poisson`; that by `a` goes to what was chosen. Without
    replacement by the order of the logarithms with Gumbel noise added (Kool, van Hoof and Welling,
    "Stochastic beams and where to find them", 2019).
    """
    whole = isinstance(a, (int, np.integer)) and not isinstance(a, bool)
    given = () if whole else operand_type("choice", a).shape
    at = 0 if whole else normalize_axis(axis, len(given))
    n = int(a) if whole else given[at]
    if not is_known(n) and p is None:
        raise SymbolicValueError(
            "choice: from a length that only a run will know",
            cause="the numbers below it are drawn",
            fix="declare that axis with a number, or pass p, such as ones",
        )
    lengths = normalize_shape(shape)
    count = prod(lengths)
    again = require_flag(replace, "replace")
    if count and (n < 1 or (count > n and not again)):
        raise ArgumentError(
            f"choice: {count} of {n}",
            cause="without replacement each is chosen once at most, and of nothing none",
            fix="choose fewer, or pass replace=True",
        )
    if p is not None and operand_type("choice", p).shape != (n,):
        raise ShapeError(
            f"choice: probabilities of shape {tuple(p.shape)} for {n} to choose from",
            cause="there is one for each",
            fix="give p one axis, as long as the one that is chosen from",
        )
    found = _indices(key, n, lengths, again, p)
    if whole:
        return found
    chosen = take(a, reshape(found, shape=(count,)), axis=at)
    return reshape(chosen, shape=(*given[:at], *lengths, *given[at + 1 :]))


def _indices(key: Any, n: int, shape: tuple[int, ...], replace: bool, p: Any) -> Any:
    count = prod(shape)
    if replace and p is None:
        return randint(key, shape=shape, low=0, high=max(n, 1))
    if not replace:
        if p is None:
            order = permutation(key, n=n)
        else:
            noise = gumbel(key, (n,), np.float64)
            p = cast(p, dtype=np.float64)
            logits = where(greater(p, 0.0), log(maximum(p, np.finfo(np.float64).tiny)), -np.inf)
            order = argsort(add(logits, noise), axis=0, descending=True)
        return reshape(slice_axis(order, start=0, stop=count, axis=0), shape=shape)
    edges = cumulative_sum(cast(p, dtype=np.float64), axis=0)
    draws = uniform(key, shape=shape, dtype=np.float64)
    draws = multiply(draws, index_axis(edges, index=n - 1, axis=0)) if n else draws
    return minimum(searchsorted(edges, draws, side="right"), n - 1)


@public
def shuffle(key: Any, x: Any, axis: int = 0) -> Any:
    """Return `x` with its slices along `axis` in random order.

    Parameters
    ----------
    key : array, (2,) of uint64
    x : array
    axis : int

    Raises
    ------
    AxisError
        If there is no such axis.
    DTypeError
        If the key is none.
    """
    shape = operand_type("shuffle", x).shape
    at = normalize_axis(axis, len(shape))
    return take(x, permutation(key, n=shape[at]), axis=at)
