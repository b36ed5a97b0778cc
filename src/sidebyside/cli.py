"""The command line: ``sidebyside table``, ``compare``, ``show``, ``trace``, ``profile``..."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import OutOfMemoryError, SideBySideError
from oplibrary.messages.source import is_our_file
from sidebyside import __version__, export_command, measuring_commands, saved_commands
from sidebyside.command_options import (
    add_inputs,
    add_reports,
    check_outputs,
    named_inputs,
    only_workload,
    parse_size,
    report_result,
    write,
)
from sidebyside.completion import SHELLS, completion
from sidebyside.drawing import show
from sidebyside.drawing.figure import show as drawn
from sidebyside.drawing.timeline import timeline_json
from sidebyside.measuring.call_stack import Frames, forget_frames, frames_below
from sidebyside.measuring.memory import memory_limit
from sidebyside.modes import MODES, entered_modes, is_installed
from sidebyside.modes.importing import as_workload
from sidebyside.own_output import output_somewhere, programs_apart
from sidebyside.progress import Progress
from sidebyside.report.text_table import Line, Span, draw_table, natural_widths
from sidebyside.results.writing import write_whole
from sidebyside.studies import profile as profiling
from sidebyside.studies.flexibility import measure_flexibility
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.foreign import FOREIGN
from sidebyside.workloads.loading import find_object, find_workloads
from sidebyside.workloads.registry import entered_workloads, load
from sidebyside.workloads.workload import Workload, size_label

OK, FAILED, REFUSED, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

WHOLE_TRACEBACK = "SIDEBYSIDE_TRACEBACK"
"""The environment variable that shows the lines of this library too."""

_DESCRIPTION = """\
Measure dynamic against static graphs: one program, two executors over one op library.

  sidebyside table                      the classical table, filled in by this machine
  sidebyside compare seed chain         workloads in both modes, with break-even and memory
  sidebyside compare mine.py            a program of your own
  sidebyside decide mine.py:model --inputs mine.py:example --calls 10000
  sidebyside compare mine.py --save     the same, kept in .sidebyside/
  sidebyside history                    what is kept there, one program over time
  sidebyside diff old.json new.json --fail-if-slower 5%
  sidebyside show seed -o seed.svg      both graphs, before and after the passes
  sidebyside show mine.py:model --inputs mine.py:example
  sidebyside trace seed -o seed.json    a timeline of both modes, for Perfetto
  sidebyside profile seed               the time of each operation, in both modes
  sidebyside profile seed --mode static:native
  sidebyside profile mine.py:model --inputs mine.py:example
  sidebyside export mine.py:model model.onnx --inputs mine.py:example
  sidebyside flexibility                what each mode makes of control flow, by running it

What a program prints goes to the error stream, beside the progress; the standard output has the
report alone. Completion: eval "$(sidebyside --completion bash)", likewise for zsh;
sidebyside --completion fish | source.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: done. 1: the workload's own program failed, or modes disagree about what it computes. 2: what
    was asked for is not possible; the message says why. 3: something is slower than
    ``--fail-if-slower`` allows. 130: interrupted, 143: terminated; what was measured until then is
    written.
    """
    known = frames_below()
    parser = make_parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] | None = getattr(options, "command", None)
    if options.completion is not None:
        command = completion_command
    if command is None:
        parser.print_help()
        return OK
    try:
        with output_somewhere():
            with memory_limit(), until_terminated(), programs_apart():
                check_outputs(options)
                code = command(options)
            sys.stdout.flush()
        return code
    except SideBySideError as error:
        return _refuse(error, known)
    except MemoryError as error:
        return _refuse(OutOfMemoryError(str(error) or "an array does not fit"), known)
    except KeyboardInterrupt as interrupt:
        partial = getattr(interrupt, "partial", None)
        if partial is None or not partial.rows:
            print("\ninterrupted; nothing was written", file=sys.stderr)
        else:
            report_result(partial, options)
            print("\ninterrupted; this is what was measured until then", file=sys.stderr)
        return TERMINATED if isinstance(interrupt, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # the reader has seen enough; Python would complain once more when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (Exception, SystemExit) as error:  # a program may call sys.exit
        return _report_users(error, known)


class Terminated(KeyboardInterrupt):
    """The system asks this process to end."""


@contextmanager
def until_terminated() -> Iterator[None]:
    """Let a request to end (SIGTERM) interrupt what is done inside the block, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
    parser.add_argument(
        "--completion", choices=SHELLS, help="print what completes this command line in a shell"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    measuring_commands.add_table(commands)
    measuring_commands.add_compare(commands)
    measuring_commands.add_decide(commands)
    measuring_commands.add_calibrate(commands)
    saved_commands.add_history(commands)
    saved_commands.add_diff(commands)
    _add_show(commands)
    _add_trace(commands)
    _add_profile(commands)
    export_command.add_export(commands)
    _add_flexibility(commands)
    listing = commands.add_parser("list", help="list the workloads and the modes")
    listing.set_defaults(command=list_all)
    return parser


def _add_show(commands: Any) -> None:
    show = commands.add_parser(
        "show", help="show both graphs of a program, or the import of another library's"
    )
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
        "--mode",
        default="both",
        metavar="MODE",
        help="dynamic, static, static:native (machine code, step by step), or several with commas; "
        "%(default)s means the first two, the default",
    )
    profile.add_argument("--lines", action="store_true", help="tell your lines apart")
    profile.add_argument(
        "--runs", type=int, default=profiling.RUNS, metavar="N", help="how often the call is run"
    )
    add_reports(profile)
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
    add_reports(flexibility)
    flexibility.set_defaults(command=flexibility_command)


# options that several commands have ---------------------------------------------------------------


def _add_workload(command: Any) -> None:
    command.add_argument(
        "workload",
        metavar="WORKLOAD",
        help="a builtin name, a Python file, or FILE.py:NAME, which may be any program",
    )
    add_inputs(command)
    command.add_argument(
        "--size", type=parse_size, metavar="N|NxM", help="in place of its first size"
    )


def _add_output(command: Any, what: str, required: bool = False) -> None:
    command.add_argument("-o", "--output", metavar="FILE", type=Path, required=required, help=what)


# commands -----------------------------------------------------------------------------------------


def show_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside show``."""
    program = _program_of_a_file(options.workload)
    if program is not None or options.inputs is not None:
        program = only_workload(options.workload) if program is None else program
        inputs = named_inputs(options.inputs, options.workload)
        figure = drawn(program, *inputs, size=options.size)
        if options.output is None:
            write(str(figure))
            return OK
        figure.save(options.output)
        write(f"wrote {options.output}: {'; '.join(each.title for each in figure.pictures)}")
        return OK
    if options.output is not None:
        make = show.format_of(options.output)
        found = show.pictures(only_workload(options.workload), options.size)
        write_whole(options.output, make(found))
        write(f"wrote {options.output}: {'; '.join(each.title for each in found)}")
        return OK
    for position, workload in enumerate(find_workloads(options.workload)):
        found = show.pictures(workload, options.size)
        write(("\n" if position else "") + show.pictures_text(workload, found, options.size))
    return OK


def _program_of_a_file(reference: str) -> Any:
    """Return the program that a name in a file stands for; None if it is a workload."""
    found = find_object(reference, missing=None) if ".py:" in reference else None
    return None if isinstance(found, Workload) else found


def _workload_of(options: argparse.Namespace) -> Workload:
    """Return the workload that is named, or the program of a file with its inputs as one."""
    program = _program_of_a_file(options.workload)
    if program is None:
        program = only_workload(options.workload)
    inputs = named_inputs(options.inputs, options.workload)
    return as_workload(program, inputs, options.size)


def trace_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside trace``."""
    write_whole(options.output, timeline_json(_workload_of(options), options.size))
    write(f"wrote {options.output}; open it at https://ui.perfetto.dev or in chrome://tracing")
    return OK


def profile_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside profile``."""
    modes = profiling.MODES if options.mode == "both" else options.mode
    workload = _workload_of(options)
    found = profiling.profile(workload, options.size, modes, runs=options.runs, lines=options.lines)
    report_result(found, options)
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
    report_result(matrix, options)
    return OK


def completion_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside --completion``."""
    write(completion(make_parser(), options.completion).rstrip())
    return OK


def list_all(options: argparse.Namespace) -> int:
    """Run ``sidebyside list``."""
    lines: list[Line] = [Span("workloads")]
    lines += _shown({**{name: load(name) for name in BUILTIN}, **entered_workloads()})
    lines += [Span("programs of others' studies"), *_shown({each: load(each) for each in FOREIGN})]
    lines.append(Span("modes"))
    for name in (*MODES, *entered_modes()):
        lines.append([f"  {name}", "" if is_installed(name) else "not installed"])
    first, second = natural_widths(lines)
    write(draw_table(lines, [max(20, first), second], left=(0, 1), gap=""))
    return OK


def _shown(workloads: Mapping[str, Workload]) -> list[Line]:
    lines: list[Line] = []
    for name, workload in workloads.items():
        sizes = ", ".join(map(size_label, workload.sizes))
        lines.append([f"  {name}", f"{workload.title}{f' (size {sizes})' if sizes else ''}"])
    return lines
