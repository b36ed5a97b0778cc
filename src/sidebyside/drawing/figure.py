"""Both graphs of a program, for a notebook cell, a terminal or a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from oplibrary.messages.errors import ArgumentError
from sidebyside.drawing.show import Picture, format_of, pictures, pictures_of, pictures_text
from sidebyside.modes.importing import as_workload, import_program
from sidebyside.results.writing import write_whole
from sidebyside.workloads.recognition import library_of, require_program, uncompiled
from sidebyside.workloads.workload import Workload, takes_namespace
from staticgraph.graph.graph import Graph
from staticgraph.importing.shared.imported import Imported

MOST_DRAWN = 300
"""Nodes of all graphs together; a figure of more is shown as text."""


@dataclass(frozen=True, repr=False)
class Figure:
    """The tape of the dynamic mode, and the static graph before and after the passes.

    Of a program of another library there are the static graphs alone. A notebook draws it in the
    cell, in the colours of the page; printing it shows text.

    Attributes
    ----------
    workload : Workload
    size : any
    pictures : tuple of Picture
    """

    workload: Workload
    size: Any
    pictures: tuple[Picture, ...]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the figure to a file.

        Parameters
        ----------
        path : path
            Its suffix says the format: .svg, .dot, .mmd, .graphml or .json.

        Raises
        ------
        ArgumentError
            If the suffix is not known.
        OutputError
            If the file cannot be written; nothing is left half-written.
        """
        write_whole(path, format_of(Path(path))(self.pictures))

    def __str__(self) -> str:
        return pictures_text(self.workload, self.pictures, self.size)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if sum(len(each.graph) for each in self.pictures) > MOST_DRAWN:
            return f"<pre>{escape(str(self))}</pre>"
        drawn = format_of(Path("figure.svg"))(self.pictures)
        notes = [each for each in self.pictures if each.note or not len(each.graph)]
        lines = [f"{each.title}: {each.note or each.text}" for each in notes]
        below = f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""
        return f'<div style="overflow-x:auto">{drawn}</div>{below}'


def show(program: Any, *inputs: Any, size: Any = None) -> Figure:
    """Return both graphs of a program; a notebook draws them in the cell.

    Parameters
    ----------
    program : Workload, callable, Imported or Graph
        A function of the inputs, whose operations both modes take; ``f(xp, *inputs)``, with a
        first parameter called ``xp``, which is given the namespace of the mode; or a module or
        function of PyTorch, JAX or TensorFlow, which is imported. Of the latter, and of what is
        declared already, there is no tape.
    *inputs : array or tree of arrays
        Of a function; a workload makes its own.
    size : optional
        Of a workload; defaults to its first.

    Returns
    -------
    Figure

    Raises
    ------
    ArgumentError
        If inputs come with a workload or a graph, or a size with a function.
    SideBySideError
        If the dynamic mode cannot run the program, or it cannot be imported; what static refuses
        of the others is shown in the figure.

    Examples
    --------
    >>> import numpy as np
    >>> figure = show(lambda x, w: (x + w) * (w + 1), np.float32([2.0]), np.float32([1.0]))
    >>> [picture.title for picture in figure.pictures][:2]
    ['dynamic: 3 operations recorded', 'static, as declared: 3 instructions']
    """
    if isinstance(program, Workload):
        if inputs:
            raise ArgumentError(
                f"show: workload {program.name!r} was given {len(inputs)} inputs",
                cause="a workload makes its own",
                fix="choose a size, show(workload, size=...), or pass the function itself",
            )
        chosen = program.sizes[0] if size is None else size
        return Figure(program, chosen, tuple(pictures(program, chosen)))
    if size is not None:
        raise ArgumentError(
            "show: a size was given for a function",
            cause="a size is chosen for a workload, which makes inputs of it",
            fix="leave size out: the inputs are given",
        )
    if isinstance(program, (Imported, Graph)):
        if inputs:
            raise ArgumentError(
                f"show: a graph was given {len(inputs)} inputs",
                cause="it is declared for inputs of its own",
                fix="leave them out",
            )
        return _of_graph(program, program if isinstance(program, Graph) else program.graph)
    require_program(program)
    if not takes_namespace(program):
        kind = library_of(program, inputs)
        if kind != "NumPy":
            program = uncompiled(program)
            return _of_graph(program, import_program(kind, program, inputs).graph)
    workload = as_workload(program, inputs)
    return Figure(workload, None, tuple(pictures(workload)))


def _of_graph(program: Any, graph: Graph) -> Figure:
    """Return the figure of a declared graph."""
    name = getattr(program, "__name__", "") or graph.name or type(program).__name__
    workload = Workload(lambda xp: None, lambda rng, size: (), name=name)
    return Figure(workload, None, tuple(pictures_of(graph)))
