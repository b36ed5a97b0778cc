"""Train a workload on real data in several modes, and compare the loss curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from oplibrary.messages.errors import WorkloadError
from sidebyside.measuring.agreement import compare_results
from sidebyside.modes import find_mode
from sidebyside.modes.registry import mode_names
from sidebyside.results.training import TrainingComparison, TrainingRecord
from sidebyside.workloads.workload import Workload


def train(workload: Workload, mode: str) -> TrainingRecord:
    """Train `workload` in one mode, from its initial parameters through all epochs.

    Raises
    ------
    WorkloadError
        If the workload has no training, or the mode cannot train.
    """
    training, trains = workload.training, find_mode(mode).train
    if training is None or trains is None:
        what = f"mode {mode!r}" if training is not None else f"workload {workload.name!r}"
        raise WorkloadError(
            f"{what} cannot be trained with",
            cause="a workload is trained if it has a Training, in the modes dynamic and static",
            fix="choose another one",
        )
    splits = training.data()
    batches = list(training.batches(splits.train))
    start = time.perf_counter()
    trainer = trains(workload, batches[0])
    losses = [trainer.step(batch) for batch in batches]
    seconds = time.perf_counter() - start
    return TrainingRecord(
        mode,
        np.array([float(loss) for loss in losses], np.float32),
        trainer.parameters(),
        trainer.accuracy(splits.test),
        seconds,
    )


def compare_training(
    workload: Workload,
    modes: str | Sequence[str] = ("dynamic", "static"),
    report: Callable[[str], None] | None = None,
) -> TrainingComparison:
    """Train `workload` in each mode from the same start on the same batches."""
    records = []
    for mode in mode_names(modes):
        if report is not None:
            report(f"training {workload.name}: {mode}")
        records.append(train(workload, mode))
    assert workload.training is not None
    splits = workload.training.data()
    reference = records[0]
    differences = tuple(
        compare_results(
            [record.losses, *record.parameters], [reference.losses, *reference.parameters]
        )
        for record in records
    )
    return TrainingComparison(
        workload.name,
        workload.training.target,
        len(splits.train[0]),
        len(splits.test[0]),
        tuple(records),
        differences,
    )
