"""What a mode is: one way of running programs, by one library."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sidebyside.measuring.bottleneck import Work
from sidebyside.modes.conversion import to_arrays
from sidebyside.workloads.workload import Workload


@dataclass(frozen=True, slots=True)
class PassEffect:
    """What one compiler pass did.

    Attributes
    ----------
    name : str
        Of the pass.
    before, after : int
        Instructions of the program.
    seconds : float
        That it took.
    """

    name: str
    before: int
    after: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What a call of a program does.

    Attributes
    ----------
    declared : Work
        Operation by operation.
    compiled : Work
        After the passes.
    """

    declared: Work
    compiled: Work


@dataclass(frozen=True)
class Prepared:
    """A program made ready in one mode, and what the mode can say about it.

    Attributes
    ----------
    call : callable
        Makes one call with converted arguments, and waits for its results.
    convert : callable
        Turns the arguments of a call into a sequence of those of `call`, in the mode's format.
    arrays : callable
        Turns what `call` returned into a list, numbers as ndarrays: the results of the program, or
        the loss, further results and the gradients or new parameters.
    given : sequence
        The converted inputs of `run`.
    build : mapping of str to float
        Seconds of each phase before the first call.
    passes : tuple of PassEffect
    plan_memory : callable, optional
        Returns the peak of the buffers in bytes, as planned; None where there is no plan.
    count_work : callable, optional
        Returns what a call does, as declared and as compiled; None where that is not known.
    builds : callable
        How often the program was traced or compiled so far; None where nothing is.
    notes : callable
        What is known about the traces, for those who ask: fixed values, effects that happen once.
    breaks : callable
        Why a compiled program was left for Python in the middle, and how often for each reason.
    """

    call: Callable[..., Any]
    convert: Callable[[Sequence[Any]], Sequence[Any]] = tuple
    arrays: Callable[[Any], list[Any]] = to_arrays
    given: Sequence[Any] = ()
    build: Mapping[str, float] = field(default_factory=dict)
    passes: tuple[PassEffect, ...] = ()
    plan_memory: Callable[[], int] | None = None
    count_work: Callable[[], Counted] | None = None
    builds: Callable[[], int | None] = lambda: None
    notes: Callable[[], list[str]] = list
    breaks: Callable[[], dict[str, int]] = dict

    @property
    def run(self) -> Callable[[], Any]:
        """Does one call with the inputs that the program was made ready with."""
        return partial(self.call, *self.given)

    def with_inputs(self, inputs: Sequence[Any]) -> Prepared:
        """Return the same with `inputs` for `run`."""
        return replace(self, given=self.convert(inputs))


def _nothing() -> None:
    """Do nothing: most libraries are ready once they are imported."""


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
    prepare_calls : callable, optional
        ``prepare_calls(workload, static) -> Prepared`` for a program with Python's own control
        flow, whose calls differ in their shapes and values. The arguments that `static` names by
        position are constants, and others need another build.
    namespace : namespace
        The functions that programs are given as `xp`.
    packages : tuple of str
        What has to be installed beside this library, first the one whose version matters. The
        registry enters it.
    exact : bool
        Whether its results must be those of the dynamic mode to the last bit.
    counts_memory : bool
        Whether `tracemalloc` sees its arrays.
    climb : callable, optional
        ``climb(workload, inputs)`` returns the rungs from operations one by one to the mode, see
        `sidebyside.modes.ladder`.
    eager : bool
        Whether each operation runs by itself, so that it does what is declared and no less.
    without_caches : callable
        Returns a context in which nothing is used of what earlier builds left, on disk too.
    load : callable
        Imports what the library itself loads at the first use.
    warm_up : callable
        Lets the library put in its cache what it builds once for a machine and not for a program.
    """

    name: str
    title: str
    prepare: Callable[[Workload, tuple[Any, ...]], Prepared]
    prepare_calls: Callable[[Workload, tuple[int, ...]], Prepared] | None = None
    namespace: Any = None
    packages: tuple[str, ...] = ()
    exact: bool = False
    counts_memory: bool = False
    climb: Callable[[Workload, tuple[Any, ...]], Sequence[Any]] | None = None
    eager: bool = False
    without_caches: Callable[[], AbstractContextManager[Any]] = nullcontext
    load: Callable[[], None] = _nothing
    warm_up: Callable[[], None] = _nothing

    @classmethod
    def of_calls(
        cls,
        name: str,
        title: str,
        prepare_calls: Callable[[Workload, tuple[int, ...]], Prepared],
        **fields: Any,
    ) -> Mode:
        """Return a mode that builds at the first call, or nothing: it needs no inputs before."""

        def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
            return prepare_calls(workload, ()).with_inputs(inputs)

        return cls(name, title, prepare, prepare_calls, **fields)

    def prepare_anew(self, workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
        """Make the workload ready with nothing of what earlier builds left."""
        with self.without_caches():
            return self.prepare(workload, inputs)
