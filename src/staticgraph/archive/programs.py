"""save_program and open_program: a program leaves the process that declared it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from oplibrary.messages.errors import ArgumentError
from staticgraph.archive.container import checked_path, read_file, write_file
from staticgraph.archive.reading import ProgramReader, reading
from staticgraph.archive.writing import ProgramWriter
from staticgraph.compiler.compile import compile_program
from staticgraph.compiler.declared import Declared, declared_program
from staticgraph.compiler.executable import Executable
from staticgraph.compiler.options import Options
from staticgraph.compiler.phases import Clock
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.passes.pipeline import Observer, Pass


def save_program(
    path: str | os.PathLike[str], outputs: Any, inputs: Iterable[Node | str] | None = None
) -> None:
    """Write what computes `outputs` to one file, for `open_program`.

    Written is the program before any pass, so that every backend can compile it: its ops by name,
    constants, variables with the values that they have now, updates, effects, and the user's lines
    for messages, each with the name of its file. The file holds no Python code, neither the user's
    nor pickled.

    Parameters
    ----------
    path : str or os.PathLike
        What is there is replaced, once the new file is whole.
    outputs : Node, a tree of nodes, or Executable
        Nodes as `compile` takes them; or what it made, to save the program of that.
    inputs : iterable of Node or str, optional
        As in `compile`. An executable has its inputs.

    Raises
    ------
    ArgumentError
        If `path` or `outputs` is of another kind.
    ProgramFileError
        If an op is not one of the library's, or an attribute of one is something else than numbers
        and texts; the user's line is named.
    OutputError
        If the file cannot be written.
    FeedError, GraphError
        As in `compile`.

    Examples
    --------
    >>> import os, tempfile
    >>> import staticgraph as sg
    >>> path = os.path.join(tempfile.mkdtemp(), "double.sgp")
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (2,))
    ...     sg.save_program(path, {"double": x + x})
    >>> run = sg.open_program(path)
    >>> run([1.0, 3.0])
    {'double': array([2., 6.], dtype=float32)}
    """
    target = checked_path("save_program", path)
    writer = ProgramWriter()
    if isinstance(outputs, Executable):
        if inputs is not None:
            raise ArgumentError(
                "save_program: inputs were passed beside an executable",
                cause="it was compiled with its inputs",
                fix="leave them out, or pass the nodes in place of the executable",
            )
        document = writer.document(outputs.lowered, outputs.inputs, outputs.structure)
    elif callable(outputs):
        raise ArgumentError(
            "save_program: a function was passed in place of what it returns",
            cause="a function has a program for each kind of arguments",
            fix='trace it, graph = sg.trace(f, sg.TensorType((3,), "float32")), and pass '
            "graph.outputs and graph.inputs",
        )
    else:
        declared = declared_program(outputs, inputs)
        document = writer.document(declared.lowered, declared.feeds, declared.structure)
    write_file(target, document, writer.arrays)


def open_program(
    path: str | os.PathLike[str],
    *,
    backend: str | None = None,
    passes: Sequence[Pass] | None = None,
    verify: bool = False,
    observer: Observer | None = None,
    debug: bool = False,
    borrow: bool = False,
) -> Executable:
    """Compile the program in a file, without the Python code that declared it.

    Parameters
    ----------
    path : str or os.PathLike
        What `save_program` wrote. Reading it runs nothing that it holds.
    backend, passes, verify, observer, debug, borrow
        As in `compile`.

    Returns
    -------
    Executable
        With the inputs, the structure of outputs and the updates of the program that was saved. A
        named tuple is of a class of its own, with the same name and fields. Its variables hold what
        they held then; they are state of this executable alone.

    Raises
    ------
    ProgramFileError
        If there is no such file, or it is damaged, of another version, or has an op or attribute
        that is not known here.
    ArgumentError
        If it has a symbolic dimension that exists here with another least length.
    BackendError, PassError
        As in `compile`.
    """
    clock = Clock()
    source = checked_path("open_program", path)
    what = f"open_program({str(source)!r})"
    with reading(what):
        contents = read_file(source)
    with reading(what, contents.library):
        reader = ProgramReader(contents.document, contents.arrays, contents.library)
    declared = Declared(Graph(name=source.name), reader.program, reader.feeds, reader.structure)
    clock.lap("open")
    options = Options(
        backend=backend,
        passes=passes,
        verify=verify,
        observer=observer,
        debug=debug,
        borrow=borrow,
    )
    return compile_program(declared, options, clock)
