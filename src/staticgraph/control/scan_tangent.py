"""The tangents of a scan, which is a scan that carries the tangents along."""

from __future__ import annotations

from oplibrary.tangents.families import Push
from oplibrary.transforms.batched import held_by
from staticgraph.control.conditional import declare_several
from staticgraph.control.region import Region
from staticgraph.control.tangents import (
    TupleTangent,
    axis_behind,
    axis_first,
    carries_that_move,
    first_tangents,
    moving_operands,
)
from staticgraph.declare.build import require_graph


def push_scan(push: Push) -> TupleTangent:
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
