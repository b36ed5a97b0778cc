"""scan: a loop over the positions of arrays, with a carry from step to step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from oplibrary.core.dispatch import SCANS
from oplibrary.core.op import Kind, Op
from oplibrary.messages.errors import ArgumentError
from oplibrary.tangents.families import Push
from oplibrary.transforms.batched import held_by, open_levels
from oplibrary.values.parameters import require_axis, require_callable
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import Array, TensorType
from staticgraph.control.conditional import declare_several
from staticgraph.control.declaring import (
    mark_shared,
    region_from,
    require_carry,
    require_count,
    share_captures,
)
from staticgraph.control.flow import Loop
from staticgraph.control.region import Region
from staticgraph.control.rows import scan_of_rows
from staticgraph.control.scan_gradient import scan_backwards
from staticgraph.control.tangents import (
    TupleTangent,
    axis_behind,
    axis_first,
    carries_that_move,
    first_tangents,
    moving_operands,
)
from staticgraph.control.while_loop import own_copies
from staticgraph.declare.build import require_graph, to_node
from staticgraph.graph.node import Node
from staticgraph.program.lengths import current_shape
from staticgraph.program.polynomial import named
from staticgraph.program.tuple_values import TupleGradient, TupleType, row_major


def _scan(
    *operands: Array,
    body: Region,
    carries: int,
    sequences: int,
    length: int,
    reverse: bool,
    keep: tuple[bool, ...],
) -> tuple[Any, ...]:
    # the body may overwrite the carry, and the results are arrays of their own
    carry: Sequence[Array] = own_copies(operands[:carries])
    xs = list(map(row_major, operands[carries : carries + sequences]))
    run, outer = body.given(carries + sequences, operands[carries + sequences :])
    stacks: list[Any] = [
        np.empty((length, *current_shape(type.shape)), type.dtype) if kept else None
        for type, kept in zip(body.output_types, keep, strict=True)
    ]
    saved = [(i, stack) for i, stack in enumerate(stacks[:carries]) if stack is not None]
    ys = [(i, stack) for i, stack in enumerate(stacks) if i >= carries and stack is not None]
    order = range(length - 1, -1, -1) if reverse else range(length)
    positions = zip(*[_positions(x, order) for x in xs], strict=True) if xs else repeat(())
    for step, at in zip(order, positions, strict=False):
        for i, stack in saved:
            stack[step] = carry[i]
        results = run(*carry, *at, *outer)
        carry = list(map(row_major, results[:carries]))
        for i, stack in ys:
            stack[step] = results[i]
    return (*carry, *stacks)


def _positions(x: Array, order: range) -> Iterator[Array]:
    """Return the positions of axis 0 in `order`, which is all of them, as arrays."""
    if x.ndim > 1:
        return iter(x if order.step > 0 else x[::-1])
    return (x[i, ...] for i in order)  # iterating would give scalars


def _scan_infer(
    *operands: TensorType, body: Region, carries: int, length: int, **_: Any
) -> TensorType:
    stacked = [TensorType((length, *t.shape), t.dtype) for t in body.output_types]
    return TupleType([*operands[:carries], *stacked])


def _scan_rule(position: int, g: TupleGradient, out: Any, *operands: Any, **attrs: Any) -> Any:
    if "grads" not in g.memo:
        g.memo["grads"] = scan_backwards(g, out, operands)
    return g.memo["grads"][position]


def _scan_tangents(push: Push) -> TupleTangent:
    """Declare the tangents of a scan's results.

    The steps compute the values anew, as the loop that has them cannot be given tangents that are
    declared behind it; nothing is stacked for them.
    """
    graph = require_graph("scan")
    body: Region = push.attrs["body"]
    carries, sequences = push.attrs["carries"], push.attrs["sequences"]
    captures = carries + sequences
    given, levels = moving_operands(push)
    moving, tangents = carries_that_move(body, carries, sorted(given), levels, push.transpose)
    inner = dict(zip(moving, tangents.tangents, strict=True))
    of_carry = [i for i in moving if i < carries]
    of_xs = [i for i in moving if carries <= i < captures]
    of_outer = [i for i in moving if i >= captures]
    of_ys = [i for i in range(carries, len(body.outputs)) if tangents.moved[i] is not None]
    count = carries + len(of_carry)
    inputs, operands = tangents.inputs, push.operands
    step = tangents.as_region(
        [
            *inputs[:carries],
            *[inner[i] for i in of_carry],
            *inputs[carries:captures],
            *[inner[i] for i in of_xs],
            *inputs[captures:],
            *[inner[i] for i in of_outer],
        ],
        [
            *tangents.outputs[:carries],
            *[tangents.tangent(i) for i in of_carry],
            *[tangents.tangent(i) for i in of_ys],
        ],
        count,
    )
    values = declare_several(
        push.op,
        [
            *operands[:carries],
            *first_tangents(graph, given, of_carry, push.types, levels),
            *operands[carries:captures],
            *[axis_first(given[i], levels) for i in of_xs],
            *operands[captures:],
            *[given[i] for i in of_outer],
        ],
        {
            **push.attrs,
            "body": step,
            "carries": count,
            "sequences": sequences + len(of_xs),
            "keep": (True,) * len(step.outputs),
        },
    )
    found = TupleTangent()
    for place, i in enumerate(of_carry, carries):
        found[i] = held_by(values[place], levels)
        found[carries + i] = held_by(axis_behind(values[count + place], levels), levels)
    for place, i in enumerate(of_ys, 2 * count):
        found[carries + i] = held_by(axis_behind(values[place], levels), levels)
    return found


SCAN = Op(
    name="scan",
    kind=Kind.CONTROL,
    arity=None,
    kernel=_scan,
    infer=_scan_infer,
    vjp=_scan_rule,
    jvp=_scan_tangents,
    control=Loop,
    attrs={
        "body": ...,
        "carries": ...,
        "sequences": ...,
        "length": ...,
        "reverse": False,
        "keep": ...,
    },
    doc="Run the body once for each position of the sequences, with a carry from step to step. "
    "Its results are the last carry, then stacks of the carry before each step, then of the other "
    "values that the steps gave.",
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
    require_callable("scan", body_fn)
    if open_levels():
        return scan_of_rows(_declare, body_fn, init, xs, length, reverse)  # type: ignore[no-any-return]
    return _declare(body_fn, init, xs, length, reverse)


def _declare(
    body_fn: Callable[..., Any], init: Any, xs: Any, length: int | None, reverse: bool
) -> tuple[Any, Any]:
    graph = require_graph("scan")
    leaves, structure = flatten(init)
    nodes = [to_node(graph, leaf) for leaf in leaves]
    x_leaves, x_structure = flatten(xs)
    sequences = [to_node(graph, leaf) for leaf in x_leaves]
    steps = _length(sequences, length)
    types = [node.type for node in nodes]
    x_types = [TensorType(x.shape[1:], x.dtype) for x in sequences]
    arguments = (tuple, None, (structure, x_structure))
    body, found, captured = region_from("scan", body_fn, [*types, *x_types], arguments, len(types))
    if found is None or found == "*" or found[0] is not tuple or len(found[2]) != 2:
        raise ArgumentError(
            "scan: the body does not return a pair",
            cause="a step gives the next carry and a value to stack",
            fix="return (carry, y), or (carry, None) if there is nothing to stack",
            related=(("the body declared", body.source),),
        )
    carry_structure, y_structure = found[2]
    carries = len(nodes)
    require_carry("scan", types, structure, body.output_types[:carries], carry_structure, body)
    (body,), outer = share_captures((body,), (captured,), (carries,))
    attrs = {
        "body": body,
        "carries": carries,
        "sequences": len(sequences),
        "length": steps,
        "reverse": bool(reverse),
        "keep": (True,) * len(body.outputs),
    }
    operands = (*nodes, *sequences, *outer)
    values = declare_several(SCAN, operands, attrs)
    mark_shared(values, [body], operands, carries)
    last = unflatten(structure, values[:carries])
    return last, unflatten(y_structure, values[2 * carries :])


SCANS[Node] = scan


def _length(sequences: Sequence[Any], length: int | None) -> int:
    lengths: set[int] = set()
    for x in sequences:
        require_axis("scan", x)
        lengths.add(int(x.type.shape[0]))
    if length is not None:
        lengths.add(require_count("scan", "length", length))
    if len(lengths) != 1:
        raise ArgumentError(
            f"scan: the lengths are {named(tuple(sorted(lengths)))}"
            if lengths
            else "scan: there is no length",
            cause="all sequences are gone through together",
            fix="pass sequences of one length, or length= without any",
        )
    return lengths.pop()
