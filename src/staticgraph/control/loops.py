"""Loops: a body that is declared once and runs as often as the data asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from common.errors import ArgumentError, DTypeError, LoopBoundError, NotDifferentiableError
from common.op import Kind, Op
from common.source import user_source
from common.tree import flatten, unflatten
from common.types import Array, TensorType
from staticgraph.build import require_graph, to_node
from staticgraph.control.binding import row_major
from staticgraph.control.conditional import declare_several
from staticgraph.control.region import (
    Region,
    RegionGraph,
    region_from,
    require_same_types,
    share_captures,
)
from staticgraph.tuples import ITEM, TupleGradient, TupleType

# while --------------------------------------------------------------------------------------------


def _bounded(max_steps: int) -> LoopBoundError:
    return LoopBoundError(f"while_loop ran {max_steps:,} steps and its condition still holds")


def _while(
    *operands: Array, condition: Region, body: Region, carries: int, max_steps: int | None
) -> tuple[Array, ...]:
    operands = tuple([row_major(x) for x in operands])
    carry, outer = operands[:carries], operands[carries:]
    steps = 0
    while condition(*carry, *outer)[0]:
        if steps == max_steps:
            raise _bounded(steps)
        carry = body(*carry, *outer)
        steps += 1
    # the results are arrays of their own, also of a loop that did not run
    return carry if steps else tuple([x.copy() for x in carry])


def _while_infer(*operands: TensorType, carries: int, **_: Any) -> TensorType:
    return TupleType(operands[:carries])


def _while_rule(
    position: int,
    g: TupleGradient,
    _out: Any,
    *operands: Any,
    condition: Region,
    body: Region,
    carries: int,
    max_steps: int | None,
) -> Any:
    if "grads" not in g.memo:
        graph = require_graph("while_loop")
        floats = [i for i, x in enumerate(operands) if x.dtype.kind == "f"]
        cotangents = [
            g.items[i] if i in g.items else _zeros(graph, operands[i].type)
            for i in floats
            if i < carries
        ]
        attrs = {
            "condition": condition.silent(),
            "body": body.silent(),
            "pullback": body.pullback(tuple(t.dtype.kind == "f" for t in body.output_types)),
            "carries": carries,
            "max_steps": max_steps,
        }
        values = declare_several(WHILE_GRADIENT, (*operands, *cotangents), attrs)
        g.memo["grads"] = dict(zip(floats, values, strict=True))
    return g.memo["grads"][position]


def _zeros(graph: Any, type: TensorType) -> Any:
    return graph.constant_array(np.zeros(type.shape, type.dtype))


WHILE = Op(
    name="while_loop",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_while,
    infer=_while_infer,
    vjp=_while_rule,
    attrs={"condition": ..., "body": ..., "carries": ..., "max_steps": None},
    doc="Run the body while the condition holds.",
)


def _while_gradient(
    *operands: Array,
    condition: Region,
    body: Region,
    pullback: Region,
    carries: int,
    max_steps: int | None,
) -> tuple[Array, ...]:
    """Run the loop again, keeping every carry, then its steps backwards."""
    operands = tuple([row_major(x) for x in operands])
    inputs = len(body.input_types)
    operands, cotangents = operands[:inputs], operands[inputs:]
    carry, outer = operands[:carries], operands[carries:]
    history: list[tuple[Array, ...]] = []
    while condition(*carry, *outer)[0]:
        if len(history) == max_steps:
            raise _bounded(len(history))
        history.append(carry)
        carry = body(*carry, *outer)
    grads = list(cotangents)
    count = len(grads)
    sums: list[Array] | None = None
    for carry in reversed(history):
        pulled = pullback(*carry, *outer, *grads)
        grads = list(pulled[:count])
        more = pulled[count:]
        sums = list(more) if sums is None else [a + b for a, b in zip(sums, more, strict=True)]
    if sums is None:
        sums = [np.zeros(x.shape, x.dtype) for x in outer if x.dtype.kind == "f"]
    if not history:
        grads = [g.copy() for g in grads]
    return (*grads, *sums)


def _while_gradient_infer(*operands: TensorType, body: Region, **_: Any) -> TensorType:
    inputs = operands[: len(body.input_types)]
    return TupleType([t for t in inputs if t.dtype.kind == "f"])


def _while_gradient_rule(_position: int, _g: Any, _out: Any, *_operands: Any, **_attrs: Any) -> Any:
    raise NotDifferentiableError(
        "the second derivative of while_loop",
        cause="its first derivative runs a number of steps that is not known beforehand",
        fix="use scan or fori_loop with a fixed number of steps, or dyngraph",
    )


WHILE_GRADIENT = Op(
    name="while_gradient",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_while_gradient,
    infer=_while_gradient_infer,
    vjp=_while_gradient_rule,
    attrs={"condition": ..., "body": ..., "pullback": ..., "carries": ..., "max_steps": None},
    doc="The gradients of while_loop.",
)


def while_loop(
    cond_fn: Callable[..., Any],
    body_fn: Callable[..., Any],
    init: Any,
    max_steps: int | None = None,
) -> Any:
    """Declare ``while cond_fn(carry): carry = body_fn(carry)``.

    Parameters
    ----------
    cond_fn : callable
        Gets the carry and returns one bool.
    body_fn : callable
        Gets the carry and returns the next one, of the same structure and types.
    init : Node or tree of Node
        The first carry. Both functions may also use nodes of the graph around them.
    max_steps : int, optional
        Raise LoopBoundError if the loop runs longer.

    Returns
    -------
    Node or tree of Node
        The last carry. Its gradient runs the loop again and keeps every carry; second derivatives
        need `scan` or `fori_loop`.

    Raises
    ------
    BranchTypeError
        If the body returns other types than it gets; both are shown.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> @sg.function
    ... def root(x):
    ...     return sg.while_loop(
    ...         lambda r: sg.abs(r * r - x) > 1e-9, lambda r: (r + x / r) / 2, x
    ...     )
    >>> float(root(np.float64(2.0))).__round__(6)
    1.414214
    """
    graph = require_graph("while_loop")
    leaves, structure = flatten(init)
    nodes = [to_node(graph, leaf) for leaf in leaves]
    types = [node.type for node in nodes]
    arguments = (tuple, None, (structure,))
    condition, _, condition_captures = region_from("while_loop", cond_fn, types, arguments)
    if len(condition.outputs) != 1 or condition.outputs[0].type != TensorType((), bool):
        found = ", ".join(repr(t) for t in condition.output_types) or "nothing"
        raise DTypeError(
            f"while_loop: the condition gives {found}",
            cause="it decides once a step whether to go on",
            fix="return one bool, such as any(x > 0)",
            related=(("the condition declared", condition.source),),
        )
    body, out_structure, body_captures = region_from("while_loop", body_fn, types, arguments)
    _require_carry("while_loop", types, structure, body.output_types, out_structure, body)
    (condition, body), outer = share_captures(
        (condition, body), (condition_captures, body_captures)
    )
    attrs = {
        "condition": condition,
        "body": body,
        "carries": len(nodes),
        "max_steps": max_steps,
    }
    return unflatten(structure, declare_several(WHILE, (*nodes, *outer), attrs))


def _require_carry(
    what: str,
    types: Sequence[TensorType],
    structure: Any,
    out_types: Sequence[TensorType],
    out_structure: Any,
    body: Region,
) -> None:
    require_same_types(
        what,
        ("the first carry", types, structure, user_source()),
        ("the body", out_types, out_structure, body.source),
    )


# scan ---------------------------------------------------------------------------------------------


def _scan(
    *operands: Array,
    body: Region,
    carries: int,
    sequences: int,
    length: int,
    reverse: bool,
    keep: tuple[bool, ...],
) -> tuple[Any, ...]:
    operands = tuple([row_major(x) for x in operands])
    carry = operands[:carries]
    xs = operands[carries : carries + sequences]
    outer = operands[carries + sequences :]
    step_types = body.output_types[carries:]
    stacks: list[Any] = [
        np.empty((length, *type.shape), type.dtype) if kept else None
        for type, kept in zip((*step_types, *body.output_types[:carries]), keep, strict=True)
    ]
    ys = [(i, stack) for i, stack in enumerate(stacks[: len(step_types)]) if stack is not None]
    saved = [(i, stack) for i, stack in enumerate(stacks[len(step_types) :]) if stack is not None]
    for step in range(length - 1, -1, -1) if reverse else range(length):
        for i, stack in saved:
            stack[step] = carry[i]
        results = body(*carry, *[x[step, ...] for x in xs], *outer)
        carry = results[:carries]
        for i, stack in ys:
            stack[step] = results[carries + i]
    if not length:
        carry = tuple([x.copy() for x in carry])
    return (*carry, *stacks)


def _scan_infer(
    *operands: TensorType, body: Region, carries: int, length: int, **_: Any
) -> TensorType:
    out = body.output_types
    stacked = [TensorType((length, *t.shape), t.dtype) for t in (*out[carries:], *out[:carries])]
    return TupleType([*operands[:carries], *stacked])


def _scan_rule(
    position: int,
    g: TupleGradient,
    out: Any,
    *operands: Any,
    body: Region,
    carries: int,
    sequences: int,
    length: int,
    reverse: bool,
    keep: tuple[bool, ...],
) -> Any:
    if "grads" not in g.memo:
        values = _scan_backwards(g, out, operands, body, carries, sequences, length, reverse)
        g.memo["grads"] = values
    return g.memo["grads"][position]


def _scan_backwards(
    g: TupleGradient,
    out: Any,
    operands: tuple[Any, ...],
    body: Region,
    carries: int,
    sequences: int,
    length: int,
    reverse: bool,
) -> dict[int, Any]:
    """Declare the scan that runs the steps backwards; its body is the gradient of the body.

    Its carry is the gradient of the carry, and the sums of those of the captured values.
    """
    graph = require_graph("scan")
    out_types = body.output_types
    count = len(out_types)  # the carries, then the values of each step
    per_step = count - carries

    def is_float(t: Any) -> bool:
        return bool(t.dtype.kind == "f")

    float_carries = [i for i in range(carries) if is_float(out_types[i])]
    given_ys = [
        i for i in range(per_step) if is_float(out_types[carries + i]) and carries + i in g.items
    ]
    given = tuple(
        i in float_carries if i < carries else i - carries in given_ys for i in range(count)
    )
    pullback = body.pullback(given)
    float_sequences = [i for i in range(sequences) if is_float(operands[carries + i])]
    first_outer = carries + sequences
    float_outer = [i for i in range(first_outer, len(operands)) if is_float(operands[i])]

    saved = [graph.add_op(ITEM, (out,), {"index": carries + per_step + i}) for i in range(carries)]
    carry_grads = [
        g.items[i] if i in g.items else _zeros(graph, out_types[i]) for i in float_carries
    ]
    sums = [_zeros(graph, operands[i].type) for i in float_outer]
    # a gradient may also come to the saved carries themselves, from a second derivative
    given_saved = [i for i in float_carries if carries + per_step + i in g.items]
    step_operands = [
        *saved,
        *operands[carries:first_outer],
        *[g.items[carries + i] for i in given_ys],
        *[g.items[carries + per_step + i] for i in given_saved],
    ]

    region = RegionGraph(f"gradient of {body.graph.name}", body.graph)
    with region:
        gs = [region._input(f"g{i}", out_types[i]) for i in float_carries]
        totals = [region._input(f"sum{i}", operands[i].type) for i in float_outer]
        steps = [
            region._input(f"x{i}", TensorType(x.shape[1:], x.dtype))
            for i, x in enumerate(step_operands)
        ]
        constants = [
            region._input(f"outer{i}", operands[i].type) for i in range(first_outer, len(operands))
        ]
        inner_carry = steps[:carries]
        inner_xs = steps[carries : carries + sequences]
        inner_gys = steps[carries + sequences : carries + sequences + len(given_ys)]
        inner_saved = steps[carries + sequences + len(given_ys) :]
        pulled: list[Any] = pullback.inline([*inner_carry, *inner_xs, *constants, *gs, *inner_gys])
        nc, ns = len(float_carries), len(float_sequences)
        next_gs = pulled[:nc]
        for i, extra in zip(given_saved, inner_saved, strict=True):
            at = float_carries.index(i)
            next_gs[at] = next_gs[at] + extra
        x_grads = pulled[nc : nc + ns]
        next_totals = [a + b for a, b in zip(totals, pulled[nc + ns :], strict=True)]
        outputs = [*next_gs, *next_totals, *x_grads]
    backwards = Region(region, [*gs, *totals, *steps, *constants], outputs, body.source)
    new_carries = len(gs) + len(totals)
    attrs = {
        "body": backwards,
        "carries": new_carries,
        "sequences": len(step_operands),
        "length": length,
        "reverse": not reverse,
        "keep": (True,) * (len(outputs)),
    }
    values = declare_several(
        SCAN, [*carry_grads, *sums, *step_operands, *operands[first_outer:]], attrs
    )
    found = dict(zip(float_carries, values, strict=False))
    found.update(zip(float_outer, values[len(gs) : new_carries], strict=True))
    found.update(
        zip(
            [carries + i for i in float_sequences],
            values[new_carries : new_carries + len(x_grads)],
            strict=True,
        )
    )
    return found


SCAN = Op(
    name="scan",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_scan,
    infer=_scan_infer,
    vjp=_scan_rule,
    attrs={
        "body": ...,
        "carries": ...,
        "sequences": ...,
        "length": ...,
        "reverse": False,
        "keep": ...,
    },
    doc="Run the body once for each position of the sequences, with a carry from step to step.",
)


def scan(
    body_fn: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Declare a loop over the first axis of `xs` that carries a value from step to step.

    Parameters
    ----------
    body_fn : callable
        ``body_fn(carry, x) -> (carry, y)``; the carry keeps its structure and types. It may also
        use nodes of the graph around it.
    init : Node or tree of Node
        The first carry.
    xs : Node or tree of Node, optional
        Of one length along axis 0; each step gets one position. Without it steps get None.
    length : int, optional
        The number of steps, needed without `xs`.
    reverse : bool
        Go from the last position to the first; `ys` stay in the order of `xs`.

    Returns
    -------
    carry, ys
        The last carry, and what the steps gave, stacked along a new axis 0. Differentiable to any
        order.

    Raises
    ------
    BranchTypeError
        If the body changes the type of the carry; both are shown.
    ArgumentError
        If lengths differ, or there is none.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> @sg.function
    ... def sums(x):
    ...     return sg.scan(lambda total, each: (total + each, total + each), x[0] * 0, x)
    >>> sums(np.array([1.0, 2.0, 3.0]))
    (array(6.), array([1., 3., 6.]))
    """
    graph = require_graph("scan")
    leaves, structure = flatten(init)
    nodes = [to_node(graph, leaf) for leaf in leaves]
    x_leaves, x_structure = flatten(xs)
    sequences = [to_node(graph, leaf) for leaf in x_leaves]
    steps = _length(sequences, length)
    types = [node.type for node in nodes]
    x_types = [TensorType(x.shape[1:], x.dtype) for x in sequences]
    arguments = (tuple, None, (structure, x_structure))
    body, found, captured = region_from("scan", body_fn, [*types, *x_types], arguments)
    if found is None or found == "*" or found[0] is not tuple or len(found[2]) != 2:
        raise ArgumentError(
            "scan: the body does not return a pair",
            cause="a step gives the next carry and a value to stack",
            fix="return (carry, y), or (carry, None) if there is nothing to stack",
            related=(("the body declared", body.source),),
        )
    carry_structure, y_structure = found[2]
    carries = len(nodes)
    _require_carry("scan", types, structure, body.output_types[:carries], carry_structure, body)
    (body,), outer = share_captures((body,), (captured,))
    attrs = {
        "body": body,
        "carries": carries,
        "sequences": len(sequences),
        "length": steps,
        "reverse": bool(reverse),
        "keep": (True,) * len(body.outputs),
    }
    values = declare_several(SCAN, (*nodes, *sequences, *outer), attrs)
    per_step = len(body.outputs) - carries
    last = unflatten(structure, values[:carries])
    return last, unflatten(y_structure, values[carries : carries + per_step])


def _length(sequences: Sequence[Any], length: int | None) -> int:
    lengths: set[int] = set()
    for x in sequences:
        if not x.shape:
            raise ArgumentError(
                f"scan: {x!r} has no axis to go along",
                cause="each step gets one position of axis 0",
                fix="capture it instead: the body may use values from outside",
            )
        lengths.add(x.shape[0])
    if length is not None:
        lengths.add(int(length))
    if len(lengths) != 1:
        raise ArgumentError(
            f"scan: the lengths are {sorted(lengths)}" if lengths else "scan: there is no length",
            cause="all sequences are gone through together",
            fix="pass sequences of one length, or length= without any",
        )
    return lengths.pop()


def fori_loop(lower: Any, upper: Any, body_fn: Callable[..., Any], init: Any) -> Any:
    """Declare ``for i in range(lower, upper): carry = body_fn(i, carry)``.

    With bounds that are Python ints it is a `scan`, differentiable to any order; with nodes it is a
    `while_loop`.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> power = sg.function(lambda x: sg.fori_loop(0, 3, lambda i, y: y * x, x))
    >>> float(power(np.float32(2.0)))
    16.0
    """
    if isinstance(lower, int) and isinstance(upper, int):
        positions = np.arange(lower, upper)
        last, _ = scan(lambda carry, i: (body_fn(i, carry), None), init, positions)
        return last
    graph = require_graph("fori_loop")
    first, bound = (
        to_node(graph, np.asarray(x) if isinstance(x, int) else x) for x in (lower, upper)
    )
    _, carry = while_loop(
        lambda state: state[0] < bound,
        lambda state: (state[0] + 1, body_fn(state[0], state[1])),
        (first, init),
    )
    return carry


def map(function: Callable[..., Any], xs: Any) -> Any:
    """Declare `function` on each position of axis 0 of `xs`, with the results stacked."""
    _, ys = scan(lambda carry, x: (carry, function(x)), (), xs)
    return ys
