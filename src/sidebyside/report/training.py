"""How the training of workloads went: sentences, a table of the runs, and the losses as data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

from sidebyside.measuring.agreement import Difference
from sidebyside.report import html, units
from sidebyside.report.column import NO_CSV, Column, record, table_lines
from sidebyside.report.renderer import ResultRenderer
from sidebyside.report.text_table import draw_table
from sidebyside.results.result import RENDERERS
from sidebyside.results.training import TrainingComparison, TrainingRecord

Run = tuple[TrainingRecord, Difference]
"""A training run, and how far it ended from the reference's."""

TRAINING_COLUMNS: tuple[Column[TrainingComparison], ...] = (
    Column("workload", attrgetter("workload")),
    Column("target", attrgetter("target")),
    Column("examples", attrgetter("examples")),
    Column("test_examples", attrgetter("test_examples")),
    Column("identical", attrgetter("identical")),
)
"""What a training has before its runs."""

RUN_COLUMNS: tuple[Column[Run], ...] = (
    Column("mode", lambda run: run[0].mode, "mode"),
    Column("accuracy", lambda run: run[0].accuracy, "right", "%"),
    Column("seconds", lambda run: run[0].seconds, "takes", "s"),
    Column("losses", lambda run: run[0].losses.tolist(), csv=NO_CSV),
    Column(
        "largest_ulp",
        lambda run: run[1].ulp,
        "differs by",
        show=lambda run: f"{run[1].ulp:,.0f} ULP" if run[1].ulp else "no bit",
    ),
)
"""What a run has."""


def runs(training: TrainingComparison) -> list[Run]:
    """Return the runs of a training, each with its difference."""
    return list(zip(training.records, training.differences, strict=True))


def training_text(trainings: Sequence[TrainingComparison], width: int) -> str:
    """Return how the training runs ended."""
    first = trainings[0]
    lines = [
        f"Trained in both modes on {first.examples:,} of {first.examples + first.test_examples:,} "
        "real digit images, tested on the others:"
    ]
    for training in trainings:
        accuracies = sorted({f"{record.accuracy:.1%}" for record in training.records})
        steps = len(training.records[0].losses)
        curve = (
            "the same losses and parameters to the last bit"
            if training.identical
            else f"losses differ by {max(d.ulp for d in training.differences):,.0f} ULP"
        )
        times = ", ".join(f"{r.mode} {units.seconds(r.seconds)}" for r in training.records)
        reached = "over" if training.reached else "BELOW"
        lines.append(
            f"  {training.workload}: {' and '.join(accuracies)} right ({reached} the target of "
            f"{training.target:.0%}), {curve}"
        )
        lines.append(f"    {steps:,} steps: {times}")
    return "\n".join(textwrap.fill(line, width, subsequent_indent="    ") for line in lines)


def _whole_text(training: TrainingComparison, width: int) -> str:
    table = draw_table(table_lines(RUN_COLUMNS, runs(training)))
    return f"{training_text([training], width)}\n{table}"


def _parts(training: TrainingComparison) -> list[str]:
    text = training_text([training], 100)
    return [html.element("pre", text), html.table(table_lines(RUN_COLUMNS, runs(training)))]


def training_data(training: TrainingComparison) -> dict[str, Any]:
    """Return a training as nested dicts and lists; loss curves included."""
    return {
        **record(TRAINING_COLUMNS, training),
        "runs": [record(RUN_COLUMNS, run) for run in runs(training)],
    }


def _csv_lines(training: TrainingComparison) -> Iterator[tuple[TrainingComparison, Run]]:
    return ((training, run) for run in runs(training))


RENDERERS[TrainingComparison] = ResultRenderer(
    "training, side by side",
    _whole_text,
    training_data,
    _parts,
    lambda: (TRAINING_COLUMNS, RUN_COLUMNS),
    _csv_lines,
)
