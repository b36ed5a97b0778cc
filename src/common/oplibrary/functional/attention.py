"""Attention."""

from __future__ import annotations

from functools import lru_cache
from math import inf, sqrt
from typing import Any

import numpy as np

from oplibrary.core.registry import public
from oplibrary.functional.dropout import dropout
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.ops.arguments import operand_type, require_flag, require_int, require_number
from oplibrary.ops.comparison import equal, greater_equal, logical_not
from oplibrary.ops.creation import ones_like
from oplibrary.ops.elementwise import add, multiply, where
from oplibrary.ops.joining import split
from oplibrary.ops.linalg import linear, matmul
from oplibrary.ops.movement import expand_dims, matrix_transpose, swapaxes
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.reduction import any as any_
from oplibrary.ops.repetition import repeat
from oplibrary.ops.scan import cumulative_sum
from oplibrary.ops.slicing import index_axis
from oplibrary.ops.softmax import softmax
from oplibrary.values.dtypes import REAL_FLOATING
from oplibrary.values.types import Array


def _causal_mask(query: Any, key: Any) -> Any:
    """Return which keys each query sees: those up to its own position."""
    lengths = query.shape[-2], key.shape[-2]
    if all(isinstance(n, int) for n in lengths):
        return _known_causal_mask(*lengths)
    # of lengths that are not known yet, by counting
    rows, columns = (
        cumulative_sum(ones_like(index_axis(x, index=0, axis=-1), dtype="int64"), axis=-1)
        for x in (query, key)
    )
    return greater_equal(expand_dims(rows, axis=-1), expand_dims(columns, axis=-2))


@lru_cache(maxsize=64)
def _known_causal_mask(queries: int, keys: int) -> Array:
    mask = np.tri(queries, keys, dtype=np.bool_)
    mask.flags.writeable = False
    return mask


@public
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    dropout_p: float = 0.0,
    dropout_key: Any = None,
) -> Any:
    """Return the values averaged with weights ``softmax(query @ key.mT * scale)``.

    Parameters
    ----------
    query : array
        ``(..., l, e)``.
    key : array
        ``(..., s, e)``.
    value : array
        ``(..., s, v)``.
    attn_mask : array, optional
        Broadcasts to ``(..., l, s)``: truth values that say which keys take part, or numbers that
        are added to the scores.
    is_causal : bool
        Let query `i` see keys 0 to `i` only.
    scale : float, optional
        By default ``1 / sqrt(e)``.
    enable_gqa : bool
        Axis -3 holds heads, and several heads of `query` share one of `key` and `value`, whose
        number divides theirs.
    dropout_p : float
        Probability that a weight is dropped.
    dropout_key : array, optional
        Key of what is dropped; see `dropout`.

    Returns
    -------
    array
        ``(..., l, v)``.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the mask is of integers.
    ArgumentError
        If both a mask and `is_causal` are given, or weights are to be dropped without a key.

    Notes
    -----
    Vaswani et al., "Attention is all you need" (2017), equation 1; Ainslie et al.,
    "GQA" (2023), for heads that share keys. A query that sees no key gets zeros, as in PyTorch.
    """
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if min(len(x.shape) for x in (query, key, value)) < 2:
        raise ShapeError(
            f"scaled_dot_product_attention: {shapes}, each must have two axes or more",
            cause="the last two axes are positions and features",
            fix="add the axis that is missing with expand_dims",
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"scaled_dot_product_attention: {shapes} do not fit",
            cause="query and key have equally many features, key and value equally many positions",
            fix="check the last two axes of each",
        )
    require_number(dropout_p, "dropout_p")
    if require_flag(is_causal, "is_causal") and attn_mask is not None:
        raise ArgumentError(
            "scaled_dot_product_attention: both attn_mask and is_causal",
            cause="is_causal is a mask already",
            fix="combine them into one mask",
        )
    if require_flag(enable_gqa, "enable_gqa"):
        key, value = _shared(query, key, shapes), _shared(query, value, shapes)
    if scale is None:
        features = query.shape[-1]
        # a length that is not known yet has powers, and its root is a value of the graph
        root = sqrt(features) if isinstance(features, int) else features**0.5
        scale = 1.0 / root if features != 0 else 1.0
    else:
        require_number(scale, "scale")
    scores = matmul(multiply(query, scale), matrix_transpose(key))
    if is_causal:
        attn_mask = _causal_mask(query, key)
    weights = _masked_softmax(scores, attn_mask)
    if dropout_p:
        weights = dropout(weights, dropout_p, _require_key(dropout_key))
    return matmul(weights, value)


def _masked_softmax(scores: Any, mask: Any) -> Any:
    """Return softmax of the scores that the mask lets through; zeros where it lets none."""
    if mask is None:
        return softmax(scores, axis=-1)
    dtype = operand_type("scaled_dot_product_attention", mask).dtype
    if dtype == np.bool_:
        blind = logical_not(any_(mask, axis=-1, keepdims=True))
        scores = where(mask, scores, -inf)
    elif dtype.kind in REAL_FLOATING:
        scores = add(scores, mask)
        blind = all_(equal(scores, -inf), axis=-1, keepdims=True)
    else:
        raise DTypeError(
            f"scaled_dot_product_attention: attn_mask is {dtype}",
            cause="a mask has truth values, or floating-point numbers that are added to the scores",
            fix="convert it with astype(attn_mask, 'bool')",
        )
    if isinstance(blind, np.ndarray) and not blind.any():  # known, as where it is causal
        return softmax(scores, axis=-1)
    # what sees nothing has no weights: 0 in place of 0 / 0, forwards and backwards
    return where(blind, 0.0, softmax(where(blind, 0.0, scores), axis=-1))


def _shared(query: Any, x: Any, shapes: str) -> Any:
    """Return `x`, which has fewer heads than `query`, with each of them repeated."""
    ndim = min(len(query.shape), len(x.shape))
    heads, own = (query.shape[-3], x.shape[-3]) if ndim > 2 else (0, 0)
    if not own or heads % own:
        raise ShapeError(
            f"scaled_dot_product_attention: {shapes}, heads are to be shared",
            cause="axis -3 holds heads, and those of key and value divide those of query",
            fix="check axis -3 of each, or leave enable_gqa out",
        )
    return x if own == heads else repeat(x, heads // own, axis=-3)


def _require_key(key: Any) -> Any:
    if key is None:
        raise ArgumentError(
            "scaled_dot_product_attention: weights are dropped, and there is no dropout_key",
            cause="draws are functions of a key, so that a program gives the same result twice",
            fix="pass dropout_key=random_key(0), or a key from random_split",
        )
    return key


@public
def multi_head_attention(
    query: Any,
    key: Any,
    value: Any,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    out_proj_weight: Any,
    out_proj_bias: Any,
    attn_mask: Any = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    dropout_key: Any = None,
) -> Any:
    """Return attention in several heads, each with projections of its own.

    Parameters
    ----------
    query : array
        ``(..., l, e)``.
    key, value : array
        ``(..., s, e)``.
    num_heads : int
        It divides e.
    in_proj_weight, in_proj_bias : array
        ``(3 e, e)`` and ``(3 e,)``: the projections of query, key and value, one below the other,
        as PyTorch keeps them; the bias may be None.
    out_proj_weight, out_proj_bias : array
        ``(e, e)`` and ``(e,)``; the bias may be None.
    attn_mask : array, optional
        Broadcasts to ``(..., heads, l, s)``; see `scaled_dot_product_attention`.
    is_causal, dropout_p, dropout_key
        See there.

    Returns
    -------
    array
        ``(..., l, e)``.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Notes
    -----
    Vaswani et al., "Attention is all you need" (2017), section 3.2.2.
    """
    name = "multi_head_attention"
    heads, width = require_int(num_heads, "num_heads"), _width(name, query, key, value)
    if heads < 1 or width % heads:
        raise ShapeError(
            f"{name}: {width} features do not split into {heads} heads",
            cause="each head has as many of them",
            fix="pass a divisor of the number of features, such as num_heads=1",
        )
    wanted = {
        "in_proj_weight": (in_proj_weight, (3 * width, width)),
        "in_proj_bias": (in_proj_bias, (3 * width,)),
        "out_proj_weight": (out_proj_weight, (width, width)),
        "out_proj_bias": (out_proj_bias, (width,)),
    }
    for which, (given, shape) in wanted.items():
        if given is None and which.endswith("bias"):
            continue
        found = operand_type(name, given).shape
        if found != shape:
            raise ShapeError(
                f"{name}: {which} {found} for {width} features",
                cause="query, key and value have a projection each, and there is one of the result",
                fix=f"give it the shape {shape}",
            )
    weights = split(in_proj_weight, 3, axis=0)
    biases = [None] * 3 if in_proj_bias is None else split(in_proj_bias, 3, axis=0)
    query, key, value = (
        _into_heads(linear(x, weight, bias), heads)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    found = scaled_dot_product_attention(
        query, key, value, attn_mask, is_causal, dropout_p=dropout_p, dropout_key=dropout_key
    )
    together = swapaxes(found, -2, -3)
    return linear(together.reshape((*together.shape[:-2], width)), out_proj_weight, out_proj_bias)


def _width(name: str, *operands: Any) -> int:
    types = [operand_type(name, x) for x in operands]
    widths = {each.shape[-1] for each in types if each.ndim >= 2}
    if len(widths) != 1 or min(each.ndim for each in types) < 2:
        raise ShapeError(
            f"{name}: query {types[0].shape}, key {types[1].shape}, value {types[2].shape} "
            "do not fit",
            cause="the last two axes are positions and features, equally many features in each",
            fix="check the last axis of each",
        )
    return widths.pop()


def _into_heads(x: Any, heads: int) -> Any:
    """Return ``(..., heads, l, e / heads)`` of ``(..., l, e)``."""
    return swapaxes(x.reshape((*x.shape[:-1], heads, x.shape[-1] // heads)), -2, -3)
