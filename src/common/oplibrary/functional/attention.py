"""Attention."""

from __future__ import annotations

from functools import lru_cache
from math import inf, sqrt
from typing import Any

import numpy as np

from oplibrary.core.op import public
from oplibrary.core.types import Array
from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.comparison import equal, logical_not
from oplibrary.ops.elementwise import add, multiply, where
from oplibrary.ops.linalg import matmul
from oplibrary.ops.movement import matrix_transpose
from oplibrary.ops.reduction import all as all_
from oplibrary.ops.reduction import any as any_
from oplibrary.ops.softmax import softmax


@lru_cache(maxsize=64)
def _causal_mask(queries: int, keys: int) -> Array:
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

    Returns
    -------
    array
        ``(..., l, v)``.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    ArgumentError
        If both a mask and `is_causal` are given.

    Notes
    -----
    Vaswani et al., "Attention is all you need" (2017), equation 1. A query that sees no key gets
    zeros, as in PyTorch.
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
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            "scaled_dot_product_attention: both attn_mask and is_causal",
            cause="is_causal is a mask already",
            fix="combine them into one mask",
        )
    if scale is None:
        scale = 1.0 / sqrt(query.shape[-1])
    scores = matmul(multiply(query, scale), matrix_transpose(key))
    if is_causal:
        attn_mask = _causal_mask(query.shape[-2], key.shape[-2])
    if attn_mask is None:
        return matmul(softmax(scores, axis=-1), value)
    if attn_mask.dtype == np.bool_:
        blind = logical_not(any_(attn_mask, axis=-1, keepdims=True))
        scores = where(attn_mask, scores, -inf)
    else:
        scores = add(scores, attn_mask)
        blind = all_(equal(scores, -inf), axis=-1, keepdims=True)
    if isinstance(blind, np.ndarray) and not blind.any():  # known, as where it is causal
        return matmul(softmax(scores, axis=-1), value)
    # what sees nothing has no weights: 0 in place of 0 / 0, forwards and backwards
    weights = where(blind, 0.0, softmax(where(blind, 0.0, scores), axis=-1))
    return matmul(weights, value)
