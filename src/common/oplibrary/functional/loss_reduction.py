"""What losses have in common: targets of the same shape, and one number in the end."""

from __future__ import annotations

from typing import Any

from oplibrary.messages.errors import ArgumentError, ShapeError
from oplibrary.ops.arguments import operand_type, require_number
from oplibrary.ops.reduction import sum as sum_
from oplibrary.ops.statistics import mean


def reduce_losses(name: str, losses: Any, reduction: str) -> Any:
    """Return the mean or the sum of `losses`, or `losses`.

    Raises
    ------
    ArgumentError
        If `reduction` is none of ``"mean"``, ``"sum"`` and ``"none"``.
    """
    require_reduction(name, reduction)
    if reduction == "mean":
        return mean(losses)
    return sum_(losses) if reduction == "sum" else losses


def require_reduction(name: str, reduction: Any) -> None:
    """Refuse what does not say how losses are reduced.

    Raises
    ------
    ArgumentError
    """
    if isinstance(reduction, str) and reduction in ("mean", "sum", "none"):
        return
    raise ArgumentError(
        f"{name}: reduction is {reduction!r}",
        cause="the losses of the elements are averaged, summed or returned as they are",
        fix='pass "mean", "sum" or "none"',
    )


def require_same_shape(name: str, x: Any, target: Any) -> None:
    """Refuse a target that has not the shape of the prediction `x`.

    Raises
    ------
    ShapeError
    """
    try:
        same = x.shape == target.shape
    except AttributeError:
        same = False
    if not same:
        x_shape, target_shape = operand_type(name, x).shape, operand_type(name, target).shape
        if x_shape == target_shape:
            return
        raise ShapeError(
            f"{name}: prediction {x_shape} and target {target_shape}",
            cause="each element has its own target; shapes that broadcast would compare every "
            "prediction with every target",
            fix="reshape one of them, for example with x.reshape(target.shape)",
        )


def require_number_above(function: str, name: str, value: Any, least: float = 0.0) -> None:
    """Refuse a parameter of a loss that is no number, or below `least`.

    Raises
    ------
    ArgumentError
    """
    require_number(value, name)
    if not value >= least:
        raise ArgumentError(
            f"{function}: {name} is {value}",
            cause=f"it is a number of at least {least:g}",
            fix=f"pass {name}=1.0, or leave it out",
        )
