"""The passes in order, and what runs them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

from oplibrary.messages.errors import ArgumentError, PassError
from staticgraph.passes.absorb_broadcasts import absorb_broadcasts
from staticgraph.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from staticgraph.passes.eliminate_dead_code import eliminate_dead_code
from staticgraph.passes.fold_constants import fold_constants
from staticgraph.passes.fuse_elementwise import fuse_elementwise
from staticgraph.passes.merge_views import merge_views
from staticgraph.passes.reorder_for_memory import reorder_for_memory
from staticgraph.passes.simplify_algebra import simplify_algebra
from staticgraph.passes.skip_unused_results import skip_unused_results
from staticgraph.program.program import Program
from staticgraph.program.verify import verify as verify_program

Pass = Callable[[Program], Program]
"""A pure function from a program to a program; the same object means that nothing changed."""

DEFAULT_PASSES: tuple[Pass, ...] = (
    fold_constants,
    merge_views,
    simplify_algebra,
    absorb_broadcasts,
    eliminate_common_subexpressions,
    eliminate_dead_code,
    skip_unused_results,
    reorder_for_memory,
    fuse_elementwise,
)


class PassRecord(NamedTuple):
    """What one pass did.

    Attributes
    ----------
    name : str
    seconds : float
    before, after : int
        Numbers of instructions.
    program : Program
        The program after the pass; the same object as before it if nothing changed.
    changed : bool
    """

    name: str
    seconds: float
    before: int
    after: int
    program: Program
    changed: bool


Observer = Callable[[PassRecord], object]


def pass_name(each: Pass) -> str:
    """Return the name by which a pass is switched off and reported."""
    return getattr(each, "__name__", type(each).__name__)


def without(*names: str) -> tuple[Pass, ...]:
    """Return the default passes without those named.

    Raises
    ------
    ArgumentError
        If there is no such pass.

    Examples
    --------
    >>> [each.__name__ for each in without("fuse_elementwise", "merge_views")][:2]
    ['fold_constants', 'simplify_algebra']
    """
    known = [pass_name(each) for each in DEFAULT_PASSES]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ArgumentError(
                f"without: there is no pass {name!r}",
                cause=f"the passes are {', '.join(known)}",
                fix=f"did you mean {near[0]!r}?" if near else "name one of those",
            )
    return tuple(each for each in DEFAULT_PASSES if pass_name(each) not in names)


def fix_of(each: Pass) -> str:
    """Return the fix for a pass that is wrong."""
    name = pass_name(each)
    if each in DEFAULT_PASSES:
        return f'switch the pass off with passes=without("{name}"), and report it'
    return f"correct {name}: a pass keeps every bit"


def run_passes(
    program: Program,
    passes: Sequence[Pass],
    verify: bool = False,
    observer: Observer | None = None,
) -> Program:
    """Return the program that `passes`, one after the other, make of `program`.

    Parameters
    ----------
    program : Program
    passes : sequence of callable
    verify : bool
        Prove the program before the first pass and after each one.
    observer : callable, optional
        Called with a `PassRecord` after each pass.

    Raises
    ------
    PassError
        With `verify`, if a pass breaks the program: it names the pass and the instruction.
    """
    if verify:
        verify_program(program)
    for each in passes:
        started = perf_counter()
        result = each(program)
        seconds = perf_counter() - started
        name = pass_name(each)
        if verify and result is not program:
            try:
                verify_program(result, after=name)
            except PassError as error:
                error.fix = fix_of(each)
                raise
        if observer is not None:
            before, after = len(program.instructions), len(result.instructions)
            changed = result is not program
            observer(PassRecord(name, seconds, before, after, result, changed))
        program = result
    return program
