"""The commands that measure: ``table``, ``compare``, ``decide`` and ``calibrate``."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError
from sidebyside.command_options import (
    add_inputs,
    add_reports,
    add_save,
    named_inputs,
    parse_size,
    report_result,
    write,
)
from sidebyside.progress import Progress
from sidebyside.saved_commands import add_limit, check_baseline, hold_against
from sidebyside.studies import calibration
from sidebyside.studies import comparison as comparing
from sidebyside.studies import decision as deciding
from sidebyside.studies import table as filling
from sidebyside.workloads.loading import find_object, find_workload, find_workloads
from sidebyside.workloads.registry import names

OK, FAILED = 0, 1

SIZE = "size"
"""What is swept of every workload; all else is a parameter of its own."""

LARGEST_SIZE, MOST_VALUES = 1 << 62, 1000
"""What a sweep may reach, and in how many steps: more is a slip."""

EFFORTS = {"quick": (0.5, 3), "": (2.0, 8), "thorough": (20.0, 20)}
"""Seconds of samples, and replicates."""


def add_table(commands: Any) -> None:
    """Add ``sidebyside table``."""
    table = commands.add_parser("table", help="fill in the classical table on this machine")
    table.add_argument(
        "--budget", metavar="S", type=float, help="seconds of samples for each workload and size"
    )
    effort = table.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="a look, all in one process")
    effort.add_argument("--thorough", action="store_true", help="8 replicates, 4 seconds each row")
    add_save(table)
    add_reports(table)
    table.set_defaults(command=table_command)


def add_compare(commands: Any) -> None:
    """Add ``sidebyside compare``."""
    compare = commands.add_parser("compare", help="compare programs in several modes")
    compare.add_argument(
        "workloads",
        nargs="+",
        metavar="WORKLOAD",
        help="a builtin name, a Python file, or file.py:name; the name may be that of a dict of "
        "functions, each of which makes fresh state and returns a step",
    )
    compare.add_argument(
        "--modes",
        metavar="A,B",
        help="default dynamic,static, or all of a dict; the first is the reference, one named "
        "twice is an A/A test",
    )
    compare.add_argument(
        "--size", action="append", type=parse_size, metavar="N|NxM", help="in place of its sizes"
    )
    compare.add_argument(
        "--sweep",
        metavar="NAME=A:B",
        help="sizes (size=1:1e6), or a parameter of the program (depth=1:100), from A to B, a "
        "factor of 10 apart; A:B:N for N of them, A,B,C for these",
    )
    compare.add_argument(
        "--attribute", action="store_true", help="measure what each step of compiling saves"
    )
    compare.add_argument(
        "--instructions", action="store_true", help="count them, too, by valgrind's cachegrind"
    )
    compare.add_argument(
        "--baseline", metavar="FILE.json", type=Path, help="hold it against a saved result"
    )
    add_limit(
        compare,
        "a mode is surely slower by more than that: than in the baseline, without one than the "
        "reference",
    )
    _add_effort(compare)
    add_save(compare)
    add_reports(compare)
    compare.set_defaults(command=compare_command)


def add_decide(commands: Any) -> None:
    """Add ``sidebyside decide``."""
    decide = commands.add_parser("decide", help="say how to run a program, in any framework")
    decide.add_argument(
        "program", metavar="FILE.py:NAME", help="a function, model or workload; or a builtin name"
    )
    add_inputs(decide)
    decide.add_argument("--calls", type=_count, metavar="N", help="how often it will be called")
    decide.add_argument("--modes", default="", metavar="A,B", help="some of its modes")
    _add_effort(decide)
    add_save(decide)
    add_reports(decide)
    decide.set_defaults(command=decide_command)


def add_calibrate(commands: Any) -> None:
    """Add ``sidebyside calibrate``."""
    calibrate = commands.add_parser(
        "calibrate", help="measure how often comparisons on this machine are right"
    )
    calibrate.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("calibration.jsonl"),
        help="a line a trial; those that it has are not made again (default %(default)s)",
    )
    calibrate.add_argument("--trials", type=_count, default=20, metavar="N", help="of each kind")
    calibrate.add_argument(
        "--planted",
        default="0,0.01,0.03",
        type=_parts,
        metavar="P,Q",
        help="differences (%(default)s)",
    )
    calibrate.add_argument(
        "--busy",
        default="0,2,8",
        type=_whole_numbers,
        metavar="N,M",
        help="busy processes beside it (%(default)s)",
    )
    _add_effort(calibrate)
    calibrate.set_defaults(command=calibrate_command)


def _add_effort(command: Any) -> None:
    effort = command.add_mutually_exclusive_group()
    effort.add_argument("--quick", action="store_true", help="3 replicates, half a second each row")
    effort.add_argument("--thorough", action="store_true", help="20 replicates and seconds a row")
    command.add_argument("--budget", type=float, metavar="S", help="seconds of samples")
    command.add_argument("--replicates", type=int, metavar="N", help="0: all in one process")
    command.add_argument("--tolerance", type=float, metavar="T", help="of results, relative")
    command.add_argument("--seed", type=_seed, default=0, metavar="N", help="of inputs and order")
    command.add_argument(
        "--time-limit", type=float, default=300.0, metavar="S", help="for a mode to answer"
    )
    command.add_argument(
        "--run-limit", type=float, default=float("inf"), metavar="S", help="for everything"
    )
    command.add_argument(
        "--validate",
        action="store_true",
        help="check each break-even by real calls from a cold start",
    )


def _effort(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that say how much is measured."""
    name = "quick" if options.quick else "thorough" if options.thorough else ""
    budget, replicates = EFFORTS[name]
    return {
        "budget": budget if options.budget is None else options.budget,
        "replicates": replicates if options.replicates is None else options.replicates,
        "seed": options.seed,
        "time_limit": options.time_limit,
        "run_limit": options.run_limit,
        "validate": options.validate,
        "graphs": getattr(options, "html", None) is not None,
    }


def _count(text: str) -> int:
    """Return a number of calls or trials, such as 10_000 or 1e6."""
    size = parse_size(text)
    if not isinstance(size, int):
        raise argparse.ArgumentTypeError(f"{text} is no whole number; write 1000 or 1e6")
    return size


def _seed(text: str) -> int:
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 0 on")
    return int(text)


def _whole_numbers(text: str) -> list[int]:
    return [_count(each.strip()) for each in text.split(",")]


def _parts(text: str) -> list[float]:
    """Return parts of more work, such as 0 and 0.03."""
    try:
        found = [float(each) for each in text.split(",")]
    except ValueError:
        found = [-1.0]
    if not all(0 <= each < math.inf for each in found):
        raise argparse.ArgumentTypeError(f"{text} names no parts; write 0,0.01")
    return found


# commands -----------------------------------------------------------------------------------------


def table_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside table``."""
    name = "quick" if options.quick else "thorough" if options.thorough else ""
    usual, replicates = filling.EFFORTS[name]
    budget = usual if options.budget is None else options.budget
    with Progress(sys.stderr) as progress:
        table = filling.measure_table(
            budget=budget, replicates=replicates, look=options.quick, report=progress
        )
    report_result(table, options)
    return FAILED if table.comparison.disagrees else OK


def compare_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside compare``."""
    effort = _effort(options)
    baseline = check_baseline(options, effort)
    programs = _programs(options.workloads)
    sizes, sweep = options.size, None if options.sweep is None else sweep_of(options.sweep)
    if sweep is not None and sweep[0] == SIZE:
        if sizes is not None:
            raise ArgumentError(
                "both --size and --sweep size= were given",
                cause="each says which sizes are measured",
                fix="leave one of them out",
            )
        sizes, sweep = sweep[1], None
    with Progress(sys.stderr) as progress:
        comparison = comparing.compare(
            programs,
            options.modes,
            sizes=sizes,
            sweep=sweep,
            tolerance=options.tolerance,
            attribute=options.attribute,
            instructions=options.instructions,
            report=progress,
            **effort,
        )
    report_result(comparison, options)
    code = hold_against(comparison, baseline, options)
    return FAILED if comparison.disagrees or comparison.fails else code


def _programs(references: list[str]) -> Any:
    """Return the workloads of all references, or the variants that the only one names."""
    if len(references) == 1 and ".py:" in references[0]:
        found = find_object(references[0], missing=None)
        if isinstance(found, dict):
            return found
    return [workload for name in references for workload in find_workloads(name)]


def decide_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside decide``."""
    program = _program(options.program)
    inputs = named_inputs(options.inputs, options.program, options.seed)
    effort = _effort(options)
    tolerance = {} if options.tolerance is None else {"tolerance": options.tolerance}
    with Progress(sys.stderr) as progress:
        decision = deciding.decide(
            program,
            *inputs,
            calls=options.calls,
            modes=options.modes,
            report=progress,
            **tolerance,
            **effort,
        )
    report_result(decision, options)
    found = decision.comparison
    return FAILED if found.disagrees or found.fails else OK


def _program(reference: str) -> Any:
    """Return what a name in a file, or the name of a workload, stands for."""
    return find_workload(reference) if reference in names() else find_object(reference)


def calibrate_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside calibrate``."""
    effort = _effort(options)
    with Progress(sys.stderr) as progress:
        rates = calibration.calibrate(
            options.output,
            options.trials,
            planted=options.planted,
            busy=options.busy,
            budget=effort["budget"],
            replicates=effort["replicates"],
            report=progress,
        )
    write("\n".join(map(str, rates)))
    return OK


def sweep_of(text: str) -> tuple[str, list[float]]:
    """Return what ``NAME=A:B``, ``NAME=A:B:N`` or ``NAME=A,B,C`` sweeps, and over which values.

    Those between two ends lie evenly on a log axis, and are whole where the ends are. Sizes always
    are; a parameter of a program may be any positive number.

    Raises
    ------
    ArgumentError
        If it is written in another way.

    Examples
    --------
    >>> sweep_of("size=1:1e4"), sweep_of("depth=10:1000:5"), sweep_of("steps=1,3,5")
    (('size', [1, 10, 100, 1000, 10000]), ('depth', [10, 32, 100, 316, 1000]), ('steps', [1, 3, 5]))
    >>> sweep_of("rate=1e-3:0.1")
    ('rate', [0.001, 0.01, 0.1])
    """
    name, _, limits = text.partition("=")
    try:
        return name, _swept(name, limits)
    except ValueError:
        raise ArgumentError(
            f"--sweep {text} names no values",
            cause="a sweep goes from a positive number to a larger one; sizes are whole numbers",
            fix="write --sweep size=1:1e6, size=1:1e6:13 for 13 of them, or depth=1,2,5",
        ) from None


def _swept(name: str, limits: str) -> list[float]:
    """Return the values that are listed, or lie between two ends."""
    if not name.isidentifier():
        raise ValueError(name)
    whole = name == SIZE
    if ":" not in limits:
        return [_positive(each, whole) for each in limits.split(",")]
    first, last, *number = limits.split(":")
    low, high = _positive(first, whole), _positive(last, whole)
    if low >= high or len(number) > 1:
        raise ValueError(limits)
    count = _positive(number[0], True) if number else round(math.log10(high / low)) + 1
    if count > MOST_VALUES:
        raise ValueError(limits)
    points = np.geomspace(low, high, max(2, int(count))).tolist()
    if isinstance(low, int) and isinstance(high, int):
        return list(dict.fromkeys(map(round, points)))
    return [float(f"{each:.6g}") for each in points]


def _positive(text: str, whole: bool) -> float:
    """Return a number above zero, an int where it is written as one."""
    size = parse_size(text) if text else ""
    value = size if isinstance(size, int) else math.nan if whole else float(text)
    if not 0 < value < (LARGEST_SIZE if isinstance(value, int) else math.inf):
        raise ValueError(text)
    return value
