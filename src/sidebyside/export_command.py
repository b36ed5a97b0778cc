"""The command that writes a program in the format of others: ``export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import staticgraph
from oplibrary.messages.errors import WorkloadError
from sidebyside.command_options import add_inputs, named_inputs, only_workload, parse_size, write
from sidebyside.studies.exporting import check_target, export
from sidebyside.workloads.loading import find_object

sg: Any = staticgraph

OK = 0

ARCHIVE = ".sgp"
"""How the names of programs in files end; see ``staticgraph.save_program``."""


def add_export(commands: Any) -> None:
    """Add ``sidebyside export``."""
    command = commands.add_parser(
        "export", help="write a program, of any framework, as a model in the ONNX format"
    )
    command.add_argument(
        "workload",
        metavar="FILE.py:NAME",
        help="a function, a model, a graph, a workload or its name, or a file of save_program",
    )
    command.add_argument("output", metavar="FILE.onnx", type=Path, help="what is written")
    add_inputs(command)
    command.add_argument(
        "--size", type=parse_size, metavar="N|NxM", help="of a workload, in place of its first"
    )
    command.add_argument(
        "--dynamic",
        action="append",
        type=open_axis,
        default=[],
        metavar="NAME:AXIS=LENGTH",
        help="leave a length open, as in x:0=batch; several times for several axes",
    )
    command.add_argument(
        "--no-check", action="store_true", help="write it without running it by onnx.reference"
    )
    command.set_defaults(command=export_command)


def open_axis(text: str) -> tuple[str, int, str]:
    """Return what ``NAME:AXIS=LENGTH`` says.

    Examples
    --------
    >>> open_axis("x:0=batch")
    ('x', 0, 'batch')
    """
    place, _, length = text.partition("=")
    name, _, axis = place.rpartition(":")
    if not (name and axis.isdecimal() and length.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text} is not NAME:AXIS=LENGTH, such as x:0=batch")
    return name, int(axis), length


def export_command(options: argparse.Namespace) -> int:
    """Run ``sidebyside export``."""
    check_target(options.output)
    program = _program(options.workload)
    inputs = named_inputs(options.inputs, options.workload)
    dynamic: dict[str, dict[int, str]] = {}
    for name, axis, length in options.dynamic:
        dynamic.setdefault(name, {})[axis] = length
    found = export(
        program,
        options.output,
        *inputs,
        size=options.size,
        dynamic=dynamic,
        check=not options.no_check,
    )
    write(found.text())
    return OK


def _program(reference: str) -> Any:
    """Return what a name in a file, the name of a workload, or a saved program stands for."""
    if reference.endswith(ARCHIVE):
        return sg.open_program(reference, backend="numpy")
    if ".py:" in reference:
        found = find_object(reference, missing=None)
        if found is not None:
            return found
        try:
            return only_workload(reference)
        except WorkloadError:
            return find_object(reference)
    return only_workload(reference)
