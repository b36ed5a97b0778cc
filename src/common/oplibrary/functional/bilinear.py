"""A map of two inputs that is linear in each."""

from __future__ import annotations

from typing import Any

from oplibrary.core.registry import public
from oplibrary.messages.errors import ShapeError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.einsum import einsum
from oplibrary.ops.elementwise import add


@public
def bilinear(x: Any, y: Any, weight: Any, bias: Any = None) -> Any:
    """Return ``x @ weight[k] @ y`` for each k, with a bias.

    Parameters
    ----------
    x : array
        ``(..., n)``.
    y : array
        ``(..., m)``, with the same axes in front.
    weight : array
        ``(k, n, m)``.
    bias : array, (k,), optional

    Returns
    -------
    array, (..., k)

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    """
    left, right = operand_type("bilinear", x).shape, operand_type("bilinear", y).shape
    shape = operand_type("bilinear", weight).shape
    fits = len(shape) == 3 and (left[-1:], right[-1:]) == (shape[1:2], shape[2:])
    if not fits or left[:-1] != right[:-1]:
        raise ShapeError(
            f"bilinear: x {left}, y {right} and weight {shape}",
            cause="they are (..., n), (..., m) and (k, n, m), with the same axes in front",
            fix="give the weight the lengths of both inputs",
        )
    if bias is not None and operand_type("bilinear", bias).shape != shape[:1]:
        raise ShapeError(
            f"bilinear: a bias of shape {tuple(bias.shape)} for {shape[0]} outputs",
            cause="each output has one",
            fix="give it one axis, as long as axis 0 of the weight",
        )
    found = einsum("...n,knm,...m->...k", x, weight, y)
    return found if bias is None else add(found, bias)
