"""Train a workload on real data in several modes, and compare the loss curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from oplibrary.core.types import Array
from oplibrary.messages.errors import WorkloadError
from sidebyside.measuring.agreement import Difference, compare_results
from sidebyside.modes import find_mode
from sidebyside.workloads.workload import Workload


@dataclass(frozen=True)
class TrainingRecord:
    """One training run.

    Attributes
    ----------
    mode : str
    losses : numpy.ndarray
        One a step.
    parameters : list of numpy.ndarray
        As they ended.
    accuracy : float
        Fraction of right answers on the test part.
    seconds : float
        Of all steps and, in a mode that has one, the build.
    """

    mode: str
    losses: Array
    parameters: list[Array]
    accuracy: float
    seconds: float


@dataclass(frozen=True)
class TrainingComparison:
    """The training of one workload in several modes.

    Attributes
    ----------
    workload : str
    target : float
        Test accuracy to reach.
    examples, test_examples : int
    records : tuple of TrainingRecord
        The first is the reference.
    differences : tuple of Difference
        For each record, that of its losses and final parameters from the reference's.
    """

    workload: str
    target: float
    examples: int
    test_examples: int
    records: tuple[TrainingRecord, ...]
    differences: tuple[Difference, ...]

    @property
    def identical(self) -> bool:
        """Whether every loss and every final parameter has the same bits in all modes."""
        return all(difference.ulp == 0 for difference in self.differences)

    @property
    def reached(self) -> bool:
        """Whether the accuracy reached the target in all modes."""
        return all(record.accuracy >= self.target for record in self.records)


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
    modes: Sequence[str] = ("dynamic", "static"),
    report: Callable[[str], None] | None = None,
) -> TrainingComparison:
    """Train `workload` in each mode from the same start on the same batches."""
    records = []
    for mode in modes:
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
