"""Executable: a compiled program, and what it says about itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cached_property
from html import escape
from typing import Any

from oplibrary.core.dispatch import HELD
from oplibrary.values.tree import Structure
from oplibrary.values.types import Array
from staticgraph.backends.backend import Runner
from staticgraph.compiler.bound import Bound, bind_program
from staticgraph.compiler.call_entry import make_entry
from staticgraph.compiler.feeds import Feed, convert_feeds
from staticgraph.compiler.options import Options
from staticgraph.cost.cost import Cost, program_cost
from staticgraph.passes.pipeline import PassRecord
from staticgraph.program.lengths import program_is_symbolic
from staticgraph.program.memory import BufferPlan
from staticgraph.program.pickled import reduced
from staticgraph.program.program import Program, Variable
from staticgraph.program.upcall import Upcall
from staticgraph.show.printing import format_program

recompiled: Upcall[[Executable, Program], Executable] = Upcall("staticgraph.compiler.compile")
"""Compile a program to be called as an executable is, with its options."""

_OF_DEBUGGING = frozenset({"break_at", "hooks", "inspect", "trace", "values", "watch_nan"})


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
        Of the outputs; see `oplibrary.values.tree`.
    backend : str
    inputs : tuple of Feed
        Name, type and declaration of each input.
    phases : dict of str to float
        Seconds of each phase of the build, in order: ``"lower"``, or ``"open"`` where it was
        saved; each pass by its name; ``"plan"``, which is short where machine code is found on
        disk; and ``"generate"``.
    records : tuple of PassRecord
    options : Options
        Of the build, but for its observer.
    call : callable
        ``call(*arrays)``: the same as calling the executable with every input by position, 0.1 µs
        quicker.

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
        options: Options,
    ) -> None:
        self.program = program
        self._make_plan = make_plan
        self.backend = backend
        self.inputs = tuple(inputs)
        self.phases = phases
        self.records = tuple(records)
        self.options = options
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

    def bind(self, /, *arrays: Any, out: Any = None, **named: Any) -> Bound:
        """Return the program bound to arrays: a call without arguments, checks or allocation.

        The arrays stay where they are: what is written into them is seen by the next call, and each
        call overwrites the same outputs. By machine code, a call is one of a function in C.

        Parameters
        ----------
        *arrays, **named : numpy.ndarray
            The inputs, row-major and of the declared types. Python numbers, which never change, are
            taken as in a call. An input that is called ``out`` is passed by position.
        out : numpy.ndarray, or a tree of them, optional
            What to write the outputs into, in their structure; by default arrays are allocated,
            once. They must be row-major and writeable, and share no memory with inputs.

        Returns
        -------
        Bound

        Raises
        ------
        FeedError
            Naming every input that is missing, unknown or of the wrong type.
        BindingError
            If an array cannot be read or written in place, or arrays overlap.

        Notes
        -----
        Threads that call it take turns. A program that has variables, effects, or operations that
        are left to NumPy can be bound, too, as can one of every backend; those run as in any call,
        and copy results into the outputs where they cannot write them there. Of symbolic dimensions
        the lengths are those of the arrays.

        Examples
        --------
        >>> import numpy as np
        >>> import staticgraph as sg
        >>> with sg.Graph():
        ...     x = sg.placeholder("x", (2,))
        ...     run = sg.compile(x * x)
        >>> x = np.array([1, 2], "float32")
        >>> bound = run.bind(x)
        >>> bound()
        array([1., 4.], dtype=float32)
        >>> x[0] = 3
        >>> bound()
        array([9., 4.], dtype=float32)
        """
        return bind_program(
            self._runner, self.program, self.inputs, self.structure, arrays, named, out
        )

    def __reduce__(self) -> Any:
        return reduced(self)

    def __copy__(self) -> Executable:
        return self  # what it is made of never changes, and the state is shared

    def __deepcopy__(self, memo: dict[int, Any]) -> Executable:
        """Return an executable with variables of its own, and all else shared or built again."""
        if not self.variables:
            return self
        return recompiled(self, deepcopy(self.lowered, memo))

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
        loops = [step for step in plan.steps if step.blocks is not None]
        fused = sum(len(step.instructions) for step in loops)
        if program_is_symbolic(self.program):
            lines += ["", "memory     follows from the lengths of each run"]
            return "\n".join([*lines, *self._runner.notes])
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

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code><br>{self.program._repr_html_()}"


def _held_by(executable: Executable) -> tuple[Array, ...]:
    return tuple([each.stored for each in executable.variables.values()])


HELD[Executable] = _held_by
