"""The command line: ``sidebyside table``, ``compare``, ``show``, ``trace``, ``profile``..."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import ArgumentError, OutOfMemoryError, SideBySideError
from oplibrary.messages.source import is_our_file
from sidebyside import __version__
from sidebyside.drawing import show
from sidebyside.drawing.timeline import timeline_json
from sidebyside.measuring.call_stack import Frames, forget_frames, frames_below
from sidebyside.measuring.memory import memory_limit
from sidebyside.modes import MODES, entered_modes, is_installed
from sidebyside.report.progress import Progress
from sidebyside.report.text_table import Line, Span, as_ascii, draw_table, natural_widths
from sidebyside.results.result import Result
from sidebyside.results.writing import check_writable, write_whole
from sidebyside.studies import comparison as comparing
from sidebyside.studies import profile as profiling
from sidebyside.studies import table as filling
from sidebyside.studies.flexibility import measure_flexibility
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.loading import find_workloads
from sidebyside.workloads.registry import entered_workloads, load
from sidebyside.workloads.workload import Workload, size_label

OK, FAILED, REFUSED, SLOWER, INTERRUPTED = 0, 1, 2, 3, 130

WHOLE_TRACEBACK = "SIDEBYSIDE_TRACEBACK"
"""The environment variable that shows the lines of this library too."""

_DESCRIPTION = """\
Measure dynamic against static graphs: one program, two executors over one op library.

  sidebyside table                      the classical table, filled in by this machine
  sidebyside compare seed chain         workloads in both modes, with break-even and memory
  sidebyside compare mine.py            a program of your own
  sidebyside show seed -o seed.svg      both graphs, before and after the passes
  sidebyside trace seed -o seed.json    a timeline of both modes, for Perfetto
  sidebyside profile seed               the time of each operation, in both modes
  sidebyside flexibility                what each mode makes of control flow, by running it
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: the workload's own program failed, or modes disagree about what it computes. 2: what
    was asked for is not possible; the message says why. 3: a mode is slower than ``--fail-above``
    allows. 130: interrupted.
    """
    known = frames_below()
    parser = make_parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] | None = getattr(options, "command", None)
    if command is None:
        parser.print_help()
        return OK
    try:
        with memory_limit():
            _check_outputs(options)
            code = command(options)
        sys.stdout.flush()
        return code
    except SideBySideError as error:
        return _refuse(error, known)
    except MemoryError as error:
        return _refuse(OutOfMemoryError(str(error) or "an array does not fit"), known)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader has seen enough; Python would complain once more when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (Exception, SystemExit) as error:  # a program may call sys.exit
        return _report_users(error, known)


def _refuse(error: SideBySideError, known: Frames) -> int:
    if _wants_whole_traceback():
        traceback.print_exception(error)
    print(forget_frames(error, known), file=sys.stderr)
    return REFUSED


def _report_users(error: BaseException, known: Frames) -> int:
    """Print a user's own exception with the user's own frames."""
    if _wants_whole_traceback():
        traceback.print_exception(error)
        return FAILED
    whole = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in whole if (frame.filename, frame.name) not in known]
    users = [frame for frame in frames if not is_our_file(frame.filename)]
    if not users:  # nothing of the user's: a defect of this library, and its lines are wanted
        users = frames
    print("Traceback (most recent call last):", file=sys.stderr)
    lines = traceback.format_list(users) + traceback.format_exception_only(error)
    print("".join(lines), end="", file=sys.stderr)
    if len(users) < len(frames):
        print(f"(only your lines; {WHOLE_TRACEBACK}=1 shows all)", file=sys.stderr)
    return FAILED


def _wants_whole_traceback() -> bool:
    return os.environ.get(WHOLE_TRACEBACK, "") not in ("", "0")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="sidebyside",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sidebyside {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_table(commands)
    _add_compare(commands)
    _add_show(commands)
    _add_trace(commands)
    _add_profile(commands)
    _add_flexibility(commands)
    listing = commands.add_parser("list", help="list the workloads and the modes")
    listing.set_defaults(command=list_all)
    return parser


def _add_table(commands: Any) -> None:
    table = commands.add_parser("table", help="fill in the classical table on this machine")
    table.add_argument(
        "--budget",
        metavar="S",
        type=float,
        default=filling.BUDGET,
        help="seconds of samples for each workload and size",
    )
    _add_reports(table)
    table.set_defaults(command=table_command)


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser("compare", help="compare workloads in several modes")
    compare.add_argument(
        "workloads",
        nargs="+",
        metavar="WORKLOAD",
        help="a builtin name, a Python file, or file.py:name",
    )
    compare.add_argument(
        "--modes",
        default="dynamic,static",
        metavar="A,B",
        help="default %(default)s; the first is the reference, one named twice is an A/A test",
    )
    compare.add_argument(
        "--size", action="append", type=parse_size, metavar="N|NxM", help="in place of its sizes"
    )
    compare.add_argument(
        "--budget", type=float, default=2.0, metavar="S", help="seconds of samples"
    )
    compare.add_argument(
        "--attribute", action="store_true", help="measure what each compiler pass buys"
    )
    compare.add_argument(
        "--fail-above",
        metavar="R",
        type=float,
        help="end with exit code 3 if a mode takes more than R times as long as the reference, "
        "and noise cannot explain it",
    )
    _add_reports(compare)
    compare.set_defaults(command=compare_command)


def _add_show(commands: Any) -> None:
    show = commands.add_parser("show", help="show both graphs of a workload")
    _add_workload(show)
    _add_output(show, ".svg, .dot, .mmd, .graphml or .json")
    show.set_defaults(command=show_command)


def _add_trace(commands: Any) -> None:
    trace = commands.add_parser(
        "trace",
        help="write what one call does in both modes, operation by operation, as a timeline",
    )
    _add_workload(trace)
    _add_output(trace, "JSON that Perfetto (ui.perfetto.dev) and Chrome open", required=True)
    trace.set_defaults(command=trace_command)


def _add_profile(commands: Any) -> None:
    profile = commands.add_parser("profile", help="show how long each operation of a call takes")
    _add_workload(profile)
    profile.add_argument(
        "--mode", default="both", metavar="MODE", help="dynamic, static or %(default)s, the default"
    )
    profile.add_argument("--lines", action="store_true", help="tell your lines apart")
    profile.add_argument(
        "--runs", type=int, default=profiling.RUNS, metavar="N", help="how often the call is run"
    )
    _add_reports(profile)
    profile.set_defaults(command=profile_command)


def _add_flexibility(commands: Any) -> None:
    flexibility = commands.add_parser(
        "flexibility", help="run every example in every mode and show what happened"
    )
    flexibility.add_argument(
        "examples", nargs="*", metavar="EXAMPLE", help="a name in the folder, or a Python file"
    )
    flexibility.add_argument("--examples", dest="folder", metavar="FOLDER", type=Path)
    flexibility.add_argument(
        "--peers", metavar="A,B", help="torch,torch.compile,jax.jit,tf.function, or none"
    )
    flexibility.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="for a program in one mode"
    )
    _add_reports(flexibility)
    flexibility.set_defaults(command=flexibility_command)


# options that several commands have ---------------------------------------------------------------


def _add_workload(command: Any) -> None:
    command.add_argument("workload", metavar="WORKLOAD")
    command.add_argument(
        "--size", type=parse_size, metavar="N|NxM", help="in place of its first size"
    )


def _add_output(command: Any, what: str, required: bool = False) -> None:
    command.add_argument("-o", "--output", metavar="FILE", type=Path, required=required, help=what)


def _add_reports(command: Any) -> None:
    for kind, what in _REPORTS.items():
        command.add_argument(f"--{kind}", metavar="FILE", type=Path, help=f"also write {what}")


_REPORTS = {
    "json": "everything as JSON",
    "csv": "what was measured as CSV",
    "html": "it as one HTML file",
}
"""The files that a result is written to, and what stands in them."""


# commands -----------------------------------------------------------------------------------------


def table_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside table``."""
    with Progress(sys.stderr) as progress:
        table = filling.measure_table(budget=options.budget, report=progress)
    _report(table, options)
    return FAILED if table.comparison.disagrees else OK


def compare_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside compare``."""
    if options.fail_above is not None and not options.fail_above > 0:
        raise ArgumentError(
            f"--fail-above {options.fail_above:g}: a time is never that many times another",
            cause="it says how many times as long as the reference a mode may take",
            fix="pass a positive number, such as 1.1",
        )
    workloads = [workload for name in options.workloads for workload in find_workloads(name)]
    with Progress(sys.stderr) as progress:
        comparison = comparing.compare(
            workloads,
            options.modes,
            budget=options.budget,
            sizes=options.size,
            attribute=options.attribute,
            report=progress,
        )
    _report(comparison, options)
    if comparison.disagrees:
        return FAILED
    slower = [] if options.fail_above is None else comparison.slower_than(options.fail_above)
    for row, mode, ratio in slower:
        print(
            f"{row.label}: {mode} takes {ratio.value:.3g} times as long as {row.reference}; "
            f"--fail-above allows {options.fail_above:g}",
            file=sys.stderr,
        )
    return SLOWER if slower else OK


def show_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside show``."""
    if options.output is not None:
        make = show.format_of(options.output)
        found = show.pictures(_only(options.workload), options.size)
        write_whole(options.output, make(found))
        write(f"wrote {options.output}: {'; '.join(each.title for each in found)}")
        return OK
    for position, workload in enumerate(find_workloads(options.workload)):
        found = show.pictures(workload, options.size)
        write(("\n" if position else "") + show.pictures_text(workload, found, options.size))
    return OK


def trace_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside trace``."""
    write_whole(options.output, timeline_json(_only(options.workload), options.size))
    write(f"wrote {options.output}; open it at https://ui.perfetto.dev or in chrome://tracing")
    return OK


def profile_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside profile``."""
    modes = profiling.MODES if options.mode == "both" else (options.mode,)
    workload = _only(options.workload)
    found = profiling.profile(workload, options.size, modes, runs=options.runs, lines=options.lines)
    _report(found, options)
    return OK


def flexibility_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside flexibility``."""
    with Progress(sys.stderr) as progress:
        matrix = measure_flexibility(
            options.examples,
            folder=options.folder,
            peers=options.peers,
            timeout=options.timeout,
            report=progress,
        )
    _report(matrix, options)
    return OK


def list_all(options: argparse.Namespace) -> int:
    """Run ``sidebyside list``."""
    lines: list[Line] = [Span("workloads")]
    for name, workload in {**{name: load(name) for name in BUILTIN}, **entered_workloads()}.items():
        sizes = ", ".join(map(size_label, workload.sizes))
        lines.append([f"  {name}", f"{workload.title}{f' (size {sizes})' if sizes else ''}"])
    lines.append(Span("modes"))
    for name in (*MODES, *entered_modes()):
        lines.append([f"  {name}", "" if is_installed(name) else "not installed"])
    first, second = natural_widths(lines)
    write(draw_table(lines, [max(20, first), second], left=(0, 1), gap=""))
    return OK


# their parts --------------------------------------------------------------------------------------


def parse_size(text: str) -> Any:
    """Return a size as a workload takes it.

    Examples
    --------
    >>> parse_size("4,000,000"), parse_size("512x512"), parse_size("1e6"), parse_size("large")
    (4000000, (512, 512), 1000000, 'large')
    """
    parts = text.replace(",", "").replace("_", "").lower().split("x")
    if not all(_COUNT.fullmatch(part) for part in parts):
        return text
    numbers = tuple(int(Decimal(part)) for part in parts)
    return numbers if len(numbers) > 1 else numbers[0]


_COUNT = re.compile(r"[0-9]+(e\+?[0-9]{1,2})?")


def _only(reference: str) -> Workload:
    """Return the workload that a file to be written is about."""
    workloads = find_workloads(reference)
    if len(workloads) > 1:
        raise ArgumentError(
            f"{reference} has {len(workloads)} workloads",
            cause="one file shows one of them",
            fix=f"choose one, such as {reference}:{workloads[0].name}",
        )
    return workloads[0]


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse the files that a command is to write before any work is done for them."""
    asked = (getattr(options, name, None) for name in (*_REPORTS, "output"))
    given = [path for path in asked if path is not None]
    for path in given:
        check_writable(path)
    if len({path.resolve() for path in given}) < len(given):
        raise ArgumentError(
            "two reports would be written to one file",
            cause=f"of {' and '.join(map(str, given))} the last would replace the others",
            fix="name a file of its own for each",
        )


def _report(result: Result, options: argparse.Namespace) -> None:
    """Write a result to the files that were asked for, and print it."""
    for kind in _REPORTS:
        path = getattr(options, kind)
        if path is not None:
            getattr(result, f"to_{kind}")(path)
    write(result.text(_width()))


def _width() -> int:
    return max(40, min(120, shutil.get_terminal_size((100, 24)).columns))


def write(text: str) -> None:
    """Print `text`, with plain characters where the stream knows no others."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = as_ascii(text).encode(encoding, "replace").decode(encoding)
    print(text)
