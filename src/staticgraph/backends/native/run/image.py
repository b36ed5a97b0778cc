"""Images: what a run needs to know of a plan, kept beside its object code.

With its image, a program that was built before runs without being planned again. An image is named
by the `fingerprint` of the program.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass

from oplibrary.machine.cache import cache_folder, read_entry, write_entry
from oplibrary.machine.entry import Signature
from oplibrary.values.types import Array
from staticgraph.backends.native.definitions.definition import Stored
from staticgraph.backends.native.definitions.routines import Routined
from staticgraph.backends.native.definitions.selections import Gathered, Scattered
from staticgraph.backends.native.emit.address_table import slot_count
from staticgraph.backends.native.emit.segments import is_left_to_blas, is_shared, needs_blas_alone
from staticgraph.backends.native.planning.control import (
    constants_inside,
    plan_may_run_long,
    plan_work,
    plans_of,
)
from staticgraph.backends.native.planning.plan import NativePlan
from staticgraph.backends.native.planning.steps import Call
from staticgraph.backends.native.run.fingerprint import fingerprint
from staticgraph.program.program import Program

_LARGEST_CONSTANTS = 1 << 20
"""Bytes of constants that are kept in an image at most, beside those that are the program's."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a run needs to know.

    Attributes
    ----------
    object_name : str
        Of the object code in the cache.
    symbols : tuple of str
        Its functions.
    sources, arena_slot : int
        How many slots are in front of the results and of the arena.
    arena_bytes : int
    constants : tuple of int or numpy.ndarray
        What is in the slots of the constants: those of the program by number, or others.
    slots : int
        How many slots there are.
    inner_constants : tuple of numpy.ndarray
        The constants of the regions.
    work : float
        Estimated nanoseconds of a run.
    checks_status : bool
        Whether a run may find that it cannot go on.
    may_run_long : bool
        Whether a loop in it looks for signals.
    needs_blas, needs_blas_alone, needs_threads : bool
        Whether it calls BLAS, must keep BLAS from starting threads, and shares out work.
    functions : tuple of str
        What it calls of `oplibrary.machine.foreign.functions`.
    notes : tuple of str
        What a report says.
    lengths : tuple of int
        The numbers of the `LengthTable` of a plan for all lengths, at some of them.
    """

    object_name: str
    symbols: tuple[str, ...]
    sources: int
    arena_slot: int
    arena_bytes: int
    constants: tuple[int | Array, ...]
    slots: int
    inner_constants: tuple[Array, ...]
    work: float
    checks_status: bool
    may_run_long: bool
    needs_blas: bool
    needs_blas_alone: bool
    needs_threads: bool
    functions: tuple[str, ...]
    notes: tuple[str, ...]
    lengths: tuple[int, ...] = ()

    def signature(self, program: Program) -> Signature | None:
        """Return what the function object takes and gives; None where there cannot be one."""
        numbers = {variable: i for i, variable in enumerate(program.variables.values())}
        if any(variable not in numbers for variable, _ in program.updates):
            return None
        return Signature(
            tuple([value.type for value in program.inputs]),
            tuple([value.type for value in program.variables]),
            tuple([value.type for value in program.outputs]),
            tuple([(numbers[variable], value.type) for variable, value in program.updates]),
            self.sources,
            self.work,
            self.checks_status or self.may_run_long,
            self.may_run_long,
        )


def make_image(program: Program, plan: NativePlan) -> Image:
    """Return what a run of `plan`, of `program`, needs to know but for the names in its code."""
    plans = plans_of(plan)
    steps = [step for each in plans for step in each.grouping.steps]
    target = plan.target
    own = {id(array): number for number, array in enumerate(program.constants.values())}
    return Image(
        object_name="",
        symbols=(),
        sources=len(plan.sources),
        arena_slot=plan.arena_slot,
        arena_bytes=plan.arena_bytes,
        constants=tuple([own.get(id(a), a) for a in plan.program.constants.values()]),
        slots=slot_count(plan),
        inner_constants=tuple(constants_inside(plan)),
        work=plan_work(plan),
        checks_status=any(map(_checks_status, plans)),
        may_run_long=plan_may_run_long(plan),
        needs_blas=any(is_left_to_blas(step, target) for step in steps),
        needs_blas_alone=any(needs_blas_alone(step, target) for step in steps),
        needs_threads=any(is_shared(step, target) for step in steps)
        or any(nest.is_split for each in plans for nest in each.nests.values()),
        functions=(),
        notes=tuple(
            [f"left to NumPy: {each.op.name}: {why}" for each, why in plan.definitions.reasons]
        ),
    )


def _checks_status(plan: NativePlan) -> bool:
    gathers = any(
        isinstance(node.definition, Gathered)
        for nest in plan.nests.values()
        for part in nest.parts
        for node in part.nodes
    )
    return gathers or any(
        isinstance(step, Call) and _may_fail(step.definition) for step in plan.grouping.steps
    )


def _may_fail(definition: Stored) -> bool:
    if isinstance(definition, Routined):
        return definition.routine.may_fail
    return isinstance(definition, Scattered)


def keep_image(program: Program, image: Image) -> None:
    """Write an image to the cache, unless it is large or of a program that cannot be told apart."""
    arrays: Sequence[Array] = [
        each for each in (*image.constants, *image.inner_constants) if not isinstance(each, int)
    ]
    if sum([array.nbytes for array in arrays]) > _LARGEST_CONSTANTS:
        return
    name = _name(program)
    if name is not None:
        write_entry(name, pickle.dumps(image))


def find_image(program: Program) -> tuple[Image, bytes] | None:
    """Return the image of a program and its object code, if both are in the cache."""
    name = _name(program)
    entry = None if name is None else read_entry(name)
    if entry is None:
        return None
    image: Image = pickle.loads(entry)  # as trusted as the object code: see `cache`
    if not image.symbols:
        return image, b""
    code = read_entry(image.object_name)
    return None if code is None else (image, code)


def _name(program: Program) -> str | None:
    if cache_folder() is None:
        return None
    found = fingerprint(program)
    return None if found is None else f"{found}.image"
