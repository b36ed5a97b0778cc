"""Einstein's summation convention: sums of products, described by one letter an axis."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import Rows
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.diagonal import diagonal
from oplibrary.ops.elementwise import cast
from oplibrary.ops.kernels import halves_lowered, in_float32
from oplibrary.ops.movement import broadcast_to, permute_dims, reshape
from oplibrary.ops.reduction import sum as sum_
from oplibrary.values.dtypes import is_half, promoted
from oplibrary.values.types import Array, Shape, TensorType

# subscripts --------------------------------------------------------------------------------------


class _Contraction(NamedTuple):
    """Subscripts with every ellipsis written out, and the length of each label."""

    inputs: tuple[str, ...]
    output: str
    lengths: dict[str, int]

    @property
    def shape(self) -> Shape:
        return tuple(self.lengths[label] for label in self.output)

    @property
    def sums_nothing(self) -> bool:
        """Whether every sum has no terms: 0, also beside what is not finite."""
        return any(
            type(n) is int and n == 0
            for label, n in self.lengths.items()
            if label not in self.output
        )


def _bad_subscripts(subscripts: str, what: str, cause: str, fix: str) -> ArgumentError:
    return ArgumentError(f"einsum: {subscripts!r}: {what}", cause=cause, fix=fix)


@lru_cache(maxsize=4096)
def _parse(subscripts: str, shapes: tuple[Shape, ...]) -> _Contraction:
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(shapes):
        raise _bad_subscripts(
            subscripts,
            f"{len(inputs)} operands described, {len(shapes)} passed",
            "each operand has its own subscripts, separated by commas",
            "add or remove subscripts or operands",
        )
    for part in (*inputs, output):
        wrong = set(part.replace("...", "", 1)) - set(ascii_letters)
        if wrong:
            raise _bad_subscripts(
                subscripts,
                f"unexpected {min(wrong)!r}",
                "subscripts are letters, one an axis, and at most one '...' an operand",
                "write them as in 'bij,bjk->bik'",
            )
    free = [letter for letter in ascii_letters if letter not in subscripts]
    counts = [len(s) - s.count(".") for s in inputs]
    spare = max(
        (len(shape) - n for s, n, shape in zip(inputs, counts, shapes) if "..." in s), default=0
    )
    ellipsis = "".join(free[: max(spare, 0)])
    expanded = []
    for position, (part, n, shape) in enumerate(zip(inputs, counts, shapes)):
        hidden = len(shape) - n
        if hidden < 0 or (hidden and "..." not in part):
            raise _bad_subscripts(
                subscripts,
                f"operand {position} has {len(shape)} axes, its subscripts {part!r} name {n}",
                "each axis needs one letter; '...' stands for the axes that are not named",
                f"give operand {position} one letter an axis",
            )
        expanded.append(part.replace("...", ellipsis[len(ellipsis) - hidden :]))
    lengths = _label_lengths(subscripts, expanded, shapes)
    if arrow:
        output = output.replace("...", ellipsis)
    else:
        joined = "".join(expanded)
        named = sorted(c for c in set(joined) - set(ellipsis) if joined.count(c) == 1)
        output = ellipsis + "".join(named)
    for label in output:
        if label not in lengths or output.count(label) > 1:
            raise _bad_subscripts(
                subscripts,
                f"label {label!r} of the result "
                + ("is in no operand" if label not in lengths else "appears twice"),
                "the result has one axis for each of its labels, taken from the operands",
                "name each label of the result once, and in some operand",
            )
    return _Contraction(tuple(expanded), output, lengths)


def _label_lengths(
    subscripts: str, inputs: Sequence[str], shapes: tuple[Shape, ...]
) -> dict[str, int]:
    lengths: dict[str, int] = {}
    for labels, shape in zip(inputs, shapes):
        for label, n in zip(labels, shape):
            known = lengths.get(label, 1)
            if n != known and n != 1 and known != 1:
                raise ShapeError(
                    f"einsum: {subscripts!r}: label {label!r} has lengths {known} and {n}",
                    cause="the axes that share a label have one length, or length 1; the shapes "
                    "are " + " and ".join(map(str, shapes)),
                    fix="use two labels, or transpose the operand so that the axes line up",
                )
            if known == 1:
                lengths[label] = n
    return lengths


# the kernel ---------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """Contract the operands at `left` and `right`, keeping `labels`."""

    left: int
    right: int
    labels: str


@lru_cache(maxsize=4096)
def _path(inputs: tuple[str, ...], output: str, sizes: tuple[tuple[str, int], ...]) -> list[_Step]:
    """Choose pairs greedily by the number of products, the cheapest first."""
    lengths = dict(sizes)
    pending = list(inputs)
    steps = []
    while len(pending) > 2:
        best = None
        for j in range(1, len(pending)):
            for i in range(j):
                union = "".join(dict.fromkeys(pending[i] + pending[j]))
                cost = prod(lengths[label] for label in union)
                if best is None or cost < best[0]:
                    rest = output + "".join(s for k, s in enumerate(pending) if k not in (i, j))
                    best = cost, _Step(i, j, "".join(c for c in union if c in rest))
        assert best is not None
        step = best[1]
        steps.append(step)
        del pending[step.right], pending[step.left]
        pending.append(step.labels)
    steps.append(_Step(0, 1, output))
    return steps


def _reduce_to(x: Array, labels: str, keep: str) -> tuple[Array, str]:
    """Return `x` with one axis a label, and without the labels that are not in `keep`."""
    unique = "".join(dict.fromkeys(labels))
    if unique != labels:
        x = np.einsum(f"{labels}->{unique}", x)
    dropped = tuple(axis for axis, label in enumerate(unique) if label not in keep)
    if dropped:
        x = np.add.reduce(x, axis=dropped, dtype=x.dtype)
        unique = "".join(c for c in unique if c in keep)
    return x, unique


def _drop_broadcast(x: Array, labels: str, lengths: dict[str, int]) -> tuple[Array, str]:
    """Return `x` without the axes of length 1 whose label is longer elsewhere."""
    kept = [axis for axis, c in enumerate(labels) if x.shape[axis] == lengths[c]]
    if len(kept) == len(labels):
        return x, labels
    return x.reshape([x.shape[a] for a in kept]), "".join(labels[a] for a in kept)


def _contract(x: Array, xs: str, y: Array, ys: str, output: str) -> Array:
    """Contract two operands: one batched BLAS product, or one product with broadcasting."""
    x, xs = _reduce_to(x, xs, ys + output)
    y, ys = _reduce_to(y, ys, xs + output)
    batch = "".join(c for c in xs if c in ys and c in output)
    summed = "".join(c for c in xs if c in ys and c not in output)
    left = "".join(c for c in xs if c not in ys)
    right = "".join(c for c in ys if c not in xs)
    x = x.transpose([xs.index(c) for c in batch + left + summed])
    y = y.transpose([ys.index(c) for c in batch + summed + right])
    b, m, k = len(batch), len(left), len(summed)
    batch_shape, left_shape, right_shape = x.shape[:b], x.shape[b : b + m], y.shape[b + k :]
    if summed:
        size = prod(x.shape[b + m :])
        product = np.matmul(
            x.reshape((*batch_shape, prod(left_shape), size)),
            y.reshape((*batch_shape, size, prod(right_shape))),
        )
    else:
        product = np.multiply(
            x.reshape((*batch_shape, *left_shape, *(1,) * len(right))),
            y.reshape((*batch_shape, *(1,) * len(left), *right_shape)),
        )
    result: Array = product.reshape(batch_shape + left_shape + right_shape)
    order = batch + left + right
    return result.transpose([order.index(c) for c in output])


def _einsum_kernel(*operands: Any, subscripts: str) -> Any:
    arrays = [np.asarray(x) for x in operands]
    if any(is_half(x.dtype) for x in arrays):
        return in_float32(_einsum_kernel, tuple(arrays), None, {"subscripts": subscripts})
    contraction = _parse(subscripts, tuple(x.shape for x in arrays))
    inputs, output, lengths = contraction
    if contraction.sums_nothing:
        return np.zeros(contraction.shape, promoted(*[x.dtype for x in arrays]))
    if len(arrays) == 1:
        x, labels = _reduce_to(arrays[0], inputs[0], output)
        x = x.transpose([labels.index(c) for c in output])
        return x.copy() if np.may_share_memory(x, arrays[0]) else x
    pairs = [_drop_broadcast(x, s, lengths) for x, s in zip(arrays, inputs)]
    labels_now = tuple(s for _, s in pairs)
    for step in _path(labels_now, output, tuple(lengths.items())):
        y, ys = pairs.pop(step.right)
        x, xs = pairs.pop(step.left)
        pairs.append((_contract(x, xs, y, ys, step.labels), step.labels))
    return pairs[0][0]


# made of simpler ops ------------------------------------------------------------------------------


def _diagonals(x: Any, labels: str) -> tuple[Any, str]:
    """Return `x` with one axis a label: where two share one, the diagonal of both."""
    for label in labels:
        if labels.count(label) > 1:
            pair = [axis for axis, each in enumerate(labels) if each == label][:2]
            rest = [axis for axis in range(len(labels)) if axis not in pair]
            x = diagonal(permute_dims(x, axes=(*rest, *pair)))
            return _diagonals(x, "".join(labels[axis] for axis in rest) + label)
    return x, labels


def _summed(x: Any, labels: str, keep: str) -> tuple[Any, str]:
    """Return `x` summed over the labels that are not in `keep`, in its dtype."""
    axes = tuple(axis for axis, label in enumerate(labels) if label not in keep)
    if not axes:
        return x, labels
    total = sum_(x, axis=axes)
    total = total if total.dtype == x.dtype else cast(total, dtype=x.dtype)
    return total, "".join(label for label in labels if label in keep)


_OF_HALVES = halves_lowered("einsum")


def _lowered(*operands: Any, subscripts: str) -> Any | None:
    """Return an einsum as diagonals, sums and products of two; None if it is such a product."""
    dtype = promoted(*[x.dtype for x in operands])
    if any(is_half(x.dtype) for x in operands):
        return _OF_HALVES(*operands, subscripts=subscripts)
    shapes = tuple(tuple(x.shape) for x in operands)
    contraction = _parse(subscripts, shapes)
    inputs, output, lengths = contraction
    if contraction.sums_nothing:
        return broadcast_to(np.zeros((), dtype), shape=contraction.shape)
    ragged = any(
        len({n for c, n in zip(labels, shape, strict=True) if c == label}) > 1
        for labels, shape in zip(inputs, shapes, strict=True)
        for label in labels
    )
    if ragged or dtype.kind == "b":  # one length broadcasts along another one of its own
        return None
    pending = []
    for position, (x, labels) in enumerate(zip(operands, inputs, strict=True)):
        x = x if x.dtype == dtype else cast(x, dtype=dtype)
        x, labels = _diagonals(x, labels)
        long = [axis for axis, c in enumerate(labels) if x.shape[axis] == lengths[c]]
        labels = "".join(labels[axis] for axis in long)
        x = reshape(x, shape=tuple(x.shape[axis] for axis in long))
        elsewhere = output + "".join(each for i, each in enumerate(inputs) if i != position)
        pending.append(_summed(x, labels, elsewhere))
    now = tuple(labels for _, labels in pending)
    if len(pending) == 2 and now == inputs:
        return None
    if len(pending) > 1:
        for step in _path(now, output, tuple(lengths.items())):
            y, ys = pending.pop(step.right)
            x, xs = pending.pop(step.left)
            x, xs = _summed(x, xs, ys + step.labels)
            y, ys = _summed(y, ys, xs + step.labels)
            pending.append((_einsum(x, y, subscripts=f"{xs},{ys}->{step.labels}"), step.labels))
    ((x, labels),) = pending
    axes = tuple(labels.index(label) for label in output)
    return x if labels == output else permute_dims(x, axes=axes)


# the op -------------------------------------------------------------------------------------------


def _einsum_infer(*types: TensorType, subscripts: str) -> TensorType:
    shape = _parse(subscripts, tuple(t.shape for t in types)).shape
    return TensorType(shape, promoted(*(t.dtype for t in types)))


def _einsum_rule(position: int, g: Any, _out: Any, *others: Any, subscripts: str) -> Any:
    """Contract `g` with the other operands, asking for the labels of this one.

    Labels of the operand that are nowhere else were summed alone: their gradient is constant along
    them. A label that the operand repeats selected a diagonal: an identity matrix puts it back.
    """
    inputs, output, lengths = _parse(subscripts, tuple(x.shape for x in others))
    shape, labels = others[position].shape, inputs[position]
    free = iter([c for c in ascii_letters if c not in lengths])
    parts = [output, *(s for k, s in enumerate(inputs) if k != position)]
    factors = [g, *(x for k, x in enumerate(others) if k != position)]
    distinct: list[str] = []
    for axis, label in enumerate(labels):
        if label in distinct:
            fresh = next(free)
            parts.append(label + fresh)
            factors.append(np.eye(shape[axis], dtype=g.dtype))
            distinct.append(fresh)
        else:
            distinct.append(label)
    present = "".join(parts)
    target = [
        axis
        for axis, label in enumerate(distinct)
        if label in present and shape[axis] == lengths.get(label, shape[axis])
    ]
    wanted = "".join(distinct[axis] for axis in target)
    gradient = _einsum(*factors, subscripts=f"{','.join(parts)}->{wanted}")
    if tuple(gradient.shape) != tuple(shape):
        found = iter(gradient.shape)
        aligned = tuple(next(found) if axis in target else 1 for axis in range(len(shape)))
        gradient = broadcast_to(gradient.reshape(aligned), shape=shape)
    return gradient


def _explicit(*types: TensorType, subscripts: str) -> str:
    contraction = _parse(subscripts, tuple(t.shape for t in types))
    return f"{','.join(contraction.inputs)}->{contraction.output}"


def _einsum_rows(rows: Rows) -> Any:
    inputs, output, lengths = _parse(rows.attrs["subscripts"], tuple(t.shape for t in rows.types))
    letter = next(each for each in ascii_letters if each not in lengths)
    parts = [
        letter + labels if own else labels for labels, own in zip(inputs, rows.batched, strict=True)
    ]
    return _einsum(*rows.operands, subscripts=f"{','.join(parts)}->{letter}{output}")


_einsum: Op = register(
    Op(
        name="einsum",
        kind=Kind.CONTRACTION,
        arity=None,
        kernel=_einsum_kernel,
        infer=_einsum_infer,
        contraction=_explicit,
        lowering=_lowered,
        vjp=_einsum_rule,
        attrs={"subscripts": ...},
        examples=(
            example((3, 4), (4, 2), subscripts="ij,jk->ik"),
            example((2, 3, 4), (2, 4, 5), subscripts="bij,bjk->bki"),
            example((3, 4), (4,), (3,), subscripts="ij,j,i->"),
            example((3, 4), subscripts="ij->j"),
            example((3, 3), subscripts="ii->"),
            example((3, 3, 2), (2,), subscripts="iij,j->i"),
            example((3,), (4,), subscripts="i,j"),
            example((2, 3, 4), (1, 4, 2), subscripts="...ij,...jk->...ik"),
            example((5, 3, 4), (4, 2), subscripts="...j,jk"),
        ),
        batch=_einsum_rows,
        doc="Sum products over the labels that `subscripts` leaves out of the result.",
    )
)


@public
def einsum(subscripts: str, *operands: Any) -> Any:
    """Sum products of the operands, as ``subscripts`` describes them (Einstein's convention).

    Parameters
    ----------
    subscripts : str
        One group of letters an operand, one letter an axis, as in ``"bij,bjk->bik"``. Labels that
        the result leaves out are summed; ``...`` stands for axes that broadcast. Without ``->`` the
        result has the labels that appear once, in alphabetical order.
    *operands : array
        As many as there are groups of letters.

    Returns
    -------
    array

    Raises
    ------
    ArgumentError
        If the subscripts are malformed or do not describe the operands.
    ShapeError
        If a label has two lengths.

    Notes
    -----
    Three or more operands are contracted in pairs, each time the pair with the fewest products.

    Examples
    --------
    >>> import numpy as np
    >>> einsum("ij,j->i", np.ones((2, 3)), np.arange(3.0))
    array([3., 3.])
    """
    if not isinstance(subscripts, str):
        raise ArgumentError(
            f"einsum: the subscripts are a {type(subscripts).__name__}, not a str",
            cause="the subscripts come first, the operands after them",
            fix="write einsum('ij,jk->ik', x, y)",
        )
    return _einsum(*operands, subscripts=subscripts)
