"""Figures of a comparison: total time, samples, where time is saved, sizes, and the roofs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from sidebyside.measuring.bottleneck import COMPUTE, MEMORY, OVERHEAD
from sidebyside.measuring.machine import Machine
from sidebyside.measuring.statistics import CONFIDENCE
from sidebyside.report import units
from sidebyside.report.figures.drawing import (
    STRONG,
    Drawn,
    Values,
    colour_of,
    linear_axis,
    log_axis,
    shape_of,
    table,
)
from sidebyside.results.comparison import Comparison, Row, TimedCell

WIDTH = 460
"""Of the plot, in pixels: with its axis it is still read on a phone."""

QUANTILES = 41
"""Of the samples of a mode, which stand for all of them."""

FEW_CALLS, MANY_CALLS = 1e3, 1e9
"""Ends of the axis of calls: the least and the most that it goes to."""

SHAPES = {OVERHEAD: "triangle-up", MEMORY: "circle", COMPUTE: "square"}
"""Of a point below the roofs, by what bounds the program."""

KINDS = ("total", "saved", "added", "left")
"""Of the bars of a waterfall."""

_SHARE = f"{CONFIDENCE:.0%}"


def modes_of(rows: Iterable[Row]) -> list[str]:
    """Return the modes that were timed, in their order."""
    timed = (cell.mode for row in rows for cell in row.cells if cell.steady is not None)
    return list(dict.fromkeys(timed))


def row_figures(row: Row) -> list[Drawn]:
    """Return the figures of one program of one size."""
    found = [cumulative(row), distributions(row)]
    found += [waterfall(cell) for cell in row.cells if cell.steps]
    return [each for each in found if each is not None]


def comparison_figures(comparison: Comparison) -> list[Drawn]:
    """Return the figures of all rows together."""
    found = [roofline(comparison)]
    for workload in dict.fromkeys(row.workload for row in comparison.rows):
        found.append(sizes(comparison, workload))
    return [each for each in found if each is not None]


# one program --------------------------------------------------------------------------------------


def cumulative(row: Row) -> Drawn | None:
    """Return the time of all calls together against their number, from a cold start."""
    cells = [cell for cell in row.cells if cell.steady is not None and cell.start is not None]
    if len(cells) < 2:
        return None
    bands: Values = [
        {"mode": cell.mode, "low": max(1.0, even.low), "high": even.high, "calls": even.calls}
        for cell in cells
        if (even := cell.break_even) is not None
        and even.known
        and not (even.at_once or even.never or math.isinf(even.high))
    ]
    most = max([FEW_CALLS, *(10 * band["high"] for band in bands)])
    calls = np.geomspace(1, min(MANY_CALLS, most), 41)
    lines: Values = [
        {"mode": cell.mode, "calls": float(n), "seconds": _total(cell, float(n))}
        for cell in cells
        for n in calls
    ]
    names = [cell.mode for cell in cells]
    x = log_axis("calls", "calls", calls)
    y = log_axis("seconds", "seconds in all", [line["seconds"] for line in lines], "s")
    layers: list[dict[str, Any]] = [
        {
            **table(lines),
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": colour_of("mode", names)},
        }
    ]
    colour = colour_of("mode", names)
    if bands:
        layers[:0] = [
            {
                **table(bands),
                "mark": {"type": "rect", "opacity": 0.18},
                "encoding": {
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                **table(bands),
                "mark": {"type": "rule", "strokeDash": [4, 3]},
                "encoding": {"x": x, "color": colour},
            },
        ]
    caption = "Time of all calls together, from a cold start."
    if bands:
        caption += (
            f" Dashed: where a mode has paid for its start; its band is the {_SHARE} interval."
        )
    return Drawn(caption, {"width": WIDTH, "height": 240, "layer": layers})


def _total(cell: TimedCell, calls: float) -> float:
    assert cell.start is not None and cell.steady is not None
    return cell.start.value + (calls - 1) * cell.steady.value


def distributions(row: Row) -> Drawn | None:
    """Return the samples of each mode."""
    cells = {cell.mode: _samples(cell) for cell in row.cells}
    cells = {mode: samples for mode, samples in cells.items() if len(samples) > 1}
    if not cells:
        return None
    values: Values = [
        {"mode": mode, "seconds": float(value)}
        for mode, samples in cells.items()
        for value in np.quantile(samples, np.linspace(0, 1, min(QUANTILES, len(samples))))
    ]
    medians: Values = [
        {"mode": cell.mode, "value": s.value, "low": s.low, "high": s.high}
        for cell in row.cells
        if (s := cell.steady) is not None and cell.mode in cells and s.low > 0
    ]
    modes = list(cells)
    y = {"field": "mode", "type": "nominal", "title": None, "sort": modes}
    x = log_axis("seconds", "seconds of a call", [each["seconds"] for each in values], "s")
    colour = colour_of("mode", modes, legend=False)
    layers = [
        {
            **table(values),
            "mark": {"type": "tick", "thickness": 1.5, "opacity": 0.45},
            "encoding": {"x": x, "y": y, "color": colour},
        },
        {
            **table(medians),
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
        {
            **table(medians),
            "mark": {"type": "point", "filled": True, "size": 60, "color": STRONG},
            "encoding": {"x": {**x, "field": "value"}, "y": y},
        },
    ]
    caption = (
        f"Samples of a call ({QUANTILES} quantiles of each mode), with the estimate and its "
        f"{_SHARE} interval."
    )
    return Drawn(caption, {"width": WIDTH, "height": {"step": 34}, "layer": layers})


def _samples(cell: TimedCell) -> Any:
    """Return the seconds of a call in all blocks, or in all rounds of one process."""
    if cell.replicates:
        return np.concatenate([each.blocks for each in cell.replicates])
    return np.asarray(cell.samples, np.float64)


def waterfall(cell: TimedCell) -> Drawn:
    """Return where the time of a mode is saved: the steps, and what is left."""
    names = [step.name for step in cell.steps]
    bars: Values = []
    for place, step in enumerate(cell.steps):
        before = cell.steps[place - 1].seconds.value if place else 0.0
        now = step.seconds.value
        kind = "total" if not place else "saved" if now <= before else "added"
        bars.append({"step": step.name, "from": before, "to": now, "kind": kind})
    shown = {step.name: _step_label(step.change) for step in cell.steps}
    shown[names[0]] = units.seconds(cell.steps[0].seconds.value)
    last = cell.steps[-1]
    bars[-1]["kind"] = "saved"
    bars[-1]["step"] = names[-1] = "the work of a call"
    shown[names[-1]] = shown.pop(last.name)
    bars.append({"step": last.name, "from": 0.0, "to": last.seconds.value, "kind": "left"})
    names.append(last.name)
    shown[last.name] = units.seconds(last.seconds.value)
    for bar in bars:
        bar["label"] = shown[bar["step"]]
        bar["end"] = max(bar["from"], bar["to"])
    kinds = [kind for kind in KINDS if any(bar["kind"] == kind for bar in bars)]
    y = {"field": "step", "type": "nominal", "sort": names, "title": None}
    x = linear_axis("from", "seconds of a call", max(bar["end"] for bar in bars), "s")
    layers = [
        {
            "mark": {"type": "bar", "height": {"band": 0.7}},
            "encoding": {"x": x, "x2": {"field": "to"}, "y": y, "color": colour_of("kind", kinds)},
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 5},
            "encoding": {"x": {**x, "field": "end"}, "y": y, "text": {"field": "label"}},
        },
    ]
    caption = (
        f"Where {cell.mode} saves time. Each bar begins where the one above it ends, so the steps "
        "add up; what is left is a call of nothing."
    )
    spec = {"width": WIDTH - 80, "height": {"step": 26}, **table(bars), "layer": layers}
    return Drawn(caption, spec)


def _step_label(change: Any) -> str:
    if change is None:
        return ""
    scale = units.scale_of(change.value)
    name = units.seconds(abs(change.value)).split()[1]
    sure = not change.known or not change.low <= 0 <= change.high
    return f"{units.signed(change.value / scale)} {name}" if sure else "no difference"


# all programs -------------------------------------------------------------------------------------


def sizes(comparison: Comparison, workload: str) -> Drawn | None:
    """Return the time of a call against the size, with the sizes at which modes change places."""
    rows = [row for row in comparison.rows if row.workload == workload and row.amount]
    if len(rows) < 2:
        return None
    modes = modes_of(rows)
    points: Values = [
        {"size": row.amount, "mode": cell.mode, "value": s.value, "low": s.low, "high": s.high}
        for row in rows
        for cell in row.cells
        if (s := cell.steady) is not None and s.low > 0
    ]
    if not points:
        return None
    title = rows[0].parameter
    x = log_axis("size", title, [point["size"] for point in points])
    ends = [point[end] for point in points for end in ("low", "high")]
    y = log_axis("value", "seconds of a call", ends, "s")
    colour = colour_of("mode", modes)
    layers: list[dict[str, Any]] = [
        {
            **table(points),
            "mark": {"type": "area", "opacity": 0.18},
            "encoding": {
                "x": x,
                "y": {**y, "field": "low"},
                "y2": {"field": "high"},
                "color": colour,
            },
        },
        {
            **table(points),
            "mark": {"type": "line", "point": True, "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": colour_of("mode", modes)},
        },
    ]
    least, most = min(row.amount for row in rows), max(row.amount for row in rows)
    crossings: Values = [
        {
            "mode": each.mode,
            "size": each.size,
            "low": max(each.low, least),
            "high": min(each.high, most),
        }
        for each in comparison.crossings
        if each.workload == workload
    ]
    if crossings:
        layers[:0] = [
            {
                **table(crossings),
                "mark": {"type": "rect", "opacity": 0.15},
                "encoding": {
                    "x": {**x, "field": "low"},
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                **table(crossings),
                "mark": {"type": "rule", "strokeDash": [4, 3]},
                "encoding": {"x": x, "color": colour},
            },
        ]
    caption = f"{workload}: time of a call against the {title}, with {_SHARE} intervals."
    if crossings:
        caption += (
            " Dashed: where a mode and its reference change places; the band is its interval."
        )
    return Drawn(caption, {"width": WIDTH, "height": 260, "layer": layers})


def machine_of(environment: Mapping[str, Any]) -> Machine | None:
    """Return the roofs that were measured, of the environment of a comparison."""
    found = environment.get("machine")
    if not found:
        return None
    copies = {int(size): float(rate) for size, rate in found["copies"].items()}
    return Machine(copies, found["products"], found["functions"])


def roofline(comparison: Comparison) -> Drawn | None:
    """Return every program below the roofs of this machine."""
    machine = machine_of(comparison.environment)
    points: Values = [
        {
            "mode": cell.mode,
            "program": row.label,
            "workload": row.workload,
            "intensity": cell.work.arithmetic / cell.work.bytes,
            "rate": cell.work.arithmetic / cell.steady.value,
            "bound": "" if cell.bottleneck is None else cell.bottleneck.name,
        }
        for row in comparison.rows
        for cell in row.cells
        if cell.work is not None and cell.steady is not None
        if cell.work.arithmetic and cell.work.bytes
    ]
    if machine is None or not points:
        return None
    peak = machine.products["float32"]
    steps = [point["intensity"] for point in points]
    left = min(*steps, peak / max(machine.copies.values())) / 4
    right = max(*steps, peak / min(machine.copies.values())) * 4
    at = np.geomspace(left, right, 60)
    largest = max(machine.copies)
    roofs: Values = [
        {
            "roof": "memory" if size == largest else f"copies of {units.size_in_bytes(size)}",
            "intensity": float(x),
            "rate": min(peak, rate * float(x)),
            "main": size == largest,
        }
        for size, rate in machine.copies.items()
        for x in at
    ]
    x = log_axis("intensity", "operations a byte that is moved", at, format_="~g")
    rates = [each["rate"] for each in (*points, *roofs)]
    y = log_axis("rate", "operations a second", rates)
    layers = [
        {
            **table(roofs),
            "mark": {"type": "line", "color": STRONG},
            "encoding": {
                "x": x,
                "y": y,
                "detail": {"field": "roof"},
                "opacity": {"condition": {"test": "datum.main", "value": 1}, "value": 0.35},
            },
        },
        {
            **table(points),
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 0.9},
            "encoding": {
                "x": x,
                "y": y,
                "color": colour_of("mode", modes_of(comparison.rows)),
                "shape": shape_of("bound", SHAPES),
                "description": {"field": "program"},
            },
        },
    ]
    layers.append(
        {
            **table(_named(points)),
            "mark": {"type": "text", "align": "left", "dx": 8, "dy": -6, "fontSize": 11},
            "encoding": {"x": x, "y": y, "text": {"field": "workload"}},
        }
    )
    caption = (
        f"Every program below the roofs of this machine: memory moves "
        f"{units.three_digits(machine.copies[largest] / 1e9)} GB a second, products make "
        f"{units.three_digits(peak / 1e9)} GFLOP a second (fainter: copies that fit in a cache). "
        "Operations are floating-point operations and values of functions."
    )
    return Drawn(caption, {"width": WIDTH, "height": 280, "layer": layers})


def _named(points: Values) -> Values:
    """Return the fastest point of each program, which its name stands at."""
    best: dict[str, dict[str, Any]] = {}
    for point in sorted(points, key=lambda each: float(each["rate"])):
        best[point["workload"]] = point
    return list(best.values())
