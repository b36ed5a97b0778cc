"""Why a backward pass fails, told in the user's terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dyngraph.tape import grad_mode
from dyngraph.tape.detachment import Detachment
from dyngraph.tape.nodes import AccumulateGrad, GradFn, TapeNode
from dyngraph.tape.versions import Change
from dyngraph.tensors.tensor import Tensor
from oplibrary.messages.errors import (
    AnomalyError,
    InPlaceError,
    NoGraphError,
    NonLeafGradWarning,
    NotDifferentiableError,
    UnusedInputError,
    UnusedInputWarning,
)
from oplibrary.messages.source import Source, user_frame
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.types import Array, TensorType

Lines = tuple[tuple[str, Source | None], ...]


def no_graph(x: Tensor) -> NoGraphError | NotDifferentiableError:
    """Return the error of a gradient asked of `x`, which has no graph."""
    detachment: Detachment | None = getattr(x, "_detachment", None)
    if detachment is not None:
        return NoGraphError(
            f"the result was cut from its graph by {detachment.reason}",
            cause="nothing before that place is recorded",
            fix="leave it out, or move it behind backward()",
            related=(("cut", detachment.source),),
        )
    from dyngraph.engine import lineage

    found = lineage.where_cut(user_frame())
    lines: Lines = () if found is None else ((f"cut by {found.reason}", found.source),)
    if x.dtype.kind not in FLOATING:
        return NotDifferentiableError(
            f"the result has dtype {x.dtype}",
            fix="" if found is None else found.fix,
            related=lines,
        )
    if found is not None:
        return NoGraphError(
            f"the result does not require a gradient: {found.reason} cut the graph",
            cause=found.cause,
            fix=found.fix,
            related=lines,
        )
    if not grad_mode.is_grad_enabled():
        return NoGraphError(
            "nothing was recorded: gradients are switched off here",
            cause="the computation ran inside no_grad()",
            fix="compute the result outside no_grad(), or inside enable_grad()",
        )
    return NoGraphError("the result does not require a gradient")


def unused_input(x: Tensor, position: int, roots: list[TapeNode]) -> UnusedInputError:
    """Return the error of input `x`, which the results behind `roots` do not depend on."""
    shown = f"input {position}, a tensor {TensorType(x.shape, x.dtype)}"
    from dyngraph.engine import lineage

    found = lineage.where_cut(user_frame(), through=True)
    if found is not None:
        return UnusedInputError(
            f"{shown}, does not reach the output",
            cause=f"no recorded path leads there: {found.cause}",
            fix=f'{found.fix}; or choose unused="zero" or "none"',
            related=((f"the path may break by {found.reason}", found.source),),
        )
    leaves = _leaves(roots)
    listing = ", ".join(repr(leaf.type) for leaf in leaves[:4])
    more = f" and {len(leaves) - 4} more" if len(leaves) > 4 else ""
    return UnusedInputError(
        f"{shown}, does not reach the output",
        cause=f"the output was computed from {len(leaves)} other leaves: {listing}{more}"
        if leaves
        else "",
    )


def warning_of(error: UnusedInputError) -> UnusedInputWarning:
    """Return the warning that says the same as `error`."""
    return UnusedInputWarning(
        error.what, cause=error.cause, source=error.source, related=error.related
    )


def _behind(nodes: Iterable[TapeNode]) -> set[TapeNode]:
    """Return `nodes` and all nodes that their gradients go to."""
    seen: set[TapeNode] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            if isinstance(node, GradFn):
                stack += [edge for edge in node.edges if edge is not None]
    return seen


def _leaves(roots: list[TapeNode]) -> list[AccumulateGrad]:
    found = [node for node in _behind(roots) if isinstance(node, AccumulateGrad)]
    return sorted(found, key=lambda leaf: leaf.sequence)


def overwritten(node: GradFn, array: Array, change: Change) -> InPlaceError:
    """Return the error of `array`, saved by `node` and changed in place afterwards."""
    op = node.describe()
    lines: list[tuple[str, Source | None]]
    hint = ""
    if node.extra is not None and node.extra.source is not None:
        lines = [(f"saved by {op}", node.extra.source)]
    else:
        from dyngraph.engine import lineage

        places = lineage.where_saved(node.op, change.place) if hasattr(node, "op") else []
        sure = "saved" if len(places) == 1 else "perhaps saved"
        lines = [(f"{sure} by {op}", place) for place in places]
        if len(places) != 1:
            hint = "; run under detect_anomaly() to see the line that saved it"
    return InPlaceError(
        f"a value saved by {op} was overwritten by {change.operation}",
        cause=f"the gradient of {op} needs the {TensorType(array.shape, array.dtype)} as it was; "
        f"it is now at version {change.version}",
        fix=f"{InPlaceError.remedy}{hint}",
        related=(*lines, ("overwritten", change.source)),
    )


# NaN ----------------------------------------------------------------------------------------------


def not_a_number(node: GradFn, g: Any, position: int, array: Array) -> AnomalyError:
    """Return the error of `node`, whose gradient `array` for an operand holds NaN.

    Parameters
    ----------
    node : GradFn
    g : ndarray or Tensor
        The gradient that came in.
    position : int
        Of the operand.
    array : ndarray
    """
    where = int(np.flatnonzero(np.isnan(array).reshape(-1))[0])
    index = tuple(int(i) for i in np.unravel_index(where, array.shape)) if array.ndim else ()
    values = [
        f"operand {number} is {operand[index]} there"
        for number, operand in enumerate(node.operands or ())
        if isinstance(operand, np.ndarray) and operand.shape == array.shape
    ]
    fix = ""
    upstream = g._array if isinstance(g, Tensor) else g
    if isinstance(upstream, np.ndarray) and upstream.shape == array.shape:
        values.append(f"the gradient that came in is {upstream[index]}")
        if upstream[index] == 0:
            values.append("zero times an infinite slope is NaN, as in where(x > 0, log(x), 0)")
            fix = (
                f"make the operand safe before the operation: {node.describe()}(where(x > 0, x, 1))"
            )
    lines: list[tuple[str, Source | None]] = [(f"{node.describe()} ran", _line(node))]
    first = _first_not_finite(node)
    if first is not None:
        source, text = first
        values.append(f"the first value that is not finite: {text}")
        if source != lines[0][1]:
            lines.append(("first not finite", source))
    return AnomalyError(
        f"{node.name()} returned NaN for operand {position} at index {index}",
        cause="; ".join(values),
        fix=fix,
        related=tuple(lines),
    )


def _line(node: GradFn) -> Source | None:
    return node.extra.source if node.extra is not None else None


def _first_not_finite(node: GradFn) -> tuple[Source | None, str] | None:
    """Return where the earliest value that is not finite came from, and what it was."""
    found: list[tuple[int, Source | None, str]] = []
    for each in _behind([node]):
        if not isinstance(each, GradFn):
            continue
        if _wrong(each.out) is not None:
            found.append((each.sequence, _line(each), _made(each, each.out)))
        for number, operand in enumerate(each.operands or ()):
            maker = each.edges[number] if number < len(each.edges) else None
            if _wrong(operand) is None:
                continue
            if isinstance(maker, GradFn):
                found.append((maker.sequence, _line(maker), _made(maker, operand)))
            else:
                value = operand[_wrong(operand)][0]
                text = f"operand {number} of {each.describe()} is {value}"
                found.append((each.sequence - 1, _line(each), text))
    if not found:
        return None
    _, source, text = min(found, key=lambda one: one[0])
    return source, text


def _wrong(array: Any) -> Array | None:
    """Return which elements of `array` are not finite, or None if all are."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in FLOATING:
        return None
    wrong = ~np.isfinite(array)
    return wrong if wrong.any() else None


def _made(node: GradFn, result: Array) -> str:
    """Say what `node` made of which operands, such as ``log of -1.0 is nan``."""
    wrong = _wrong(result)
    before = [
        str(x[wrong][0])
        for x in node.operands or ()
        if isinstance(x, np.ndarray) and x.shape == result.shape
    ]
    of = f" of {' and '.join(before)}" if before else ""
    return f"{node.describe()}{of} is {result[wrong][0]}"


# leaves -------------------------------------------------------------------------------------------


def no_leaf(node: GradFn) -> NonLeafGradWarning:
    """Return the warning of reading ``.grad`` of what `node` computed."""
    from dyngraph.engine import lineage

    made = lineage.where_made(user_frame())
    name = made.name if made is not None else "x"
    cause = f"backward() keeps gradients of leaves only, and this was made by {node.describe()}"
    fix = f"call {name}.retain_grad() before backward(), or read .grad of the leaf"
    if made is not None and made.leaf:
        cause += f"; requires_grad=True was given to {made.leaf}, whose result is another tensor"
        whole = made.source.expression.replace(", requires_grad=True", "")
        fix = f"ask for the gradient last: {name} = ({whole}).requires_grad_()"
    return NonLeafGradWarning(
        "grad of a tensor that is not a leaf is None",
        cause=cause,
        fix=fix,
        related=() if made is None else ((f"{name} became a non-leaf", made.source),),
    )
