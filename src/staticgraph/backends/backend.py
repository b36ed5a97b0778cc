"""Backend: the record of what runs programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from oplibrary.values.tree import Structure
from oplibrary.values.types import Array
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program

Bind = Callable[[Sequence[Array], Sequence[Array], Any], Callable[[], Any] | None]


@dataclass(frozen=True, slots=True)
class Runner:
    """A program that can be called.

    Attributes
    ----------
    call : callable
        ``call(*inputs)`` takes row-major arrays of exactly the declared types, in order, makes the
        updates and returns the outputs as a list: arrays of their own, unless borrowed. It may be
        called from many threads.
    write_source : callable
        Returns what was generated, if that is text.
    notes : tuple of str
        What a report says about it.
    quicken : callable, optional
        ``quicken(call, structure)`` returns a function that does what `call` does, which checks
        what it is passed and arranges the outputs, but quicker where nothing is to be converted.
    bind : callable, optional
        ``bind(inputs, outputs, result)`` returns a function that, without checks, reads the first
        arrays and overwrites the second ones at each call, and returns `result`. It may be called
        from many threads. Without it, or where it returns None, results are copied into the
        outputs.
    """

    call: Callable[..., list[Array]]
    write_source: Callable[[], str] = str
    notes: tuple[str, ...] = ()
    quicken: Callable[[Callable[..., Any], Structure], Callable[..., Any]] | None = None
    bind: Bind | None = None


class Opened(NamedTuple):
    """A program with symbolic dimensions that was built for all lengths.

    Attributes
    ----------
    runner : Runner
    holds : callable
        Tells whether it is right at some lengths, by name; at others it has to be built for them.
    """

    runner: Runner
    holds: Callable[[Mapping[str, int]], bool]


class Restored(NamedTuple):
    """A program that was built before.

    Attributes
    ----------
    runner : Runner
    make_plan : callable
        Makes the plan when somebody asks for it.
    """

    runner: Runner
    make_plan: Callable[[], BufferPlan]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A way to run programs.

    A module of this library has its record under the name ``BACKEND``. Another distribution enters
    its own in the entry-point group ``staticgraph.backends``: the record, or a function that
    returns it.

    Attributes
    ----------
    name : str
        By which `compile` is asked for it; for one that is entered, the name of the entry point.
    plan : callable
        ``plan(program, borrow)`` returns where the values are kept. With `borrow`, results may be
        kept where the next run overwrites them.
    build : callable
        ``build(program, plan)`` returns what runs the program.
    restore : callable, optional
        ``restore(program)`` returns what an earlier build of the same program left on disk, so that
        no plan has to be made, or None.
    takes_lengths : bool
        Whether it runs programs with symbolic dimensions; otherwise it is given one with numbers
        for each combination of lengths.
    build_open : callable, optional
        ``build_open(program)`` builds a program with symbolic dimensions for all lengths, and
        returns it `Opened`, or why it cannot. Without it, each combination of lengths is built
        apart.
    keeps_layouts : bool
        Whether a region runs on values from around it as they lie in memory, in whatever order;
        otherwise it is given row-major copies.
    writes_control : bool
        Whether it runs branches and loops itself, and their regions need not be built apart.
    """

    name: str
    plan: Callable[[Program, bool], BufferPlan]
    build: Callable[[Program, BufferPlan], Runner]
    restore: Callable[[Program], Restored | None] | None = None
    takes_lengths: bool = False
    build_open: Callable[[Program], Opened | str] | None = None
    keeps_layouts: bool = False
    writes_control: bool = False
