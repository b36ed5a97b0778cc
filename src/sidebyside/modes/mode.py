"""What a mode is: one way of running the program of a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from oplibrary.core.types import Array
from sidebyside.measuring.bottleneck import Work
from sidebyside.workloads.workload import Workload


@dataclass(frozen=True, slots=True)
class PassRecord:
    """What one compiler pass did.

    Attributes
    ----------
    name : str
    before, after : int
        Instructions of the program.
    seconds : float
    """

    name: str
    before: int
    after: int
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """A workload made ready in one mode.

    Attributes
    ----------
    run : callable
        Does one call with inputs that are in the mode's own format already, and returns the
        results in that format.
    arrays : callable
        Turns what `run` returned into a list of ndarrays: the results of the program, or the loss,
        further results and the gradients or new parameters.
    build : mapping of str to float
        Seconds of each phase before the first call.
    passes : tuple of PassRecord
    plan_memory : callable, optional
        Returns the peak of the buffers in bytes, as planned; None where there is no plan.
    work : Work, optional
        What the program does before any optimisation, where that is known.
    """

    run: Callable[[], Any]
    arrays: Callable[[Any], list[Array]]
    build: Mapping[str, float] = field(default_factory=dict)
    passes: tuple[PassRecord, ...] = ()
    plan_memory: Callable[[], int] | None = None
    work: Work | None = None


class Trainer(Protocol):
    """Training of a workload in one mode."""

    def step(self, batch: Sequence[Array]) -> Any:
        """Do one training step and return the loss, in the mode's format."""

    def parameters(self) -> list[Array]:
        """Return the current parameters."""

    def accuracy(self, arrays: Sequence[Array]) -> float:
        """Return the fraction of right answers."""


@dataclass(frozen=True)
class Mode:
    """One way of running programs.

    Attributes
    ----------
    name : str
        As on the command line.
    title : str
    prepare : callable
        ``prepare(workload, inputs) -> Prepared``; raises what the library says where the workload
        cannot run in this mode.
    exact : bool
        Whether its results must be those of the dynamic mode to the last bit.
    counts_memory : bool
        Whether `tracemalloc` sees its arrays.
    package : str
        The distribution it comes from, for its version.
    train : callable, optional
        ``train(workload, batch) -> Trainer``, for batches shaped like `batch`.
    without_pass : callable, optional
        ``without_pass(name)`` gives the mode with one compiler pass switched off.
    """

    name: str
    title: str
    prepare: Callable[[Workload, tuple[Any, ...]], Prepared]
    exact: bool = False
    counts_memory: bool = False
    package: str = ""
    train: Callable[[Workload, Sequence[Array]], Trainer] | None = None
    without_pass: Callable[[str], Mode] | None = None
