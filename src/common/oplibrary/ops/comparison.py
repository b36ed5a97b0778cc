"""Comparisons, logic, tests of floating-point numbers, and bits; none has a gradient."""

from __future__ import annotations

import numpy as np

from oplibrary.core.op import Example, Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.core.rules import BINARY_EXAMPLES, UNARY_EXAMPLES, binary, elementwise_infer, unary

# comparisons --------------------------------------------------------------------------------------

# ties, NaN and both zeros, which random operands never show
_SPECIAL = np.array([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, -1.0])
_COMPARISON_EXAMPLES = (
    *BINARY_EXAMPLES,
    example(_SPECIAL, _SPECIAL),
    example(_SPECIAL, _SPECIAL[:, None]),
)

equal = binary(
    "equal",
    np.equal,
    expr="{0} == {1}",
    alias=("eq",),
    commutative=True,
    examples=_COMPARISON_EXAMPLES,
    doc="Return whether x equals y, element by element.",
)
not_equal = binary(
    "not_equal",
    np.not_equal,
    expr="{0} != {1}",
    alias=("ne",),
    commutative=True,
    examples=_COMPARISON_EXAMPLES,
    doc="Return whether x differs from y, element by element.",
)
less = binary(
    "less",
    np.less,
    expr="{0} < {1}",
    alias=("lt",),
    examples=_COMPARISON_EXAMPLES,
    doc="Return whether x is less than y.",
)
less_equal = binary(
    "less_equal",
    np.less_equal,
    expr="{0} <= {1}",
    alias=("le",),
    examples=_COMPARISON_EXAMPLES,
    doc="Return whether x is at most y.",
)
greater = binary(
    "greater",
    np.greater,
    expr="{0} > {1}",
    alias=("gt",),
    examples=_COMPARISON_EXAMPLES,
    doc="Return whether x is greater than y.",
)
greater_equal = binary(
    "greater_equal",
    np.greater_equal,
    expr="{0} >= {1}",
    alias=("ge",),
    examples=_COMPARISON_EXAMPLES,
    doc="Return whether x is at least y.",
)

# logic --------------------------------------------------------------------------------------------

_TRUTH = np.array([True, False])
_LOGIC_EXAMPLES = (
    *BINARY_EXAMPLES,
    example(_TRUTH, _TRUTH[:, None]),
    example(_SPECIAL, _SPECIAL[:, None]),
)

_TEST_EXAMPLES = (*UNARY_EXAMPLES, example(_TRUTH), example(_SPECIAL))
"""Numbers that are drawn are never 0, infinite or NaN."""

# `and`, `or` and `not` would return an operand, and NaN counts as true
logical_and = binary(
    "logical_and",
    np.logical_and,
    expr="({0} != 0) & ({1} != 0)",
    commutative=True,
    examples=_LOGIC_EXAMPLES,
    doc="Return whether both x and y are true; every number but 0 is.",
)
logical_or = binary(
    "logical_or",
    np.logical_or,
    expr="({0} != 0) | ({1} != 0)",
    commutative=True,
    examples=_LOGIC_EXAMPLES,
    doc="Return whether x or y is true; every number but 0 is.",
)
logical_xor = binary(
    "logical_xor",
    np.logical_xor,
    expr="({0} != 0) ^ ({1} != 0)",
    commutative=True,
    examples=_LOGIC_EXAMPLES,
    doc="Return whether exactly one of x and y is true; every number but 0 is.",
)
logical_not = unary(
    "logical_not",
    np.logical_not,
    expr="{0} == 0",
    examples=_TEST_EXAMPLES,
    doc="Return whether x is false; only 0 is.",
)

# tests --------------------------------------------------------------------------------------------

isnan = unary(
    "isnan",
    np.isnan,
    expr="{0} != {0}",
    examples=_TEST_EXAMPLES,
    doc="Return whether x is NaN.",
)
isinf = unary(
    "isinf",
    np.isinf,
    expr="abs(real({0})) == inf or abs(imag({0})) == inf",
    examples=_TEST_EXAMPLES,
    doc="Return whether x is infinite.",
)
isfinite = unary(
    "isfinite",
    np.isfinite,
    expr="abs(real({0})) < inf and abs(imag({0})) < inf",
    examples=_TEST_EXAMPLES,
    doc="Return whether x is neither infinite nor NaN.",
)

# bits ---------------------------------------------------------------------------------------------

_WORDS = np.array([0, 1, 6, 255, -1, -128], np.int64)
_BYTES = np.array([[0], [1], [7]], np.uint8)
_BIT_EXAMPLES: tuple[Example, ...] = (
    example(_WORDS, _WORDS[::-1].copy()),
    example(_WORDS, _BYTES),
    example(_TRUTH, _TRUTH[:, None]),
)
_SHIFT_EXAMPLES = (
    example(_WORDS, np.array([0, 1, 2, 3, 4, 62], np.int64)),
    example(_WORDS, _BYTES),
)

bitwise_and = binary(
    "bitwise_and",
    np.bitwise_and,
    expr="{0} & {1}",
    commutative=True,
    unit=-1,
    examples=_BIT_EXAMPLES,
    doc="Return the bits that integers x and y both have.",
)
bitwise_or = binary(
    "bitwise_or",
    np.bitwise_or,
    expr="{0} | {1}",
    commutative=True,
    unit=0,
    examples=_BIT_EXAMPLES,
    doc="Return the bits that integer x or y has.",
)
bitwise_xor = binary(
    "bitwise_xor",
    np.bitwise_xor,
    expr="{0} ^ {1}",
    commutative=True,
    unit=0,
    examples=_BIT_EXAMPLES,
    doc="Return the bits that exactly one of the integers x and y has.",
)
bitwise_left_shift = binary(
    "bitwise_left_shift",
    np.left_shift,
    expr="{0} << {1}",
    unit=0,
    examples=_SHIFT_EXAMPLES,
    doc="Return x times 2**y in integers; bits pushed out are lost.",
)
bitwise_right_shift = binary(
    "bitwise_right_shift",
    np.right_shift,
    expr="{0} >> {1}",
    unit=0,
    examples=_SHIFT_EXAMPLES,
    doc="Return x divided by 2**y in integers, rounded down.",
)
bitwise_invert = register(
    Op(
        name="bitwise_invert",
        kind=Kind.ELEMENTWISE,
        arity=1,
        kernel=np.invert,
        infer=elementwise_infer("bitwise_invert", np.invert),
        expr="~{0}",
        alias=("bitwise_not",),
        takes_out=True,
        examples=(example(_WORDS), example(_TRUTH)),
        doc="Return integer x with every bit flipped.",
    )
)
