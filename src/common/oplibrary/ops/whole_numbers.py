"""Divisors, multiples and bits of whole numbers, and the remainder with the sign of the dividend.

They have no scalar expression: each is a loop or a bit trick of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.batching import elementwise
from oplibrary.core.op import Example, Kind, Op, example, public, register
from oplibrary.core.rules import elementwise_infer
from oplibrary.ops.elementwise import divide, floor_divide, remainder
from oplibrary.ops.rounding import trunc
from oplibrary.tangents.families import symmetric

_ROW = np.array([12, -18, 0, 7, 30])
_PAIRS = (
    example(_ROW, np.array([8, 12, 5, 0, -20])),
    example(_ROW, np.array([[4], [9]])),
    example(_ROW.astype(np.int8), np.array(6, np.int8)),
)

fmod = register(
    Op(
        name="fmod",
        kind=Kind.OPAQUE,
        arity=2,
        kernel=np.fmod,
        infer=elementwise_infer("fmod", np.fmod),
        vjp=(
            lambda g, _out, _x, _y: g,
            lambda g, _out, x, y: -(g * trunc(divide(x, y))),
        ),
        jvp=symmetric,
        takes_out=True,
        domain=(0.5, 2.0),
        examples=(example((3, 4), (4,)), example((), (2, 3)), example(_ROW, np.array([[5], [-4]]))),
        batch=elementwise,
        doc="Return x - y * trunc(x / y), which has the sign of x.",
    )
)


def _of_whole_numbers(
    name: str, ufunc: np.ufunc, arity: int, examples: tuple[Example, ...], doc: str
) -> Op:
    def kernel(*operands: Any) -> Any:
        return ufunc(*operands[:arity], **({"out": operands[arity]} if operands[arity:] else {}))

    return register(
        Op(
            name=name,
            kind=Kind.OPAQUE,
            arity=arity,
            kernel=kernel,
            infer=elementwise_infer(name, ufunc),
            takes_out=True,
            examples=examples,
            batch=elementwise,
            doc=doc,
        )
    )


gcd = _of_whole_numbers(
    "gcd", np.gcd, 2, _PAIRS, "Return the greatest common divisor, which is not negative."
)
lcm = _of_whole_numbers(
    "lcm", np.lcm, 2, _PAIRS, "Return the least common multiple, which is not negative."
)
bitwise_count = _of_whole_numbers(
    "bitwise_count",
    np.bitwise_count,
    1,
    (example(_ROW), example(_ROW.astype(np.int8))),
    "Return how many bits of the magnitude of x are 1, as uint8.",
)


@public
def divmod(x: Any, y: Any) -> tuple[Any, Any]:
    """Return ``floor_divide(x, y)`` and ``remainder(x, y)``.

    Examples
    --------
    >>> [part.tolist() for part in divmod(np.array([7, -7]), 3)]
    [[2, -3], [1, 2]]
    """
    return floor_divide(x, y), remainder(x, y)
