"""Options that several commands have, and how what they found is written."""

from __future__ import annotations

import argparse
import inspect
import itertools
import re
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, OutputError
from sidebyside.own_output import report_stream
from sidebyside.report.text_table import as_ascii
from sidebyside.results.result import RENDERERS, Result
from sidebyside.results.saved.contents import comparison_of
from sidebyside.results.saved.file import SavedResult, check_new
from sidebyside.results.saved.history import FOLDER
from sidebyside.results.writing import check_writable
from sidebyside.workloads.loading import find_object, find_workloads
from sidebyside.workloads.workload import Workload

STDOUT = "-"
"""The name of a file that stands for the standard output."""

AUTOMATIC = Path("")
"""Stands for a name that is made when the result is there."""

REPORTS = {
    "json": "everything as JSON",
    "csv": "what was measured as CSV",
    "html": "it as one HTML file",
    "markdown": "it as Markdown",
}
"""The files that a result is written to, and what stands in them."""


def add_reports(command: Any) -> None:
    """Add the options that name files for a result."""
    for kind, what in REPORTS.items():
        help_ = f"also write {what}; {STDOUT} for the standard output, in place of the text"
        command.add_argument(f"--{kind}", metavar="FILE", type=_report_file, help=help_)


def _report_file(text: str) -> Path:
    """Return the file of a report; the standard output has two names."""
    if not text:
        raise argparse.ArgumentTypeError(f"names no file; write FILE, or {STDOUT}")
    return Path(STDOUT if text == "/dev/stdout" else text)


def add_save(command: Any) -> None:
    """Add the options that keep a result."""
    command.add_argument(
        "--save",
        metavar="FILE",
        type=_saved_file,
        nargs="?",
        const=AUTOMATIC,
        help=f"keep everything in a file; without a name in the folder {FOLDER}/, by its date",
    )
    command.add_argument("--overwrite", action="store_true", help="replace the file of --save")


def _saved_file(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".json":
        raise argparse.ArgumentTypeError(
            f"{text} does not end in .json; write --save=NAME.json, or --save as the last option"
        )
    return path


def automatic_name(result: SavedResult) -> Path:
    """Return a name that is not taken, made of the date and of what was measured."""
    comparison = comparison_of(result)
    programs = "-".join(dict.fromkeys(row.workload for row in comparison.rows)) or "nothing"
    programs = re.sub(r"[^\w.-]+", "_", programs)[:60]
    date = comparison.environment["date"].partition("+")[0].replace(":", "")
    names = (FOLDER / f"{date}-{programs}{f'-{n}' if n else ''}.json" for n in itertools.count())
    return next(path for path in names if not path.exists())


def parse_size(text: str) -> Any:
    """Return a size as a workload takes it.

    Examples
    --------
    >>> parse_size("4,000,000"), parse_size("512x512"), parse_size("1e6"), parse_size("large")
    (4000000, (512, 512), 1000000, 'large')
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("nothing is no size; write 100, 512x512 or 1e6")
    parts = text.replace(",", "").replace("_", "").lower().split("x")
    if not all(_COUNT.fullmatch(part) for part in parts):
        return text
    numbers = tuple(int(Decimal(part)) for part in parts)
    return numbers if len(numbers) > 1 else numbers[0]


_COUNT = re.compile(r"[0-9]+(e\+?[0-9]{1,2})?")


def add_inputs(command: Any) -> None:
    """Add the option that names the inputs of a program; see `named_inputs`."""
    command.add_argument(
        "--inputs",
        metavar="[FILE.py:]NAME",
        help="of a program: a tuple, or a function that returns one; by default of its own file",
    )


def named_inputs(reference: str | None, program: str, seed: int = 0) -> tuple[Any, ...]:
    """Return the inputs that ``--inputs`` names; a name without a file is one of the program's."""
    if reference is None:
        return ()
    if ".py" not in reference and ".py:" in program:
        reference = f"{program.partition('.py:')[0]}.py:{reference}"
    return inputs_of(find_object(reference), seed)


def inputs_of(found: Any, seed: int = 0) -> tuple[Any, ...]:
    """Return the inputs that a tuple, a value or a function that returns one stands for."""
    if inspect.isfunction(found):
        takes = len(inspect.signature(found).parameters)
        found = found(*(np.random.default_rng(seed), None)[:takes])
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def only_workload(reference: str) -> Workload:
    """Return the workload that a file to be written is about.

    Raises
    ------
    WorkloadError, ArgumentError
        If there is none, or several.
    """
    workloads = find_workloads(reference)
    if len(workloads) > 1:
        raise ArgumentError(
            f"{reference} has {len(workloads)} workloads",
            cause="a file that is written is about one of them",
            fix=f"choose one, such as {reference}:{workloads[0].name}",
        )
    return workloads[0]


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse the files that a command is to write before any work is done for them."""
    asked = (getattr(options, name, None) for name in (*REPORTS, "output"))
    given = [path for path in asked if path is not None and str(path) != STDOUT]
    save = getattr(options, "save", None)
    if save is not None and save != AUTOMATIC:
        given.append(save)
        if not options.overwrite:
            check_new(save)
    elif save == AUTOMATIC:
        check_writable(FOLDER / "any" if FOLDER.exists() else FOLDER)
    for path in given:
        check_writable(path)
    if len({path.resolve() for path in given}) < len(given):
        raise ArgumentError(
            "two reports would be written to one file",
            cause=f"of {' and '.join(map(str, given))} the last would replace the others",
            fix="name a file of its own for each",
        )


def report_result(result: Result, options: argparse.Namespace) -> None:
    """Write a result to the files that were asked for, and print it.

    The standard output has the text, or the file whose name is `STDOUT`.
    """
    save = getattr(options, "save", None)
    if save is not None:
        assert isinstance(result, SavedResult)
        if save == AUTOMATIC:
            FOLDER.mkdir(exist_ok=True)
            save = automatic_name(result)
        result.save(save, overwrite=options.overwrite)
        print(f"saved: {save}", file=sys.stderr)
    printed = ""
    for kind in REPORTS:
        path = getattr(options, kind, None)
        if path is not None and str(path) == STDOUT:
            printed = getattr(RENDERERS[type(result)], kind)(result)
        elif path is not None:
            getattr(result, f"to_{kind}")(path)
    write(printed.rstrip() or result.text(_width()))


def write_beside(text: str, options: argparse.Namespace) -> None:
    """Print `text` below a report; on the error stream where a report is all that is printed."""
    taken = any(str(getattr(options, kind, None)) == STDOUT for kind in REPORTS)
    if taken:
        print(text, file=sys.stderr)
    else:
        write(f"\n{text}")


def _width() -> int:
    return max(40, min(120, shutil.get_terminal_size((100, 24)).columns))


def write(text: str) -> None:
    """Print `text`, with plain characters where the stream knows no others."""
    stream = report_stream()
    encoding = stream.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = as_ascii(text).encode(encoding, "replace").decode(encoding)
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"the report cannot be printed: {error.strerror or error}",
            cause="what the standard output leads to refused it; reports in files were written",
            fix="make room there, or name a file: --json FILE, --html FILE",
        ) from None
