"""The ops that only a declared graph has: where its values come from, and what a run leaves behind.

They are ordinary records, kept out of the registry because no executor computes them: lowering
turns each into an input, a constant, a variable, an update or nothing at all.
"""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import Kind, Op
from oplibrary.core.types import TensorType
from oplibrary.messages.errors import GraphError
from oplibrary.tangents.families import symmetric
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

SOURCES = frozenset({PLACEHOLDER, CONSTANT, VARIABLE})
"""Ops without operands, whose value comes from outside the graph."""

TRANSPARENT = frozenset({ARGUMENT, STOP_GRADIENT})
"""Ops whose value is that of their operand: lowering leaves nothing of them."""
