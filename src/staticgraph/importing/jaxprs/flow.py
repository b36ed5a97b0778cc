"""JAX's branches and loops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from staticgraph.importing.jaxprs.table import TABLE


def _values(xp: Any, xs: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([xp.asarray(x) for x in xs])


@TABLE.entry("platform_index")
def _platform_index(xp: Any, platforms: Any) -> Any:
    """Return which branch is that of the processor; None stands for all other platforms."""
    found = (i for i, names in enumerate(platforms) if names is None or "cpu" in names)
    return xp.asarray(np.array(next(found), np.dtype("int32")))


@TABLE.entry("cond", ignored=("branches_platforms",))
def _cond(xp: Any, index: Any, *operands: Any, branches: Any) -> Any:
    if isinstance(index, np.ndarray):  # it is known, as the platform is
        return branches[int(index)](*operands)
    return xp.switch(index, [_tupled(each) for each in branches], *_values(xp, operands))


def _tupled(block: Any) -> Any:
    return lambda *values: tuple(block(*values))


@TABLE.entry("while")
def _while(
    xp: Any,
    *operands: Any,
    cond_nconsts: int,
    cond_jaxpr: Any,
    body_nconsts: int,
    body_jaxpr: Any,
) -> Any:
    of_condition = operands[:cond_nconsts]
    of_body = operands[cond_nconsts : cond_nconsts + body_nconsts]

    start = _values(xp, operands[cond_nconsts + body_nconsts :])

    def holds(carry: Any) -> Any:
        return cond_jaxpr(*of_condition, *carry)[0]

    def step(carry: Any) -> tuple[Any, ...]:
        return tuple(body_jaxpr(*of_body, *carry))

    rank = len(holds(start).shape)
    if not rank:
        return xp.while_loop(holds, step, start)

    def step_of_some(carry: Any) -> tuple[Any, ...]:
        """Step where the condition holds: these are loops of several examples."""
        going, later = holds(carry), map(xp.asarray, step(carry))
        return tuple(
            [
                xp.where(xp.reshape(going, (*going.shape, *(1,) * (len(y.shape) - rank))), y, x)
                for x, y in zip(carry, later, strict=True)
            ]
        )

    return xp.while_loop(lambda carry: xp.any(holds(carry)), step_of_some, start)


@TABLE.entry("scan", ignored=("linear", "unroll", "_split_transpose"))
def _scan(
    xp: Any,
    *operands: Any,
    jaxpr: Any,
    length: int,
    reverse: bool,
    num_consts: int,
    num_carry: int,
) -> Any:
    constants = operands[:num_consts]
    carry = _values(xp, operands[num_consts : num_consts + num_carry])
    xs = _values(xp, operands[num_consts + num_carry :])

    def body(carry: Any, x: Any) -> Any:
        results = jaxpr(*constants, *carry, *(x if xs else ()))
        return tuple(_values(xp, results[:num_carry])), tuple(_values(xp, results[num_carry:]))

    given = {} if xs else {"length": length}
    last, ys = xp.scan(body, carry, xs or None, reverse=reverse, **given)
    return [*last, *ys]
