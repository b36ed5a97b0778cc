"""compile: from declared nodes to something that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from oplibrary.core.tree import Structure, flatten
from oplibrary.messages.errors import GraphError
from staticgraph.backends import Runner, default_backend, load_backend
from staticgraph.backends.interpret import Hook
from staticgraph.compiler.binding import bind_regions
from staticgraph.compiler.call_entry import make_entry
from staticgraph.compiler.feeds import Feed, convert_feeds
from staticgraph.compiler.phases import Clock, collector_paused
from staticgraph.compiler.runners import (
    build_runner,
    measure_lengths,
    plan_program,
    restore_program,
)
from staticgraph.cost.cost import Cost, program_cost
from staticgraph.declare.lower import lower
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.passes.pipeline import DEFAULT_PASSES, Observer, Pass, PassRecord, run_passes
from staticgraph.program.lengths import program_is_symbolic
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program, Variable
from staticgraph.show.printing import format_program

if TYPE_CHECKING:
    from staticgraph.debugging import Debugger


_OF_DEBUGGING = frozenset({"break_at", "inspect", "trace", "values", "watch_nan"})


class Executable:
    """A compiled program: call it with arrays, by position or by name.

    Made by `compile`. It may be called from many threads; those that update the same variable
    must take turns.

    Attributes
    ----------
    program : Program
        After the passes.
    lowered : Program
        Before the passes.
    structure : structure
        Of the outputs; see `oplibrary.core.tree`.
    backend : str
    inputs : tuple of Feed
        Name, type and declaration of each input.
    phases : dict of str to float
        Seconds of each phase of the build, in order: ``"lower"``, or ``"open"`` where it was
        saved; each pass by its name; ``"plan"``, which is short where machine code is found on
        disk; and ``"generate"``.
    records : tuple of PassRecord
    call : callable
        ``call(*arrays)``: the same as calling the executable with every input by position, 0.1 µs
        quicker.
    hooks : list of callable
        With ``compile(..., debug=True)``, each is called after every instruction with the
        instruction, its operands and its result.

    With ``debug=True`` it can be looked into while it runs; see `DebugExecutable`.
    """

    def __init__(
        self,
        lowered: Program,
        program: Program,
        make_plan: Callable[[], BufferPlan],
        backend: str,
        runner: Runner,
        inputs: Sequence[Feed],
        structure: Structure,
        phases: dict[str, float],
        records: Sequence[PassRecord],
        hooks: list[Hook],
    ) -> None:
        self.program = program
        self._make_plan = make_plan
        self.backend = backend
        self.inputs = tuple(inputs)
        self.phases = phases
        self.records = tuple(records)
        self.hooks = hooks
        self.call = make_entry(self.inputs, runner.call, structure)
        if runner.quicken is not None:
            self.call = runner.quicken(self.call, structure)
        self._names = {feed.name for feed in inputs}
        self._runner = runner
        self.lowered = lowered
        self.structure = structure

    def __call__(self, *arrays: Any, **named: Any) -> Any:
        """Run the program and return its outputs, as they were asked for.

        Parameters
        ----------
        *arrays, **named : array_like
            The inputs. An array must have the declared shape and dtype; Python numbers and lists
            take the declared dtype.

        Returns
        -------
        numpy.ndarray, or a tree of them
            Arrays of the caller's own, unless compiled with ``borrow=True``.

        Raises
        ------
        FeedError
            Naming every input that is missing, unknown or of the wrong type.
        RunError, IndexingError
            If an instruction fails, with the line that declared it.
        """
        if named:
            if arrays or named.keys() != self._names:
                return self.call(*convert_feeds(self.inputs, arrays, named))
            arrays = tuple([named[feed.name] for feed in self.inputs])
        return self.call(*arrays)

    def __getattr__(self, name: str) -> Any:
        what = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name in _OF_DEBUGGING:
            what += "; compile with debug=True to look into runs"
        raise AttributeError(what)

    @property
    def variables(self) -> dict[str, Variable]:
        """The state that runs read or update, by name."""
        updated = [variable for variable, _ in self.lowered.updates]
        return {each.name: each for each in (*self.lowered.variables.values(), *updated)}

    @cached_property
    def plan(self) -> BufferPlan:
        """Where values are kept; made now if machine code was found on disk without it."""
        return self._make_plan()

    @cached_property
    def source(self) -> str:
        """What was generated: Python by ``numpy``, LLVM IR by ``native``, else nothing."""
        return self._runner.write_source()

    @property
    def passes_text(self) -> str:
        """The program before the passes, and after each one that changed it."""
        parts = [format_program(self.lowered, "lowered")]
        for record in self.records:
            if record.changed:
                parts.append(format_program(record.program, record.name))
        return "\n\n".join(parts)

    def print_passes(self) -> None:
        """Print the program before the passes, and after each one that changed it."""
        print(self.passes_text)

    def report(self) -> str:
        """Return as text what the build did, how long it took, and what memory a run takes."""
        plan = self.plan
        lines = [repr(self), ""]
        lines.append(f"{'phase':<34}{'ms':>9}  instructions")
        counts = {record.name: f"{record.before} -> {record.after}" for record in self.records}
        changed = {record.name for record in self.records if record.changed}
        for name, seconds in self.phases.items():
            note = counts.get(name, "")
            if note and name not in changed:
                note = "unchanged"
            lines.append(f"{name:<34}{seconds * 1e3:>9.3f}  {note}".rstrip())
        lines.append(f"{'total':<34}{sum(self.phases.values()) * 1e3:>9.3f}")
        loops = [step for step in plan.steps if step.loop is not None]
        fused = sum(len(step.instructions) for step in loops)
        if program_is_symbolic(self.program):
            return "\n".join([*lines, "", "memory     follows from the lengths of each run"])
        lines += [
            "",
            f"steps      {len(plan.steps)}; {len(loops)} run {fused} instructions by blocks",
            f"arena      {plan.arena_bytes:,} bytes hold {len(plan.offsets)} values, "
            f"{len(plan.in_place)} of them in place of an operand",
            f"peak       {plan.peak_bytes:,} bytes of computed values at once, "
            f"{plan.unplanned_bytes:,} if none was freed",
            *self._runner.notes,
        ]
        return "\n".join(lines)

    def cost(self, **lengths: int) -> Cost:
        """Return the arithmetic that a run does and the bytes that it moves, by instruction.

        It is that of `program`, so what the passes left; ``compile(..., passes=())`` leaves all.

        Parameters
        ----------
        **lengths : int
            The length of each symbolic dimension, by name.

        Returns
        -------
        Cost

        Raises
        ------
        ArgumentError
            If the length of a symbolic dimension is missing, unknown, or too small.

        Examples
        --------
        >>> import staticgraph as sg
        >>> with sg.Graph():
        ...     x = sg.placeholder("x", (8,))
        ...     cost = sg.compile(sg.sum(sg.exp(x) * 2)).cost()
        >>> cost.flops, cost.transcendentals, cost.bytes_read, cost.bytes_written
        (16, 8, 68, 36)
        """
        return program_cost(self.program, lengths)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{feed.name}: {feed.type}" for feed in self.inputs)
        outputs = ", ".join(repr(value.type) for value in self.program.outputs)
        return (
            f"<Executable ({inputs}) -> ({outputs}), "
            f"{len(self.program.instructions)} instructions, {self.backend}>"
        )


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
        results are dyngraph's to the last bit; or ``"interpret"``, instruction by instruction.
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
    clock = Clock()
    with collector_paused():
        declared = declared_program(outputs, inputs)
        clock.lap("lower")
        executable = compile_program(
            declared,
            clock,
            backend=backend,
            passes=passes,
            verify=verify,
            observer=observer,
            debug=debug,
            borrow=borrow,
        )
    declared.graph.finalize()
    return executable


class Declared(NamedTuple):
    """A program as it was declared, and how it is called.

    Attributes
    ----------
    graph : Graph
    lowered : Program
        Before the passes.
    feeds : list of Feed
        What a call passes, in order.
    structure : structure
        Of the outputs; see `oplibrary.core.tree`.
    """

    graph: Graph
    lowered: Program
    feeds: list[Feed]
    structure: Structure


def declared_program(outputs: Any, inputs: Iterable[Node | str] | None) -> Declared:
    """Return the program of `outputs` and `inputs`, which are those of `compile`.

    Raises
    ------
    FeedError, GraphError
        As in `compile`.
    """
    leaves, structure = flatten(outputs)
    given = None if inputs is None else list(inputs)
    graph = graph_of(leaves, given)
    if given is None:
        given = list(graph.inputs)
    nodes = [graph.resolve(node) for node in given]
    lowered = lower(graph, leaves, nodes)
    feeds = [Feed(node.name, node.type, node.source) for node in nodes]
    return Declared(graph, lowered, feeds, structure)


def compile_program(
    declared: Declared,
    clock: Clock,
    *,
    backend: str | None = None,
    passes: Sequence[Pass] | None = None,
    verify: bool = False,
    observer: Observer | None = None,
    debug: bool = False,
    borrow: bool = False,
) -> Executable:
    """Compile a lowered program; the options are those of `compile`, and so are the errors.

    Parameters
    ----------
    declared : Declared
    clock : Clock
        That goes on to measure the phases.
    """
    graph, lowered, feeds, structure = declared
    hooks: list[Hook] = []
    debugger: Debugger | None = None
    make: Callable[..., Executable] = Executable
    if debug:
        from staticgraph import debugging

        backend, passes = "interpret", passes or ()
        debugger = debugging.Debugger(graph, passes, hooks, verify)
        make = partial(debugging.DebugExecutable, debugger)
    name = default_backend() if backend is None else backend
    loaded = load_backend(name)
    records: list[PassRecord] = []

    def observe(record: PassRecord) -> None:
        records.append(record)
        clock.add(record.name, record.seconds)
        if observer is not None:
            observer(record)

    program = run_passes(lowered, DEFAULT_PASSES if passes is None else passes, verify, observe)
    clock.restart()
    program = debugger.bind(program) if debugger else bind_regions(program, name, passes)
    clock.lap("regions")
    restored = restore_program(loaded, program)
    if restored is None:
        plan = plan_program(loaded, program, borrow)
        make_plan = lambda: plan  # noqa: E731
        clock.lap("plan")
        runner = debugger.runner(program) if debugger else build_runner(loaded, program, plan)
    else:
        runner, make_plan = restored
        clock.lap("plan")
    if debug and borrow:
        runner = debugging.poisoning(runner)
    runner = measure_lengths(runner, program, feeds)
    executable = make(
        lowered, program, make_plan, name, runner, feeds, structure, clock.phases, records, hooks
    )
    clock.lap("generate")
    return executable


def graph_of(leaves: Sequence[Any], inputs: Sequence[Any] | None) -> Graph:
    """Return the graph that outputs and inputs belong to.

    Raises
    ------
    GraphError
        If none of them is a node.
    """
    for node in (*leaves, *(inputs or ())):
        if isinstance(node, Node):
            graph: Graph = node.graph
            return graph
    found = ", ".join(sorted({type(leaf).__name__ for leaf in leaves})) or "nothing"
    raise GraphError(
        f"compile: the outputs are {found}, not nodes",
        cause="a program computes nodes of a declared graph",
        fix="pass what an op returned inside `with sg.Graph():`, or the outputs of sg.trace",
    )
