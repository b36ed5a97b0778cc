"""The ops that only a declared graph has: where its values come from, and what a run leaves behind.

They are ordinary records, kept out of the registry because no executor computes them: lowering
turns each into an input, a constant, a variable, an update or nothing at all.
"""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.executors.autodiff import conjugated
from oplibrary.messages.errors import GraphError
from oplibrary.tangents.families import Push, symmetric
from oplibrary.transforms.custom_call import CustomCall
from oplibrary.values.types import TensorType
from staticgraph.program.tuple_values import TupleGradient
from staticgraph.program.variable import check_replaced


def _kernel(*_: Any, **__: Any) -> Any:
    raise GraphError("this op is lowered, never run")


def _no_infer(*_: Any, **__: Any) -> TensorType:
    raise GraphError("the type of this op is given where it is declared")


def _source(name: str, attrs: dict[str, Any], doc: str) -> Op:
    return Op(
        name=name,
        kind=Kind.CREATION,
        arity=0,
        kernel=_kernel,
        infer=_no_infer,
        attrs=attrs,
        doc=doc,
    )


def _assign_infer(variable: TensorType, value: TensorType) -> TensorType:
    check_replaced(variable, value)
    return variable


PLACEHOLDER = _source("placeholder", {}, "A value that each run is fed.")
CONSTANT = _source("constant", {"value": ...}, "A value that is known when it is declared.")
VARIABLE = _source("variable", {"variable": ...}, "The value that state has when a run starts.")
ASSIGN = Op(
    name="assign",
    kind=Kind.CONTROL,
    arity=2,
    kernel=_kernel,
    infer=_assign_infer,
    vjp=(None, lambda g, _out, _variable, _value: g),
    jvp=symmetric,
    operand_names=("variable", "value"),
    doc="The second operand; when the run ends, the variable holds it.",
)
GROUP = Op(
    name="group",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_kernel,
    infer=lambda *_: TensorType((), bool),
    doc="True, once all operands are computed and all their assignments are made.",
)
ARGUMENT = Op(
    name="argument",
    kind=Kind.MOVEMENT,
    arity=1,
    kernel=_kernel,
    infer=lambda x: x,
    vjp=(lambda g, _out, _x: g,),
    jvp=symmetric,
    doc="The operand, as something of its own to differentiate with respect to.",
)
STOP_GRADIENT = Op(
    name="stop_gradient",
    kind=Kind.MOVEMENT,
    arity=1,
    kernel=_kernel,
    infer=lambda x: x,
    doc="The operand, cut off from everything that it was computed from.",
)

KEPT = Op(
    name="kept",
    kind=Kind.OPAQUE,
    arity=None,
    kernel=_kernel,
    infer=_no_infer,
    doc="What the gradient of a function with a derivative of its own needs besides its arguments.",
)


def _custom_gradient(
    position: int, g: Any, out_type: Any, *operands: Any, custom: CustomCall, inputs: int
) -> Any:
    """Return the gradient of an argument; all are declared with the first that is asked for."""
    place = len(operands) - 1 - position  # the arguments stand last, from the last to the first
    if place >= inputs:
        raise custom.from_outside()
    if "grads" not in g.memo:
        given = [g.items.get(i) for i in range(len(out_type.items))]
        cotangents = [None if x is None else conjugated(x) for x in given]
        arguments, kept = operands[: -inputs - 1 : -1], operands[0].operands
        found = custom.pull(cotangents, arguments, kept, True)
        g.memo["grads"] = [None if x is None else conjugated(x) for x in found]
    found = g.memo["grads"][place]
    if found is None:
        g.absent.add(position)
    return operands[position] if found is None else found


def _custom_tangents(push: Push) -> Any:
    """Return the tangent of each result that moves, by position."""
    custom, inputs = push.attrs["custom"], push.attrs["inputs"]
    if any(t is not None for t in push.tangents[:-inputs]):
        raise custom.from_outside()
    if custom.push is None:
        raise custom.refusal()
    tangents, operands = push.tangents[: -inputs - 1 : -1], push.operands[: -inputs - 1 : -1]
    return {i: t for i, t in enumerate(custom.push(tangents, operands)) if t is not None}


CUSTOM_CALL = Op(
    name="custom_call",
    kind=Kind.OPAQUE,
    arity=None,
    kernel=_kernel,
    infer=_no_infer,
    vjp=_custom_gradient,
    jvp=_custom_tangents,
    attrs={"custom": ..., "inputs": ...},
    doc="""The way of derivatives from a function's results to its arguments.

    Its operands are what is `KEPT`, what the function read from outside, and the arguments, the
    last one first: contributions of such an op are added from the last operand to the first.
    """,
)
CUSTOM_RESULT = Op(
    name="custom_result",
    kind=Kind.MOVEMENT,
    arity=2,
    kernel=_kernel,
    infer=_no_infer,
    vjp=(None, lambda g, _out, _x, call_type, *, index: TupleGradient(call_type, {index: g})),
    jvp=lambda push: push.tangents[1].get(push.attrs["index"]),
    attrs={"index": ...},
    operand_names=("x", "call"),
    doc="The first operand, a result of a function, whose derivatives go by the `CUSTOM_CALL`.",
)

SOURCES = frozenset({PLACEHOLDER, CONSTANT, VARIABLE})
"""Ops without operands, whose value comes from outside the graph."""

TRANSPARENT = frozenset({ARGUMENT, STOP_GRADIENT, CUSTOM_RESULT})
"""Ops whose value is that of their first operand: lowering leaves nothing of them."""


def computed_from(node: Any) -> tuple[Any, ...]:
    """Return the operands that the value of a node is computed from; others lead derivatives."""
    return node.operands[:1] if node.op is CUSTOM_RESULT else node.operands  # type: ignore[no-any-return]
