"""compile: from declared nodes to something that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oplibrary.messages.errors import out_of_memory
from staticgraph.backends.backend import Backend, Runner
from staticgraph.backends.registry import default_backend, load_backend
from staticgraph.compiler.binding import bind_regions
from staticgraph.compiler.building import build_runner, plan_program, restore_program
from staticgraph.compiler.declared import Declared, declared_program
from staticgraph.compiler.executable import Executable, recompiled
from staticgraph.compiler.options import Options
from staticgraph.compiler.phases import Clock, collector_paused
from staticgraph.compiler.run_lengths import measure_lengths
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.passes.pipeline import DEFAULT_PASSES, Observer, Pass, PassRecord, run_passes
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program
from staticgraph.program.upcall import Upcall


def compile(
    outputs: Any,
    inputs: Iterable[Node | str] | None = None,
    *,
    backend: str | None = None,
    passes: Sequence[Pass] | None = None,
    verify: bool = False,
    observer: Observer | None = None,
    debug: bool = False,
    borrow: bool = False,
) -> Executable:
    """Compile what computes `outputs`, ahead of its runs; the graph becomes final.

    Parameters
    ----------
    outputs : Node, or a tree of nodes
        A call returns arrays in the same structure.
    inputs : iterable of Node or str, optional
        What a call passes, in order; by default all placeholders of the graph, as declared.
    backend : str, optional
        ``"native"``, machine code, equal to dyngraph within a documented bound, which is the
        default where llvmlite and SciPy are installed; ``"numpy"``, the default elsewhere, whose
        results are dyngraph's to the last bit; ``"interpret"``, instruction by instruction; or the
        name of one that an installed distribution enters, see `Backend`.
    passes : sequence of callable, optional
        By default `DEFAULT_PASSES`; see `without`.
    verify : bool
        Prove the program after each pass.
    observer : callable, optional
        Called with a `PassRecord` after each pass.
    debug : bool
        Run the program as declared, instruction by instruction, with breakpoints and every value at
        hand; see `DebugExecutable`. `backend` has no effect then, nor have `DEFAULT_PASSES`.
    borrow : bool
        Return arrays that the next call may overwrite, and save their allocation. With `debug` it
        does overwrite them, with NaN.

    Returns
    -------
    Executable

    Raises
    ------
    FeedError
        If a placeholder that is needed is not among `inputs`.
    GraphError
        If an output is not a node, or nodes are of several graphs.
    BackendError
        If the backend does not exist or cannot run here.
    PassError
        With `verify`, if a pass breaks the program.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph():
    ...     x = sg.placeholder("x", (2,))
    ...     run = sg.compile({"double": x + x, "square": x * x})
    >>> run([1.0, 3.0])
    {'double': array([2., 6.], dtype=float32), 'square': array([1., 9.], dtype=float32)}
    """
    options = Options(
        backend=backend,
        passes=passes,
        verify=verify,
        observer=observer,
        debug=debug,
        borrow=borrow,
    )
    return compile_nodes(outputs, inputs, options)


def compile_nodes(
    outputs: Any, inputs: Iterable[Node | str] | None, options: Options
) -> Executable:
    """Compile nodes; `compile` says how."""
    clock = Clock()
    with collector_paused():
        declared = declared_program(outputs, inputs)
        clock.lap("lower")
        executable = compile_program(declared, options, clock)
    declared.graph.finalize()
    return executable


@dataclass(frozen=True, slots=True)
class Driver:
    """What takes a lowered program to something that runs: a backend, or the debugger.

    Attributes
    ----------
    backend : Backend
    passes : sequence of callable
    bind : callable
        Returns a program with its regions bound to what runs them.
    build : callable
        Returns what runs a program that `bind` returned, of a plan.
    executable : callable
        Makes the executable, of what `Executable` is made of.
    """

    backend: Backend
    passes: Sequence[Pass]
    bind: Callable[[Program], Program]
    build: Callable[[Program, BufferPlan], Runner]
    executable: Callable[..., Executable] = Executable


debug_driver: Upcall[[Graph, Options], Driver] = Upcall("staticgraph.debugging.executable")
"""Return the driver of a program with ``debug=True``."""


def backend_driver(options: Options) -> Driver:
    """Return the driver of a program by the backend and the passes that were asked for."""
    backend = load_backend(default_backend() if options.backend is None else options.backend)
    passes = DEFAULT_PASSES if options.passes is None else options.passes
    return Driver(
        backend,
        passes,
        lambda program: bind_regions(program, backend, passes),
        lambda program, plan: build_runner(backend, program, plan),
    )


def compile_program(declared: Declared, options: Options, clock: Clock) -> Executable:
    """Compile a lowered program; the errors are those of `compile`.

    Parameters
    ----------
    declared : Declared
    options : Options
    clock : Clock
        That goes on to measure the phases.

    Raises
    ------
    OutOfMemoryError
        If what is known before a run, such as the value of a constant, does not fit in memory.
    """
    try:
        return _compile_program(declared, options, clock)
    except MemoryError as error:
        raise out_of_memory(error, "compiling the program") from None


def _compile_program(declared: Declared, options: Options, clock: Clock) -> Executable:
    graph, lowered, feeds, structure = declared
    driver = debug_driver(graph, options) if options.debug else backend_driver(options)
    records: list[PassRecord] = []

    def observe(record: PassRecord) -> None:
        records.append(record)
        clock.add(record.name, record.seconds)
        if options.observer is not None:
            options.observer(record)

    program = run_passes(lowered, driver.passes, options.verify, observe)
    clock.restart()
    program = driver.bind(program)
    clock.lap("regions")
    restored = restore_program(driver.backend, program)
    if restored is None:
        plan = plan_program(driver.backend, program, options.borrow)
        make_plan = lambda: plan  # noqa: E731
        clock.lap("plan")
        runner = driver.build(program, plan)
    else:
        runner, make_plan = restored
        clock.lap("plan")
    runner = measure_lengths(runner, program, feeds)
    name, phases = driver.backend.name, clock.phases
    executable = driver.executable(
        lowered,
        program,
        make_plan,
        name,
        runner,
        feeds,
        structure,
        phases,
        records,
        replace(options, observer=None),
    )
    clock.lap("generate")
    return executable


def _recompile(executable: Executable, lowered: Program) -> Executable:
    graph = Graph(name="copy")
    declared = Declared(graph, lowered, list(executable.inputs), executable.structure)
    return compile_program(declared, executable.options, Clock())


recompiled.enter(_recompile)
