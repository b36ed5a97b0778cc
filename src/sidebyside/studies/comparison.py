"""Run programs in several modes and compare: results first, then times, memory and break-even.

Every mode has processes of its own (`sidebyside.studies.replication`). Where the code cannot travel
to another process, or where there is no time for any, it all happens in this one, and that is said.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import (
    ArgumentError,
)
from oplibrary.messages.suggestion import did_you_mean
from sidebyside import workloads as workloads_room
from sidebyside.measuring.call_stack import Frames, frames_below
from sidebyside.measuring.environment import environment, thread_pools
from sidebyside.measuring.machine import measure_machine
from sidebyside.measuring.processes import CAN_STOP
from sidebyside.measuring.travel import CannotTravelError
from sidebyside.modes import Mode, find_mode
from sidebyside.modes.registry import mode_names
from sidebyside.results.cell import CRASHED, TIMED_OUT
from sidebyside.results.comparison import Comparison, Row
from sidebyside.results.plain import plain
from sidebyside.studies.explaining import validation
from sidebyside.studies.explaining.graphs import with_graphs
from sidebyside.studies.explaining.instructions import check_installed, count_instructions
from sidebyside.studies.pairing import START_BUDGET as START_BUDGET
from sidebyside.studies.pairing import Pairing
from sidebyside.studies.replication import Experiment, replicate_all
from sidebyside.studies.settings import Report, Settings, deadline_after
from sidebyside.studies.subject import (
    Subject,
    Variants,
    distinct_programs,
    each_once,
    subject_of,
)
from sidebyside.workloads.workload import Workload

OURS = Path(workloads_room.__file__).parent
"""Where programs are no user's."""

USUAL = ("dynamic", "static")
"""The modes that a program is compared in."""

LEAST_BUDGET = 0.1
"""Seconds below which no process is started: that takes longer."""


def compare(
    workloads: Sequence[Workload] | Workload | Variants,
    modes: str | Sequence[str] | None = None,
    *,
    budget: float = 2.0,
    replicates: int = 8,
    sizes: Sequence[Any] | None = None,
    sweep: tuple[str, Sequence[Any]] | None = None,
    tolerance: float | None = None,
    attribute: bool = False,
    seed: int = 0,
    time_limit: float = 300.0,
    run_limit: float = math.inf,
    validate: bool = False,
    instructions: bool = False,
    memory: bool = True,
    graphs: bool = False,
    report: Report | None = None,
) -> Comparison:
    """Run each program of each size in each mode, and compare what they gave and took.

    The first mode that can run a program is the reference. A mode whose results differ from the
    reference's is not timed: between dynamic and static every bit must be the same, elsewhere the
    tolerance holds.

    Parameters
    ----------
    workloads : Workload, sequence of Workload, or mapping of str to callable
        Of a mapping, each function makes fresh state and returns a step, a function without
        arguments; these are the modes then.
    modes : sequence of str, or str with commas, optional
        By default dynamic and static, or all that a mapping has; see `sidebyside.modes.MODES`. A
        mode named twice is compared with itself: an A/A test.
    budget : float
        Seconds of steady-state samples for each workload and size. Starts take up to
        `START_BUDGET` times as long, and there is at least one.
    replicates : int
        How often the whole experiment is repeated at most, in fresh processes. With 0, or a budget
        below `LEAST_BUDGET`, everything happens in this process, where a mode can disturb another
        and intervals do not count what a new process would change.
    sizes : sequence, optional
        In place of the workloads' own.
    sweep : tuple of str and sequence, optional
        A parameter that the workloads have, see `Workload.with_parameter`, and its values: each is
        measured, at the first size.
    tolerance : float, optional
        In place of the workloads' own.
    attribute : bool
        Also measure where compiled modes save time, step by step, from operations one by one to the
        whole program; it takes `ATTRIBUTION` budgets more.
    seed : int
        Of the inputs and of the order of the modes.
    time_limit : float
        Seconds that a mode may take to start or to answer; what takes longer is a failure.
    run_limit : float
        Seconds after which nothing new is begun.
    validate : bool
        Also check each break-even by real calls from a cold start, half and twice as many.
    instructions : bool
        Also count the instructions of a call, by valgrind's cachegrind.
    memory : bool
        Whether to measure what a call needs, for which each mode is built once more.
    graphs : bool
        Also keep the declared and the compiled graph of each program, which `Comparison.to_html`
        draws; of its first size, where there are several. A mapping has none.
    report : callable, optional
        Called with a line of text when something new begins.

    Returns
    -------
    Comparison

    Raises
    ------
    ArgumentError, MissingPackageError
        If a mode does not exist or its package is not installed.
    Exception
        What the program itself raises where no mode can run it.
    KeyboardInterrupt
        With what was measured so far as its attribute ``partial``.

    Examples
    --------
    >>> import numpy as np
    >>> def make_twice():
    ...     x = np.ones(3)
    ...     return lambda: x + x
    >>> def make_product():
    ...     x = np.ones(3)
    ...     return lambda: 2 * x
    >>> found = compare({"twice": make_twice, "product": make_product}, budget=0.01)
    >>> [cell.mode for cell in found.rows[0].cells]
    ['twice', 'product']
    """
    settings = Settings(
        budget,
        replicates,
        seed,
        time_limit,
        deadline_after(run_limit),
        validate,
        instructions,
        attribute,
        memory,
    )
    settings.check()
    if isinstance(workloads, Mapping):
        if sweep is not None:
            raise ArgumentError(
                f"there is no {sweep[0]} of steps without arguments to sweep",
                cause="a parameter is swept of a workload, which is called with it",
                fix="leave sweep out, or make the program a sidebyside.Workload",
            )
        if sizes is not None:
            raise ArgumentError(
                "there are no sizes of steps without arguments",
                cause="a size is one of a workload, whose inputs are made of it",
                fix="leave the size out, or make the program a sidebyside.Workload",
            )
        subjects = [subject_of(workloads if modes is None else _chosen(workloads, modes))]
        packages: tuple[str, ...] = ("torch", "jax")
    else:
        chosen = USUAL if modes is None else modes
        subjects, packages = _of_workloads(workloads, chosen, sizes, sweep, seed)
    if tolerance is not None:
        subjects = [
            replace(each, workload=replace(each.workload, tolerance=tolerance)) for each in subjects
        ]
    if instructions:
        check_installed()
    settings = replace(settings, deadline=deadline_after(run_limit))
    found = compare_subjects(subjects, settings, packages, report, frames_below())
    return with_graphs(found, subjects) if graphs and not isinstance(workloads, Mapping) else found


def _chosen(variants: Variants, modes: str | Sequence[str]) -> Variants:
    """Return some of the variants, by their names."""
    names = mode_names(modes)
    for name in names:
        if name not in variants:
            raise ArgumentError(
                f"there is no variant {name!r}{did_you_mean(name, variants)}",
                cause=f"the variants are {', '.join(variants)}",
                fix="choose some of them, or leave modes out for all",
            )
    return {name: variants[name] for name in names}


def _of_workloads(
    workloads: Sequence[Workload] | Workload,
    modes: str | Sequence[str],
    sizes: Sequence[Any] | None,
    sweep: tuple[str, Sequence[Any]] | None,
    seed: int,
) -> tuple[list[Subject], tuple[str, ...]]:
    """Return a subject for each size, or value, of each workload, and the packages of the modes."""
    workloads = distinct_programs(
        [workloads] if isinstance(workloads, Workload) else list(workloads)
    )
    modes = mode_names(modes)
    if not modes:
        raise ArgumentError(
            "no modes", cause="there is nothing to compare", fix="name at least one"
        )
    found = {label: find_mode(name) for label, name in _labels(modes).items()}
    subjects = []
    for workload in workloads:
        chosen = each_once(workload.sizes if sizes is None else sizes)
        if sweep is not None:
            subjects += _swept(workload, found, chosen[0], sweep[0], each_once(sweep[1]), seed)
            continue
        for size in chosen:
            inputs = workload.make_inputs(size, seed)
            subjects.append(Subject(workload, inputs, found, size, len(chosen) > 1))
    packages = dict.fromkeys(name for mode in found.values() for name in mode.packages)
    return subjects, tuple(packages)


def _swept(
    workload: Workload,
    modes: Mapping[str, Mode],
    size: Any,
    parameter: str,
    values: Sequence[Any],
    seed: int,
) -> list[Subject]:
    """Return a subject for each value of a parameter."""
    found = []
    for value in values:
        chosen = workload.with_parameter(parameter, value)
        inputs = chosen.make_inputs(size, seed)
        several = len(values) > 1
        found.append(Subject(chosen, inputs, modes, value, several, parameter=parameter))
    return found


def compare_subjects(
    subjects: Sequence[Subject],
    settings: Settings,
    packages: tuple[str, ...] = (),
    report: Report | None = None,
    known: Frames = frozenset(),
) -> Comparison:
    """Compare programs in the modes that they name; see `compare`.

    Parameters
    ----------
    subjects : sequence of Subject
    settings : Settings
    packages : tuple of str
        Whose versions are recorded.
    report : callable, optional
    known : frozenset
        Who called: lines that no message need name.
    """
    settings.check()
    say = report or (lambda text: None)
    about = environment(packages, _folder_of(subjects))
    about["settings"] = {
        "budget": settings.budget,
        "replicates": settings.replicates,
        "seed": settings.seed,
        "tolerance": {each.workload.name: each.workload.tolerance for each in subjects},
        "time_limit": settings.time_limit,
        "validate": settings.validate,
        "instructions": settings.instructions,
        "attribute": settings.attribute,
    }
    alone = "" if settings.replicates and CAN_STOP else "it was asked for"
    if settings.budget < LEAST_BUDGET:
        alone = f"the budget of {settings.budget:g} s is less than a process takes to start"
    experiments: list[Experiment] = []
    rows: list[Row] = []
    try:
        if not alone:
            try:
                replicate_all(subjects, settings, say, experiments)
            except CannotTravelError as error:
                alone = f"the program cannot be sent to another: {error}"
            else:
                for experiment in experiments:
                    _raise_users_error(experiment, known)
                    rows.append(_witnessed(experiment.subject, experiment.row(), settings, say))
        if alone:
            began = time.monotonic()
            for made, subject in enumerate(subjects):
                if time.monotonic() < settings.deadline:
                    say_left = _saying_what_is_left(say, began, made, len(subjects))
                    rows.append(Pairing(subject, settings, say_left, known).row())
    except KeyboardInterrupt as interrupt:
        rows = rows or [each.row() for each in experiments if each.count]
        about |= {"pools": _pools(experiments), "one_process": alone, "interrupted": True}
        interrupt.partial = Comparison(tuple(rows), about)  # type: ignore[attr-defined]
        raise
    about |= {"pools": _pools(experiments), "one_process": alone}
    if any(cell.bottleneck is not None for row in rows for cell in row.cells):
        about["machine"] = plain(measure_machine())
    return Comparison(tuple(rows), about)


def _saying_what_is_left(say: Report, began: float, made: int, total: int) -> Report:
    """Return `say` with the time that is left, if all programs take as long as those made."""
    if not made:
        return say
    each = (time.monotonic() - began) / made
    ends = began + each * total
    return lambda text: say(f"{text}, about {max(0.0, ends - time.monotonic()):.0f} s left")


def _folder_of(subjects: Sequence[Subject]) -> Path | None:
    """Return the folder of the user's program; None where it is ours, or in no file."""
    for subject in subjects:
        code = getattr(inspect.unwrap(subject.workload.function), "__code__", None)
        path = Path(getattr(code, "co_filename", ""))
        if path.is_file() and OURS not in path.parents:
            return path.parent
    return None


def _pools(experiments: Sequence[Experiment]) -> dict[str, Any]:
    """Return the pools of threads of each mode; without processes, those of this one for all."""
    found = {label: pools for each in experiments for label, pools in each.pools.items()}
    return found or {"all": thread_pools()}


def _witnessed(subject: Subject, row: Row, settings: Settings, say: Report) -> Row:
    """Return a row with what was asked for besides: real calls, and instructions."""
    if settings.validate:
        row = replace(row, checks=validation.validate(subject, row, settings, say))
    if settings.instructions:
        cells = []
        for cell in row.cells:
            if cell.steady is not None:
                say(f"{subject.label}: {cell.mode}, instructions")
                count = count_instructions(
                    subject, cell.mode, cell.steady.value, settings.time_limit
                )
                cell = replace(cell, instructions=count)
            cells.append(cell)
        row = replace(row, cells=tuple(cells))
    return row


def _raise_users_error(experiment: Experiment, known: Frames) -> None:
    """Raise what the program raises where no mode can run it: by running it here, once more."""
    subject, failures = experiment.subject, experiment.failures.values()
    lost = any(failure.kind in (CRASHED, TIMED_OUT) for failure in failures)
    if not experiment.reference and failures and not lost:
        Pairing(subject, experiment.settings, lambda text: None, known).run_each_once()


def _labels(modes: Sequence[str]) -> dict[str, str]:
    """Return a label for each mode; one named twice is numbered."""
    labels: dict[str, str] = {}
    for name in modes:
        count = sum(other == name for other in labels.values())
        labels[f"{name} #{count + 1}" if count else name] = name
    return labels
