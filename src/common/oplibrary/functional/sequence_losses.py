"""Connectionist temporal classification: labels whose places in a longer sequence are not known."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.loops import scan_of
from oplibrary.core.registry import public
from oplibrary.functional.loss_reduction import reduce_losses, require_reduction
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag, require_int
from oplibrary.ops.comparison import equal, greater, less, logical_and, not_equal
from oplibrary.ops.creation import full_like, zeros_like
from oplibrary.ops.elementwise import add, cast, divide, maximum, multiply, negative, where
from oplibrary.ops.exponential import logaddexp
from oplibrary.ops.gather import require_integers, take, take_along_axis
from oplibrary.ops.joining import concat
from oplibrary.ops.movement import expand_dims, reshape
from oplibrary.ops.slicing import slice_axis
from oplibrary.values.dtypes import REAL_FLOATING

_NEVER = -1e30
"""The logarithm of the probability of what cannot be: finite, so that gradients are numbers."""


@public
def ctc_loss(
    log_probabilities: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Return the negative log-probability of target sequences under every alignment to the inputs.

    Parameters
    ----------
    log_probabilities : array
        Logarithms, such as `log_softmax` gives, ``(steps, n, c)``; ``(steps, c)`` for one sequence.
    targets : integer array
        Class ids, ``(n, s)``, of which those behind the length of a target do not count; ``(s,)``
        for one sequence. None of them is the blank.
    input_lengths, target_lengths : integer array or tuple
        ``(n,)``; ints for one sequence.
    blank : int
        The class that stands for no label.
    reduction : {"mean", "sum", "none"}
        ``"mean"`` divides each loss by the length of its target, at least 1, first.
    zero_infinity : bool
        Let a target that cannot be aligned, such as one that is longer than its input, have loss 0
        and no gradient. Its loss is ``inf`` otherwise, and its gradient not finite.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the probabilities are not floating-point, or ids or lengths no whole numbers.
    IndexingError
        If a target is not a class, or a length that only a run knows is longer than its axis.
    ArgumentError
        If a length is longer than its axis, the blank is no class, or `reduction` is unknown.

    Notes
    -----
    Graves, Fernández, Gomez and Schmidhuber, "Connectionist temporal classification" (2006), by the
    forward variables in log space, in one `scan`.
    """
    given, ids = operand_type("ctc_loss", log_probabilities), operand_type("ctc_loss", targets)
    one = given.ndim == 2
    if given.dtype.kind not in REAL_FLOATING:
        raise DTypeError(
            f"ctc_loss is not defined for {given.dtype}",
            cause="logarithms of probabilities are floating-point numbers",
            fix="pass what log_softmax returns",
        )
    require_integers("ctc_loss", ids)
    if (
        given.ndim not in (2, 3)
        or ids.ndim != given.ndim - 1
        or ids.shape[:-1] != given.shape[1:-1]
    ):
        raise ShapeError(
            f"ctc_loss: targets of shape {ids.shape} for log-probabilities {given.shape}",
            cause="they are (n, s) and (steps, n, c), or (s,) and (steps, c); targets behind each "
            "other are to be padded to rows of one length",
            fix="pad the targets to (n, s)",
        )
    number = require_int(blank, "blank")
    if not 0 <= number < given.shape[-1]:
        raise ArgumentError(
            f"ctc_loss: blank is {number}, of {given.shape[-1]} classes",
            cause="it is the id of one of them",
            fix="pass blank=0, and a class for it",
        )
    if one:
        log_probabilities, targets = (
            expand_dims(log_probabilities, axis=1),
            expand_dims(targets, axis=0),
        )
    steps, n, s = given.shape[0], 1 if one else given.shape[1], ids.shape[-1]
    in_lengths = _lengths("input_lengths", input_lengths, steps, n)
    out_lengths = _lengths("target_lengths", target_lengths, s, n)
    scores = (
        log_probabilities if given.dtype.itemsize > 2 else cast(log_probabilities, dtype=np.float32)
    )
    found = _log_probability(scores, targets, in_lengths, out_lengths, number)

    never = less(found, _NEVER / 2)
    if require_flag(zero_infinity, "zero_infinity"):
        losses = where(never, 0.0, negative(found))
    else:
        losses = multiply(negative(found), where(never, np.inf, 1.0).astype(found.dtype))
    require_reduction("ctc_loss", reduction)
    if reduction == "mean":
        losses = divide(losses, cast(maximum(out_lengths, 1), dtype=losses.dtype))
    losses = reduce_losses("ctc_loss", losses, reduction)
    if one and reduction == "none":
        losses = reshape(losses, shape=())
    return losses if losses.dtype == given.dtype else cast(losses, dtype=given.dtype)


def _lengths(name: str, lengths: Any, most: int, n: int) -> Any:
    """Return lengths as an array, ``(n,)``, none of which is above `most`."""
    if isinstance(lengths, (int, list, tuple, np.integer)):
        lengths = np.asarray(lengths, np.int64 if np.size(lengths) == 0 else None)
    type_ = operand_type("ctc_loss", lengths)
    require_integers("ctc_loss", type_)
    if type_.size != n or type_.ndim > 1:
        raise ShapeError(
            f"ctc_loss: {name} of shape {type_.shape} for {n} sequences",
            cause="there is one length for each",
            fix="give them one axis, as long as the batch",
        )
    lengths = reshape(lengths, shape=(n,))
    if not isinstance(lengths, np.ndarray):  # refused when it is run
        return take(np.arange(most + 1), lengths, axis=0)
    wrong = lengths[(lengths < 0) | (lengths > most)]
    if wrong.size:
        raise ArgumentError(
            f"ctc_loss: {name} has {wrong[0]}",
            cause=f"lengths count from 0 to {most}, the length of the axis",
            fix="pass the lengths before padding",
        )
    return lengths.astype(np.int64)


def _log_probability(
    scores: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int
) -> Any:
    """Return the logarithm of the probability of each target under all its alignments, ``(n,)``."""
    n, s = targets.shape
    column = expand_dims(target_lengths, axis=-1)  # of which the rows have the batch's length
    counted = less(np.arange(s), column)
    labels = where(counted, cast(targets, dtype=np.int64), blank)
    # blanks between all labels, and at both ends
    labels = expand_dims(labels, axis=-1)
    pairs = concat([full_like(labels, fill_value=blank), labels], axis=2)
    end = full_like(column, fill_value=blank)
    states = concat([reshape(pairs, shape=(n, 2 * s)), end], axis=1)
    width = 2 * s + 1
    emitted = take_along_axis(scores, expand_dims(states, axis=0), axis=2)
    emitted = where(less(emitted, _NEVER), _NEVER, emitted)
    # a label follows the one before it without a blank where it is another
    before_that = slice_axis(states, start=0, stop=max(width - 2, 0), axis=1)
    twice_before = concat([*[end] * min(2, width), before_that], axis=1)
    skips = logical_and(not_equal(states, blank), not_equal(states, twice_before))
    dtype = scores.dtype
    never = full_like(column, fill_value=_NEVER, dtype=dtype)

    def step(carry: Any, row: Any) -> tuple[Any, None]:
        before, t = carry
        padded = concat([never, never, before], axis=1)
        once = slice_axis(padded, start=1, stop=width + 1, axis=1)
        twice = where(skips, slice_axis(padded, start=0, stop=width, axis=1), _NEVER)
        now = add(logaddexp(logaddexp(before, once), twice), row)
        running = expand_dims(greater(input_lengths, t), axis=-1)
        return (where(running, now, before), add(t, 1)), None

    begun = concat([zeros_like(never), *[never] * (width - 1)], axis=1)
    (last, _), _ = scan_of((emitted,))(step, (begun, np.zeros((), np.int64)), emitted)
    final = multiply(column, 2)
    with_blank = take_along_axis(last, final, axis=1)
    without = take_along_axis(last, maximum(add(final, -1), 0), axis=1)
    without = where(equal(final, 0), _NEVER, without)
    return reshape(logaddexp(with_blank, without), shape=(n,))
