"""Ops by the name that a file gives them, and whether their attributes fit their operands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.core.op import Op
from oplibrary.core.registry import REGISTRY
from oplibrary.values.types import TensorType
from staticgraph.control.conditional import SWITCH
from staticgraph.control.flow import Choice, Loop, Rewind
from staticgraph.control.region import Region
from staticgraph.control.scan import SCAN
from staticgraph.control.while_loop import WHILE, WHILE_GRADIENT
from staticgraph.declare.creation import CREATED
from staticgraph.declare.length_op import LENGTH
from staticgraph.program.tuple_values import ITEM

DECLARED_ONLY: Mapping[str, Op] = {
    op.name: op for op in (CREATED, ITEM, LENGTH, SCAN, SWITCH, WHILE, WHILE_GRADIENT)
}
"""The ops of lowered programs that are not in the library's registry."""

_BOOL = TensorType((), np.bool_)

Types = Sequence[TensorType]


def find_op(name: str) -> Op | None:
    """Return the op that is called `name` in files, or None."""
    return DECLARED_ONLY.get(name) or REGISTRY.get(name)


def regions_in(attrs: Mapping[str, Any]) -> Iterator[Region]:
    """Yield the regions among attributes."""
    for value in attrs.values():
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, Region):
                yield each


def attributes_fit(
    op: Op, types: Types, attrs: Mapping[str, Any], after_passes: bool = False
) -> bool:
    """Tell whether what backends take for granted of `op` on operands of `types` holds.

    They trust that a region gets and gives what its op passes on, and that a result exists which is
    taken out of several, as is so of whatever was declared. The op's rule for types does not look
    at that. Only a pass leaves results of a loop out (`after_passes`).
    """
    if op.projection:
        return 0 <= int(attrs["index"]) < types[0].shape[0]
    if not any(regions_in(attrs)):
        return True
    flow = None if op.control is None else op.control(**attrs)
    if isinstance(flow, Choice):
        return _choice_fits(flow, types)
    if isinstance(flow, Rewind):
        return _rewind_fits(flow, types)
    return isinstance(flow, Loop) and _loop_fits(flow, types, after_passes)


def _accepts(region: Region, given: Types, owned: int = 0) -> bool:
    return region.input_types == tuple(given) and 0 <= region.owned <= owned


def _choice_fits(flow: Choice, types: Types) -> bool:
    first = flow.branches[0]
    return all(
        _accepts(branch, types[1:]) and branch.output_types == first.output_types
        for branch in flow.branches
    )


def _is_count(number: Any) -> bool:
    return type(number) is int and number >= 0


def _loop_fits(flow: Loop, types: Types, after_passes: bool) -> bool:
    counts = (flow.carries, flow.sequences, flow.length or 0, flow.max_steps or 0)
    if not all(map(_is_count, counts)) or type(flow.reverse) is not bool:
        return False
    carried, rest = types[: flow.carries], types[flow.carries :]
    sequences, outer = rest[: flow.sequences], rest[flow.sequences :]
    if len(carried) != flow.carries or len(sequences) != flow.sequences:
        return False
    if any(not each.shape or each.shape[0] != flow.length for each in sequences):
        return False
    steps = [TensorType(each.shape[1:], each.dtype) for each in sequences]
    given, body = [*carried, *steps, *outer], flow.body
    if not _accepts(body, given, flow.carries):
        return False
    if body.output_types[: flow.carries] != tuple(carried):
        return False
    if flow.condition is None:
        kept = (True,) * len(body.output_types)
        some = after_passes and tuple(map(type, flow.keep)) == tuple(map(type, kept))
        return flow.length is not None and (some or flow.keep == kept)
    return len(body.output_types) == flow.carries and _decides(flow.condition, given)


def _decides(condition: Region, given: Types) -> bool:
    return _accepts(condition, given) and condition.output_types == (_BOOL,)


def _rewind_fits(flow: Rewind, types: Types) -> bool:
    given = types[: len(flow.body.input_types)]
    results, pulled = flow.body.output_types, tuple(types[len(given) :])
    return (
        _is_count(flow.carries)
        and _is_count(flow.moving)
        and flow.moving <= len(pulled)
        and _is_count(flow.max_steps or 0)
        and len(given) >= flow.carries
        and _decides(flow.condition, given)
        and _accepts(flow.body, given)
        and results[: flow.carries] == tuple(given[: flow.carries])
        and _accepts(flow.pullback, [*types, *results[flow.carries :]])
        and flow.pullback.output_types == pulled
        and all(_accepts(each, types) and each.output_types == pulled for each in flow.first)
    )
