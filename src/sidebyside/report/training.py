"""How the training of workloads went: sentences, a table of the runs, and the losses as data."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sidebyside.measuring.agreement import Difference
from sidebyside.report import html, units
from sidebyside.report.column import NO_CSV, Column, record, table_lines
from sidebyside.report.renderer import enter
from sidebyside.report.text_table import draw_table
from sidebyside.results.plain import plain
from sidebyside.results.training import TrainingComparison, TrainingRecord


class Run(NamedTuple):
    """A training run, and how far it ended from the reference's."""

    record: TrainingRecord
    difference: Difference


def _differs_by(run: Run) -> str:
    return f"{run.difference.ulp:,.0f} ULP" if run.difference.ulp else "no bit"


TRAINING_COLUMNS: tuple[Column[TrainingComparison], ...] = (
    Column("workload"),
    Column("target"),
    Column("examples"),
    Column("test_examples"),
    Column("identical"),
)
"""What a training has before its runs."""

RUN_COLUMNS: tuple[Column[Run], ...] = (
    Column("mode", "record.mode", "mode"),
    Column("accuracy", "record.accuracy", "right", "%"),
    Column("seconds", "record.seconds", "takes", "s"),
    Column("losses", "record.losses", csv=NO_CSV),
    Column("", "difference.ulp", "differs by", show=_differs_by, csv={"largest_ulp": float}),
)
"""What a run has."""


def runs(training: TrainingComparison) -> list[Run]:
    """Return the runs of a training, each with its difference."""
    return list(map(Run, training.records, training.differences))


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
        "records": [record(RUN_COLUMNS, run) for run in runs(training)],
        "differences": plain(training.differences),
    }


def _csv_lines(training: TrainingComparison) -> Iterator[tuple[TrainingComparison, Run]]:
    return ((training, run) for run in runs(training))


enter(
    TrainingComparison,
    "training, side by side",
    text=_whole_text,
    data=training_data,
    parts=_parts,
    columns=lambda: (TRAINING_COLUMNS, RUN_COLUMNS),
    lines=_csv_lines,
)
