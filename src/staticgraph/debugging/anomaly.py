"""The first value of a run that is not finite: what made it, where, and out of what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from oplibrary.core.expression import parse_expression
from oplibrary.core.op import Kind
from oplibrary.messages.errors import AnomalyError
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array
from staticgraph.debugging.summary import summarize
from staticgraph.program.program import Instruction, Program, Value

_SELECTION = parse_expression("{1} if {0} else {2}")
"""The scalar expression of an op that computes both sides and chooses."""


def find_anomaly(
    instruction: Instruction,
    operands: tuple[Any, ...],
    result: Any,
    names: Mapping[Value, str],
    program: Program,
) -> AnomalyError | None:
    """Return the error to raise if `instruction` made a number that is not finite, or None.

    It did if the result holds NaN, or an infinity although all operands are finite. An infinity
    that goes on as one, such as that of a mask, is none of its making.
    """
    if instruction.op.kind is Kind.CONTROL or _is_finite(result):
        return None
    bad = next((i for i, x in enumerate(operands) if not _is_finite(x)), None)
    nan = np.isnan(result)
    if bad is None:
        mask = nan if nan.any() else ~np.isfinite(result)
        made = "NaN" if nan.any() else str(result[mask][0])
        what = f"made {made} out of finite operands"
    elif nan.any():
        mask = nan
        name = names[instruction.inputs[bad]]
        if np.isnan(operands[bad]).any():
            what = f"got NaN in operand {bad}, {name}, which no instruction before it made"
        else:
            what = f"made NaN out of operand {bad}, {name}, which holds inf"
    else:
        return None
    index = tuple(int(n) for n in np.argwhere(mask)[0])
    cause = _cause(instruction, operands, mask, index, names)
    error = AnomalyError(
        f"{instruction.op.name} {what}",
        cause=cause,
        fix=_fix(instruction, operands, result, index, program),
    )
    if instruction.sources:
        declared, *others = instruction.sources
        also = tuple(("also declared", source) for source in others)
        error.related = (*also, ("run", error.source))
        error.source = declared
    return error


def _is_finite(x: Any) -> bool:
    if type(x) is tuple or x.dtype.kind not in FLOATING:
        return True
    return bool(np.isfinite(x).all())


def _cause(
    instruction: Instruction,
    operands: tuple[Any, ...],
    mask: Array,
    index: tuple[int, ...],
    names: Mapping[Value, str],
) -> str:
    """Say which elements are concerned and what the operands are there."""
    parts = []
    for position, (value, x) in enumerate(zip(instruction.inputs, operands, strict=True)):
        if type(x) is tuple:
            continue
        shown = summarize(x)
        if instruction.op.kind is Kind.ELEMENTWISE:
            shown = str(np.broadcast_to(x, mask.shape)[index])
        parts.append(f"operand {position} ({names[value]}) is {shown}")
    where = ""
    if mask.ndim:
        where = f"{int(mask.sum())} of {mask.size} elements are, first at {list(index)}"
        where += ", where " if instruction.op.kind is Kind.ELEMENTWISE else "; "
    return where + ", ".join(parts)


def _fix(
    instruction: Instruction,
    operands: tuple[Array, ...],
    result: Array,
    index: tuple[int, ...],
    program: Program,
) -> str:
    users = program.users().get(instruction.output, ())
    chosen = any(user.op.expression == _SELECTION for user in users)
    zero = instruction.op.kind is Kind.ELEMENTWISE and any(
        np.broadcast_to(x, result.shape)[index] == 0 for x in operands
    )
    if chosen or (np.isnan(result[index]) and zero):
        return (
            "where computes both sides, and the gradient of the one not chosen is 0 times an "
            "infinite slope, NaN: make the operand safe before the operation, as in "
            "where(x > 0, log(where(x > 0, x, 1)), 0)"
        )
    return ""
