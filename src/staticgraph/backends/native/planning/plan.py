"""The plan: the steps of a run, and where everything is in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oplibrary.machine.target import Target
from staticgraph.backends.native.definitions.define import Definitions
from staticgraph.backends.native.definitions.definition import Definition
from staticgraph.backends.native.planning.grouping import Grouping
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.steps import Kernel
from staticgraph.program.memory import BufferPlan
from staticgraph.program.program import Program


@dataclass(frozen=True, slots=True)
class Location:
    """Where a value is.

    Attributes
    ----------
    slot : int
        Which of the addresses that a run is given.
    offset : int
        Bytes from there.
    """

    slot: int
    offset: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NativePlan(BufferPlan):
    """What the native backend decides before it writes code.

    Attributes
    ----------
    target : Target
    definitions : Definitions
    grouping : Grouping
    nests : dict of Kernel to Nest
    results : tuple of Definition
        What is in each result's memory, in the order of the outputs and then the updates.
    sources : tuple of Definition
        The inputs, the variables and the constants, each in a slot.
    locations : dict of Definition to Location
    partials : dict of Definition to Location
        Where the chunks of a reduction leave their results.
    held : set of Definition
        What is no array of numbers, and so is kept as an object.
    unread : set of Definition
        What nothing outside its kernel reads.
    scratch : dict of Definition to list of Location
        What loops and branches use while they run; see `scratch_sizes`.
    overwritable : dict of int to int
        For each output that may be made in the memory of an owned input, the number of the input.
    overwritten : dict of Definition to list of Definition
        For each value, what it may be made in the memory of; see `find_overwritten`.
    program : Program
        What is planned: the one that was given, with every lowering written out.
    """

    target: Target
    definitions: Definitions
    grouping: Grouping
    nests: Mapping[Kernel, Nest]
    results: tuple[Definition, ...]
    sources: tuple[Definition, ...]
    locations: Mapping[Definition, Location]
    partials: Mapping[Definition, Location]
    held: set[Definition]
    unread: set[Definition]
    scratch: Mapping[Definition, list[Location]]
    overwritable: Mapping[int, int]
    overwritten: Mapping[Definition, Sequence[Definition]]
    program: Program

    @property
    def arena_slot(self) -> int:
        """The slot of the arena; those of the results are in front of it."""
        return len(self.sources) + len(self.results)
