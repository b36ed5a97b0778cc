"""while_loop: a body that runs as often as the data asks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op
from oplibrary.messages.errors import DTypeError, LoopBoundError, NotDifferentiableError
from oplibrary.tangents.families import Push
from oplibrary.transforms.batched import held_by, open_levels
from oplibrary.values.parameters import require_callable, unread_carry
from oplibrary.values.tree import LEAF, flatten, unflatten
from oplibrary.values.types import Array, TensorType
from staticgraph.control.carried import carried_gradients
from staticgraph.control.conditional import declare_several
from staticgraph.control.declaring import (
    mark_shared,
    region_from,
    require_carry,
    require_count,
    share_captures,
)
from staticgraph.control.flow import Loop, Rewind
from staticgraph.control.region import Pullback, Region, RegionGraph
from staticgraph.control.residuals import split_pullback
from staticgraph.control.rows import while_of_rows
from staticgraph.control.tangents import (
    TangentGraph,
    TupleTangent,
    carries_that_move,
    first_tangents,
    moving_operands,
)
from staticgraph.declare.autodiff import zeros_of
from staticgraph.declare.build import full, require_graph, to_node
from staticgraph.program.tuple_values import TupleGradient, TupleType, row_major


def own_copies(arrays: Sequence[Array]) -> list[Array]:
    """Return copies that a region may overwrite."""
    return [np.array(x, order="C") for x in arrays]


def _bounded(max_steps: int) -> LoopBoundError:
    return LoopBoundError(f"while_loop ran {max_steps:,} steps and its condition still holds")


def _while(
    *operands: Array, condition: Region, body: Region, carries: int, max_steps: int | None
) -> Sequence[Array]:
    # the body may overwrite the carry, and the results are arrays of their own
    carry: Sequence[Array] = own_copies(operands[:carries])
    step, outer = body.given(carries, operands[carries:])
    holds, outer = condition.given(carries, outer)
    steps = 0
    while holds(*carry, *outer)[0]:
        if steps == max_steps:
            raise _bounded(steps)
        carry = list(map(row_major, step(*carry, *outer)))
        steps += 1
    return carry


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
        carried = carried_gradients(body, carries, [i for i in range(carries) if i in g.items])
        g.absent.update(i for i in range(carries) if i not in carried.last)
        of_carry = carried.settled
        of_outer = [i for i in sorted(g.wanted) if i >= carries]
        # the sum of -0.0 and x is x, also where x is -0.0
        cotangents = [
            g.items[i] if i in g.items else full(graph, operands[i].type, -0.0) for i in of_carry
        ]
        totals = [g.continue_total(operands[i]) for i in of_outer]
        sums = [
            full(graph, operands[i].type, -0.0) if total is None else total
            for i, total in zip(of_outer, totals, strict=True)
        ]

        def pullback(present: Collection[int]) -> Pullback:
            given = [i in present for i in range(carries)]
            return body.pullback(given, [*of_carry, *of_outer], of_outer, absent=-0.0)

        whole = pullback(of_carry)
        nothing = {i for i, x in zip(of_outer, totals, strict=True) if x is None} & whole.absent
        saving, pulling = split_pullback(body.silent(), whole)
        attrs = {
            "condition": condition.silent(),
            "body": saving,
            "pullback": pulling,
            "first": tuple(
                [_with_cotangents(pullback(each), each, of_carry) for each in carried.first]
            ),
            "carries": carries,
            "moving": len(of_carry),
            "max_steps": max_steps,
        }
        values = declare_several(WHILE_GRADIENT, (*operands, *cotangents, *sums), attrs)
        grads = dict(zip([*of_carry, *of_outer], values, strict=True))
        for i in g.absent:
            grads[i] = zeros_of(graph, operands[i].type)
        g.absent.update(nothing)
        g.memo["grads"] = grads
    return g.memo["grads"][position]


def _with_cotangents(pullback: Pullback, present: Collection[int], of_carry: list[int]) -> Region:
    """Return a pullback that is given a cotangent for each of `of_carry`, and reads some."""
    inputs, graph = list(pullback.inputs), pullback.graph
    assert isinstance(graph, RegionGraph)
    start = len(inputs) - len(pullback.outputs) + len(of_carry) - len(present)
    for place, i in enumerate(of_carry, start):
        if i not in present:
            inputs.insert(place, graph.add_input(f"g{i}", pullback.inputs[i].type))
    return Region(graph, inputs, pullback.outputs, pullback.source)


def _while_tangents(push: Push) -> TupleTangent:
    """Declare the loop again, with the tangents as further carries."""
    graph = require_graph("while_loop")
    body, carries = push.attrs["body"], push.attrs["carries"]
    given, levels = moving_operands(push)
    moving, tangents = carries_that_move(body, carries, sorted(given), levels, push.transpose)
    inner = dict(zip(moving, tangents.tangents, strict=True))
    of_carry = [i for i in moving if i < carries]
    of_outer = [i for i in moving if i >= carries]

    def arranged(values: Sequence[Any], moved: Mapping[int, Any]) -> list[Any]:
        return [
            *values[:carries],
            *[moved[i] for i in of_carry],
            *values[carries:],
            *[moved[i] for i in of_outer],
        ]

    count = carries + len(of_carry)
    outputs = [*tangents.outputs[:carries], *[tangents.tangent(i) for i in of_carry]]
    condition = TangentGraph(push.attrs["condition"], moving, levels, push.transpose)
    holds = dict(zip(moving, condition.tangents, strict=True))
    first = dict(
        zip(of_carry, first_tangents(graph, given, of_carry, push.types, levels), strict=True)
    )
    values = declare_several(
        WHILE,
        arranged(push.operands, {**given, **first}),
        {
            "condition": condition.as_region(arranged(condition.inputs, holds), condition.outputs),
            "body": tangents.as_region(arranged(tangents.inputs, inner), outputs, count),
            "carries": count,
            "max_steps": push.attrs["max_steps"],
        },
    )
    moved = [held_by(x, levels) for x in values[carries:]]
    return TupleTangent(zip(of_carry, moved, strict=True))


WHILE = Op(
    name="while_loop",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_while,
    infer=_while_infer,
    vjp=_while_rule,
    jvp=_while_tangents,
    control=Loop,
    attrs={"condition": ..., "body": ..., "carries": ..., "max_steps": None},
    doc="Run the body while the condition holds.",
)


def _while_gradient(
    *operands: Array,
    condition: Region,
    body: Region,
    pullback: Region,
    first: Sequence[Region],
    carries: int,
    moving: int,
    max_steps: int | None,
) -> tuple[Array, ...]:
    """Run the loop again, keeping what its gradient needs, then its steps backwards."""
    inputs = len(body.input_types)
    carry: Sequence[Array] = list(map(row_major, operands[:carries]))
    grads: Sequence[Array] = list(map(row_major, operands[inputs : inputs + moving]))
    sums: Sequence[Array] = list(map(row_major, operands[inputs + moving :]))
    step, outer = body.given(carries, operands[carries:inputs])
    holds, outer = condition.given(carries, outer)
    pull, outer = pullback.given(carries, outer)
    history: list[tuple[Sequence[Array], Sequence[Array]]] = []
    while holds(*carry, *outer)[0]:
        if len(history) == max_steps:
            raise _bounded(len(history))
        results = step(*carry, *outer)
        history.append((carry, results[carries:]))
        carry = list(map(row_major, results[:carries]))
    if not history:  # the results are arrays of their own
        return (*own_copies(grads), *own_copies(sums))
    for region, (carry, _) in zip(first, reversed(history), strict=False):
        pull_first, outer = region.given(carries, outer)
        pulled = list(map(row_major, pull_first(*carry, *outer, *grads, *sums)))
        grads, sums = pulled[:moving], pulled[moving:]
    del history[-len(first) or len(history) :]
    while history:
        carry, residuals = history.pop()
        pulled = list(map(row_major, pull(*carry, *outer, *grads, *sums, *residuals)))
        grads, sums = pulled[:moving], pulled[moving:]
    return (*grads, *sums)


def _while_gradient_infer(*operands: TensorType, body: Region, **_: Any) -> TensorType:
    return TupleType(operands[len(body.input_types) :])  # those of the cotangents and sums


def _while_gradient_tangents(_push: Push) -> Any:
    raise _second_derivative()


def _while_gradient_rule(_position: int, _g: Any, _out: Any, *_operands: Any, **_attrs: Any) -> Any:
    raise _second_derivative()


def _second_derivative() -> NotDifferentiableError:
    return NotDifferentiableError(
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
    jvp=_while_gradient_tangents,
    control=Rewind,
    attrs={
        "condition": ...,
        "body": ...,
        "pullback": ...,
        "first": (),
        "carries": ...,
        "moving": ...,
        "max_steps": None,
    },
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
    ArgumentError
        If the condition reads no value of the carry.

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
    require_callable("while_loop", cond_fn, body_fn)
    if max_steps is not None:
        max_steps = require_count("while_loop", "max_steps", max_steps)
    if open_levels():
        return while_of_rows(_declare, cond_fn, body_fn, init, max_steps)
    return _declare(cond_fn, body_fn, init, max_steps)


def _declare(
    cond_fn: Callable[..., Any], body_fn: Callable[..., Any], init: Any, max_steps: int | None
) -> Any:
    graph = require_graph("while_loop")
    leaves, structure = flatten(init)
    nodes = [to_node(graph, leaf) for leaf in leaves]
    types = [node.type for node in nodes]
    arguments = (tuple, None, (structure,))
    condition, decided, condition_captures = region_from("while_loop", cond_fn, types, arguments)
    if decided is not LEAF or condition.outputs[0].type != TensorType((), bool):
        found = ", ".join(repr(t) for t in condition.output_types) or "nothing"
        raise DTypeError(
            f"while_loop: the condition gives {found}",
            cause="it decides once a step whether to go on",
            fix="return one bool, such as any(x > 0)",
            related=(("the condition declared", condition.source),),
        )
    if not condition.reads_inputs():
        raise unread_carry(cond_fn)
    body, out_structure, body_captures = region_from(
        "while_loop", body_fn, types, arguments, len(types)
    )
    require_carry("while_loop", types, structure, body.output_types, out_structure, body)
    (condition, body), outer = share_captures(
        (condition, body), (condition_captures, body_captures), (0, len(nodes))
    )
    attrs = {
        "condition": condition,
        "body": body,
        "carries": len(nodes),
        "max_steps": max_steps,
    }
    values = declare_several(WHILE, (*nodes, *outer), attrs)
    mark_shared(values, [body], (*nodes, *outer), len(nodes))
    return unflatten(structure, values)
