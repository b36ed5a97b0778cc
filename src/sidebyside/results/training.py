"""How the training of one workload went in several modes."""

from __future__ import annotations

from dataclasses import dataclass, field

from oplibrary.values.types import Array
from sidebyside.measuring.agreement import Difference
from sidebyside.results.result import Result


@dataclass(frozen=True)
class TrainingRecord:
    """One training run.

    Attributes
    ----------
    mode : str
        Its name.
    losses : numpy.ndarray
        One a step.
    accuracy : float
        Fraction of right answers on the test part.
    seconds : float
        Of all steps and, in a mode that has one, the build.
    parameters : list of numpy.ndarray
        As they ended; none in a result that was read from a file.
    """

    mode: str
    losses: Array
    accuracy: float
    seconds: float
    parameters: list[Array] = field(default_factory=list)


@dataclass(frozen=True, repr=False)
class TrainingComparison(Result):
    """The training of one workload in several modes.

    Attributes
    ----------
    workload : str
        Its name.
    target : float
        Test accuracy to reach.
    examples, test_examples : int
        That were trained on, and tested on.
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

    def unsound(self) -> str:
        """Return what in it cannot be; empty where nothing is wrong."""
        if not self.records or len(self.differences) != len(self.records):
            return f"{len(self.differences)} differences of {len(self.records)} records"
        return ""

    @property
    def identical(self) -> bool:
        """Whether every loss and every final parameter has the same bits in all modes."""
        return all(difference.ulp == 0 for difference in self.differences)

    @property
    def reached(self) -> bool:
        """Whether the accuracy reached the target in all modes."""
        return all(record.accuracy >= self.target for record in self.records)
