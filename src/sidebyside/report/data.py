"""A comparison as data: JSON with everything, CSV with one line a mode."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from typing import TYPE_CHECKING, Any

from sidebyside.measuring.statistics import CONFIDENCE, Estimate
from sidebyside.results.comparison import Comparison, Row, TimedCell
from sidebyside.studies.training import TrainingComparison

if TYPE_CHECKING:
    from sidebyside.studies.table import Table

SCHEMA = 1

COLUMNS = (
    "workload",
    "size",
    "mode",
    "failure",
    "steady_seconds",
    "steady_low",
    "steady_high",
    "samples",
    "ratio",
    "ratio_low",
    "ratio_high",
    "outcome",
    "start_seconds",
    "build_seconds",
    "first_call_seconds",
    "break_even_calls",
    "break_even_low",
    "break_even_high",
    "peak_bytes",
    "held_bytes",
    "planned_bytes",
    "largest_ulp",
    "largest_relative",
    "regime",
)


def plain(value: Any) -> Any:
    """Return `value` as JSON has it: dataclasses as objects, numbers that are not finite as text.

    Examples
    --------
    >>> plain({"calls": float("inf"), "phases": ("trace", 1.5)})
    {'calls': 'Infinity', 'phases': ['trace', 1.5]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _row(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = plain(row)
    for cell, entry in zip(row.cells, found["cells"], strict=True):
        entry["outcome"] = cell.speed
        if cell.failure is not None:
            entry["failure"] = {"kind": cell.failure.kind, "text": cell.failure.text}
    return found


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as nested dicts and lists; this is what ``--json`` writes.

    Returns
    -------
    dict
        ``schema`` changes when a key changes its meaning; ``confidence`` is that of all intervals;
        ``environment`` has the machine, its load, the threads, the versions and how samples were
        taken. Each of ``rows`` is a `Row` with its attributes: ``workload``, ``title``, ``size``,
        ``reference``, ``regime``, ``several``, and ``cells``, a `TimedCell` a mode:

        - ``failure``: null, or the ``kind`` and ``text`` of the error; then nothing was timed
        - ``steady``, ``start``, ``first_call``, ``built``: seconds, as ``value`` (the median),
          ``low`` and ``high`` (its interval), ``confidence`` and ``count`` (of samples)
        - ``build``: median seconds of each phase
        - ``memory``: ``held`` and ``peak`` bytes; ``planned_bytes``
        - ``difference`` from the reference: ``ulp``, ``relative``, ``where``, ``values``
        - ``ratio`` of a steady call to the reference's, paired, with its interval; ``outcome``,
          what that means; ``calls`` in a sample
        - ``break_even``: ``calls``, ``low``, ``high``, and whether it is ``known``
        - ``passes``: ``record`` (name, instructions before and after, seconds) and ``gain``

        Numbers that are not finite are text: ``"Infinity"`` calls mean never.
    """
    return {
        "schema": SCHEMA,
        "confidence": CONFIDENCE,
        "environment": plain(dict(comparison.environment)),
        "rows": [_row(row) for row in comparison.rows],
    }


def to_text(data: Any) -> str:
    """Return `data` as JSON text."""
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def comparison_json(comparison: Comparison) -> str:
    """Return a comparison as JSON text; times are in seconds."""
    return to_text(comparison_data(comparison))


def comparison_csv(comparison: Comparison) -> str:
    """Return a comparison as CSV text with the columns `COLUMNS`; times are in seconds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in comparison.rows:
        for cell in row.cells:
            writer.writerow(_flat(row, cell))
    return text.getvalue()


def _flat(row: Row, cell: TimedCell) -> dict[str, Any]:
    found: dict[str, Any] = {
        "workload": row.workload,
        "size": row.size,
        "mode": cell.mode,
        "failure": ""
        if cell.failure is None
        else (cell.failure.text or cell.failure.kind).splitlines()[0],
        "outcome": cell.speed,
        "planned_bytes": cell.planned_bytes,
        "regime": "" if row.regime is None else row.regime.name,
    }
    _spread(found, "steady", "_seconds", cell.steady)
    _spread(found, "ratio", "", cell.ratio)
    if cell.steady is not None:
        found["samples"] = cell.steady.count
    if cell.built is not None and cell.start is not None and cell.first_call is not None:
        found["build_seconds"] = cell.built.value
        found["start_seconds"] = cell.start.value
        found["first_call_seconds"] = cell.first_call.value
    if cell.break_even is not None:
        found["break_even_calls"] = cell.break_even.calls
        found["break_even_low"] = cell.break_even.low
        found["break_even_high"] = cell.break_even.high
    if cell.memory is not None:
        found["peak_bytes"] = cell.memory.peak
        found["held_bytes"] = cell.memory.held
    if cell.difference is not None:
        found["largest_ulp"] = cell.difference.ulp
        found["largest_relative"] = cell.difference.relative
    return {key: value for key, value in found.items() if value is not None}


def _spread(found: dict[str, Any], name: str, suffix: str, estimate: Estimate | None) -> None:
    if estimate is not None:
        found[f"{name}{suffix}"] = estimate.value
        found[f"{name}_low"] = estimate.low
        found[f"{name}_high"] = estimate.high


def table_data(table: Table) -> dict[str, Any]:
    """Return the table's measurements as nested dicts and lists; loss curves included."""
    data = comparison_data(table.comparison)
    data["seconds"] = table.seconds
    data["skipped"] = [{"workload": name, "text": text} for name, text in table.skipped]
    data["self_check"] = _row(table.self_check)
    data["trainings"] = [_training(training) for training in table.trainings]
    return data


def _training(training: TrainingComparison) -> dict[str, Any]:
    return {
        "workload": training.workload,
        "target": training.target,
        "examples": training.examples,
        "test_examples": training.test_examples,
        "identical": training.identical,
        "runs": [
            {
                "mode": record.mode,
                "accuracy": record.accuracy,
                "seconds": record.seconds,
                "losses": plain([float(loss) for loss in record.losses]),
                "largest_ulp": plain(difference.ulp),
            }
            for record, difference in zip(training.records, training.differences, strict=True)
        ],
    }
