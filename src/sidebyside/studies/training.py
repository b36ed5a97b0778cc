"""Train a workload on real data in several modes, and compare the loss curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from oplibrary.messages.errors import WorkloadError
from oplibrary.values.tree import flatten, unflatten
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
        If the workload has no training.
    SideBySideError
        What the mode says where it cannot run the workload.
    """
    training = workload.training
    if training is None:
        raise WorkloadError(
            f"workload {workload.name!r} cannot be trained",
            cause="a workload is trained if it has a Training",
            fix="choose another one",
        )
    runs = find_mode(mode)
    splits = training.data()
    batches = list(training.batches(splits.train))
    initial = training.initial()
    leaves, structure = flatten(initial)
    losses = []
    start = time.perf_counter()
    step = runs.prepare(workload, (initial, *batches[0]))
    for batch in batches:
        arguments = step.convert((unflatten(structure, leaves), *batch))
        results = step.arrays(step.call(*arguments))
        losses.append(float(results[0]))
        leaves = results[-len(leaves) :]
    seconds = time.perf_counter() - start
    answers = Workload(training.accuracy, workload.inputs)
    judged = runs.prepare(answers, (unflatten(structure, leaves), *splits.test))
    accuracy = float(judged.arrays(judged.run())[0])
    return TrainingRecord(mode, np.array(losses, np.float32), accuracy, seconds, leaves)


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
