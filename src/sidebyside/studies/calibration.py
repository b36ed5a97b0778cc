"""How often comparisons on this machine are right: trials whose answer is known.

A trial compares a program with itself, or with one that does a known part more work, as anybody
would, and keeps what was said in a line of JSON. What is in the file already is not done again.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from oplibrary.messages.errors import ArgumentError
from sidebyside.measuring.replicates import clopper_pearson
from sidebyside.results.saved.rebuilding import UnfitError, rebuild
from sidebyside.results.writing import check_writable, write_whole
from sidebyside.studies.comparison import compare
from sidebyside.studies.settings import Report

STEPS = 400
"""Small operations of the program: parts of 1% and less can be planted."""


class Trial(TypedDict):
    """What is read of a line of the file."""

    planted: float
    busy: int
    verdict: str
    seconds: float
    visible: float | None


@dataclass(frozen=True, slots=True)
class Rate:
    """How often a verdict was given in trials of one kind.

    Attributes
    ----------
    planted : float
        The part of more work; 0 for a program against itself, where a verdict is a false alarm.
    busy : int
        Busy processes beside it.
    found, trials, unsure : int
        Verdicts, all trials, and those whose control failed.
    seconds, visible : float
        Medians over the trials: what one took, and the smallest visible difference that it stated.
    """

    planted: float
    busy: int
    found: int
    trials: int
    unsure: int
    seconds: float
    visible: float

    def __str__(self) -> str:
        low, high = clopper_pearson(self.found, self.trials)
        what = f"{self.planted:.3g} more work found" if self.planted else "false alarms"
        beside = f"beside {self.busy} busy processes" if self.busy else "alone"
        return (
            f"{what} {beside}: {self.found} of {self.trials}, {self.found / self.trials:.1%} "
            f"(95%: {low:.1%} to {high:.1%}); no verdict in {self.unsure}; {self.seconds:.0f} s a "
            f"trial, differences under {self.visible:.2g} said not to be seen"
        )


def calibrate(
    path: str | os.PathLike[str],
    trials: int = 20,
    *,
    planted: Sequence[float] = (0.0, 0.01, 0.03),
    busy: Sequence[int] = (0, 2, 8),
    budget: float = 2.0,
    replicates: int = 8,
    report: Report | None = None,
) -> list[Rate]:
    """Make trials of each kind until there are enough, and return the rates.

    Parameters
    ----------
    path : path
        Of the file with a line of JSON a trial, which is added to.
    trials : int
        Of each kind: each planted difference beside each number of busy processes.
    planted : sequence of float
        Parts of more work.
    busy : sequence of int
        Busy processes beside it.
    budget, replicates
        See `compare`; trials of other settings in the file are not counted.
    report : callable, optional
        Called with a line of text when a trial begins.

    Returns
    -------
    list of Rate

    Raises
    ------
    ArgumentError
        If the file holds something else, or no trial is to be made.
    OutputError
        If it cannot be written.
    """
    if trials < 1:
        raise ArgumentError(
            f"{trials} trials",
            cause="rates are counted over trials, some hundred for a figure to rely on",
            fix="leave it out, or ask for some hundred",
        )
    target, say = check_writable(path), report or (lambda text: None)
    settings = {"budget": budget, "replicates": replicates}
    done = [each for each in read_trials(target) if settings.items() <= each.items()]
    if target.exists():  # what was cut off in the middle is made again
        whole = target.read_text(encoding="utf-8", errors="replace")
        if whole and not whole.endswith("\n"):
            write_whole(target, whole[: whole.rfind("\n") + 1])
    began = time.monotonic()
    kinds = [(part, count) for part in planted for count in busy]
    missing = [
        (trial, kind)
        for trial in range(trials)
        for kind in kinds
        if trial >= sum((each["planted"], each["busy"]) == kind for each in done)
    ]
    for made, (trial, (part, count)) in enumerate(missing):
        left = (time.monotonic() - began) / made * (len(missing) - made) if made else math.inf
        about = f", about {left / 60:.0f} minutes left" if made else ""
        say(f"trial {trial + 1} of {trials}: {part:g} planted, {count} busy{about}")
        with busy_processes(count):
            found = {**settings, "busy": count, **make_trial(part, trial, budget, replicates)}
        with target.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        done.append(found)
    return rates_of(done)


def make_trial(planted: float, seed: int, budget: float, replicates: int) -> dict[str, Any]:
    """Compare a program with one that does more work, and return what was said."""
    began = time.monotonic()
    more = STEPS + round(planted * STEPS)
    variants: dict[str, Callable[[], Callable[[], Any]]] = {
        "program": partial(make_program, STEPS),
        "again": partial(make_program, more),
    }
    row = compare(variants, budget=budget, replicates=replicates, seed=seed).rows[0]
    cell = row.cell("again")
    assert cell is not None and cell.ratio is not None
    return {
        "planted": planted,
        "seed": seed,
        "verdict": cell.speed,
        "ratio": [cell.ratio.low, cell.ratio.value, cell.ratio.high],
        "visible": row.visible,
        "made": row.replicates,
        "seconds": round(time.monotonic() - began, 3),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S"),
    }


def make_program(steps: int) -> Callable[[], Any]:
    """Return a program of as many small operations on an array."""
    x, out = np.linspace(0.0, 1.0, 64), np.empty(64)

    def step() -> Any:
        for _ in range(steps):
            np.add(x, x, out=out)
        return out.copy()

    return step


def rates_of(trials: Sequence[dict[str, Any]]) -> list[Rate]:
    """Return how often a verdict was given, for each kind of trial."""
    found = []
    kinds = sorted({(each["planted"], each["busy"]) for each in trials})
    for planted, busy in kinds:
        own = [each for each in trials if (each["planted"], each["busy"]) == (planted, busy)]
        said = [each["verdict"] for each in own]
        hits = sum(each in ("slower", "faster") for each in said)
        if planted:
            hits = said.count("slower")  # the other word would be wrong
        visible = [each["visible"] for each in own if each["visible"] is not None]
        found.append(
            Rate(
                planted,
                busy,
                hits,
                len(own),
                said.count("no verdict"),
                float(np.median([each["seconds"] for each in own])),
                float(np.median(visible)) if visible else math.inf,
            )
        )
    return found


def read_trials(path: Path) -> list[dict[str, Any]]:
    """Return the trials in a file; a last line that was cut off is left out.

    Raises
    ------
    ArgumentError
        If it holds something else.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            trial = json.loads(line)
            rebuild(Trial, trial)
        except (ValueError, UnfitError):
            if number == len(lines):
                break
            raise ArgumentError(
                f"line {number} of {path} is no trial",
                cause="a calibration goes on where the one in its file ended",
                fix="name another file",
            ) from None
        found.append(trial)
    return found


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Let processes keep processors busy inside the block."""
    code = "import os, time\nparent = os.getppid()\nwhile os.getppid() == parent: sum(range(10**5))"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
