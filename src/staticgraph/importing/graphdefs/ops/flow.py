"""TensorFlow's branches and loops over functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from staticgraph.importing.graphdefs.ops.table import entry, is_known


def _tupled(xp: Any, block: Any) -> Any:
    return lambda *values: tuple([xp.asarray(x) for x in block(*values)])


@entry("If", "StatelessIf", ignored="Tcond Tin Tout output_shapes")
def _if(xp: Any, cond: Any, input: Any, then_branch: Any, else_branch: Any) -> Any:
    if is_known(cond):
        return list((then_branch if _is_true(cond) else else_branch)(*input))
    branches = [_tupled(xp, each) for each in (then_branch, else_branch)]
    return _listed(xp.cond(_condition(xp, cond), *branches, *_values(xp, input)))


def _is_true(value: Any) -> bool:
    """Tell what TensorFlow takes for true: a number that is not 0, an array that is not empty."""
    return bool(value) if not value.shape else bool(value.size)


def _condition(xp: Any, value: Any) -> Any:
    return value if value.dtype.kind == "b" else xp.not_equal(value, 0)


@entry("Case", "StatelessCase", ignored="Tin Tout output_shapes")
def _case(xp: Any, branch_index: Any, input: Any, branches: Sequence[Any]) -> Any:
    count = len(branches)
    if is_known(branch_index):
        at = int(branch_index)
        return list(branches[at if 0 <= at < count else count - 1](*input))
    # outside means the last branch, on both sides
    inside = xp.logical_and(branch_index >= 0, branch_index < count)
    index = xp.where(inside, branch_index, count - 1)
    chosen = [_tupled(xp, each) for each in branches]
    return _listed(xp.switch(index, chosen, *_values(xp, input)))


def _listed(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def _values(xp: Any, xs: Sequence[Any]) -> list[Any]:
    return [xp.asarray(x) for x in xs]


@entry("While", "StatelessWhile", ignored="T output_shapes parallel_iterations")
def _while(xp: Any, input: Any, cond: Any, body: Any, moving: Sequence[bool]) -> Any:
    """Run a loop; what the body hands on as it is stays outside, where it may be known."""

    def whole(carry: Sequence[Any]) -> list[Any]:
        rest = iter(carry)
        return [next(rest) if m else x for x, m in zip(input, moving, strict=True)]

    def advanced(carry: Any) -> tuple[Any, ...]:
        results = zip(body(*whole(carry)), moving, strict=True)
        return tuple([xp.asarray(x) for x, m in results if m])

    start = tuple([xp.asarray(x) for x, m in zip(input, moving, strict=True) if m])
    found = xp.while_loop(lambda carry: xp.asarray(cond(*whole(carry))[0]), advanced, start)
    return whole(found)
