"""ONNX's branches and loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import SideBySideError, UnsupportedOpError
from staticgraph.importing.onnx_models.known import as_live, is_live
from staticgraph.importing.onnx_models.table import TABLE

MOST_UNROLLED = 64
"""Steps of a loop that are written one after another, if it cannot be a loop."""


def _values(xp: Any, values: Any) -> tuple[Any, ...]:
    return tuple([xp.asarray(as_live(xp, x)) for x in values])


@TABLE.entry("If", whole=True)
def _if(xp: Any, cond: Any, then_branch: Any, else_branch: Any) -> Any:
    if not is_live(cond):
        return (then_branch if np.asarray(cond).all() else else_branch)()
    return list(
        xp.cond(
            xp.reshape(cond, ()),
            lambda: _values(xp, then_branch()),
            lambda: _values(xp, else_branch()),
        )
    )


@TABLE.entry("Loop", whole=True)
def _loop(
    xp: Any,
    body: Any,
    M: Any = None,
    cond: Any = None,
    v_initial: Any = (),
    *,
    outputs: int,
    endless: bool,
) -> Any:
    carried = len(v_initial)
    if is_live(M) or is_live(cond) or not endless:
        return _while(xp, body, M, cond, v_initial, outputs)
    if cond is not None and not np.asarray(cond).all():
        count = 0
    elif M is None:
        raise UnsupportedOpError("Loop has no end", cause="neither a count nor a condition ends it")
    else:
        count = int(np.asarray(M).reshape(()))

    def step(state: Any, i: Any) -> Any:
        _, *results = body(i, np.array(True), *state)
        return _values(xp, results[:carried]), _values(xp, results[carried:])

    if count:
        try:
            return _scanned(xp, step, _values(xp, v_initial), count)
        except SideBySideError:
            if count > MOST_UNROLLED:
                raise
    return _unrolled(xp, body, v_initial, count, outputs)


def _scanned(xp: Any, step: Any, init: Any, count: int) -> Any:
    state, stacked = xp.scan(step, init, np.arange(count))
    return [*state, *stacked]


def _unrolled(xp: Any, body: Any, state: Any, count: int, outputs: int) -> Any:
    """Return the results of steps written one after another, whose numbers are known then."""
    rows: list[Any] = [[] for _ in range(outputs - len(state))]
    for i in range(count):
        _, *results = body(np.array(i), np.array(True), *state)
        state = results[: len(state)]
        for row, each in zip(rows, results[len(state) :], strict=True):
            row.append(as_live(xp, each))
    if rows and not count:
        raise UnsupportedOpError(
            "Loop collects results of no step", cause="their shape is not known then"
        )
    return [*state, *[xp.stack(row, axis=0) for row in rows]]


def _while(xp: Any, body: Any, M: Any, cond: Any, v_initial: Any, outputs: int) -> Any:
    if outputs > len(v_initial):
        raise UnsupportedOpError(
            "Loop collects results of so many steps as values decide",
            cause="their shape depends on values",
            fix="give the loop a count that is known, and no condition",
        )
    going = np.array(True) if cond is None else cond
    start = (np.array(0), xp.reshape(xp.asarray(going), ()), *v_initial)

    def goes_on(state: Any) -> Any:
        if M is None:
            return state[1]
        return xp.logical_and(state[1], xp.less(state[0], xp.reshape(xp.asarray(M), ())))

    def step(state: Any) -> Any:
        i, _, *rest = state
        again, *results = body(i, state[1], *rest)
        return (i + 1, xp.reshape(xp.asarray(again), ()), *_values(xp, results))

    return list(xp.while_loop(goes_on, step, _values(xp, start)))[2:]


@TABLE.entry("Scan", since=9, whole=True)
def _scan(
    xp: Any,
    initial_state_and_scan_inputs: Any,
    body: Any,
    num_scan_inputs: int,
    scan_input_axes: Any = None,
    scan_input_directions: Any = None,
    scan_output_axes: Any = None,
    scan_output_directions: Any = None,
) -> Any:
    count = len(initial_state_and_scan_inputs) - num_scan_inputs
    state = initial_state_and_scan_inputs[:count]
    rows = list(initial_state_and_scan_inputs[count:])
    for i, x in enumerate(rows):
        x = xp.asarray(x)
        if scan_input_axes:
            x = xp.moveaxis(x, scan_input_axes[i], 0)
        if scan_input_directions and scan_input_directions[i]:
            x = xp.flip(x, axis=0)
        rows[i] = x

    def step(state: Any, row: Any) -> Any:
        results = body(*state, *row)
        return _values(xp, results[:count]), _values(xp, results[count:])

    last, stacked = xp.scan(step, _values(xp, state), tuple(rows))
    found = []
    for i, x in enumerate(stacked):
        if scan_output_directions and scan_output_directions[i]:
            x = xp.flip(x, axis=0)
        if scan_output_axes and scan_output_axes[i]:
            x = xp.moveaxis(x, 0, scan_output_axes[i])
        found.append(x)
    return [*last, *found]
