"""Registers: the values of a function of LLVM IR, with the operators that write instructions."""

from __future__ import annotations

import struct
from typing import Any, Protocol

import numpy as np

FLOATS = frozenset({"half", "float", "double"})
BITS = {
    "i1": 1,
    "i8": 8,
    "i16": 16,
    "i32": 32,
    "i64": 64,
    "i128": 128,
    "half": 16,
    "float": 32,
    "double": 64,
    "ptr": 64,
}
SUFFIX = {"half": "f16", "float": "f32", "double": "f64"}
INTEGER_OF = {"half": "i16", "float": "i32", "double": "i64"}

_types: dict[tuple[str, int], str] = {}


def type_text(element: str, lanes: int) -> str:
    """Return the LLVM type of `lanes` elements."""
    key = (element, lanes)
    text = _types.get(key)
    if text is None:
        text = _types[key] = element if lanes == 1 else f"<{lanes} x {element}>"
    return text


def literal(value: Any, element: str) -> str:
    """Return the LLVM spelling of a number; a float that does not fit is rounded to `element`."""
    if element == "float":
        value = np.float32(value)
    elif element == "half":
        return f"0xH{int(np.float16(value).view(np.uint16)):04X}"
    if element in FLOATS:
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    if element == "i1":
        return "true" if value else "false"
    return str(int(value))


class Instructions(Protocol):
    """What the operators of a register call to write instructions."""

    def pure(self, text: str, element: str, lanes: int) -> Register:
        """Return the result of an instruction without effects."""

    def arithmetic(self, name: str, x: Operand, y: Operand) -> Register:
        """Write an addition, subtraction, multiplication, division or remainder."""

    def bits(self, word: str, x: Operand, y: Operand) -> Register:
        """Write an instruction on bits."""

    def compare(self, relation: str, x: Operand, y: Operand) -> Register:
        """Write a comparison, whose elements are i1."""

    def cast(self, word: str, x: Register, element: str) -> Register:
        """Write a conversion."""


class Register:
    """A value of a function: `lanes` elements, assigned once.

    Infix operators write the instruction; a Python number beside a register becomes a constant of
    its type, and a scalar register beside a vector is repeated in every lane.
    """

    __slots__ = ("code", "element", "lanes", "ref")

    def __init__(self, code: Instructions, ref: str, element: str, lanes: int) -> None:
        self.code = code
        self.ref = ref
        self.element = element
        self.lanes = lanes

    @property
    def type(self) -> str:
        """The LLVM type."""
        return type_text(self.element, self.lanes)

    @property
    def is_float(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self.element in FLOATS

    def __repr__(self) -> str:
        return f"{self.type} {self.ref}"

    def __add__(self, other: Operand) -> Register:
        return self.code.arithmetic("add", self, other)

    def __sub__(self, other: Operand) -> Register:
        return self.code.arithmetic("sub", self, other)

    def __mul__(self, other: Operand) -> Register:
        return self.code.arithmetic("mul", self, other)

    def __truediv__(self, other: Operand) -> Register:
        return self.code.arithmetic("div", self, other)

    def __radd__(self, other: Operand) -> Register:
        return self.code.arithmetic("add", other, self)

    def __rsub__(self, other: Operand) -> Register:
        return self.code.arithmetic("sub", other, self)

    def __rmul__(self, other: Operand) -> Register:
        return self.code.arithmetic("mul", other, self)

    def __rtruediv__(self, other: Operand) -> Register:
        return self.code.arithmetic("div", other, self)

    def __neg__(self) -> Register:
        if self.is_float:
            return self.code.pure(f"fneg {self.type} {self.ref}", self.element, self.lanes)
        return self.code.arithmetic("sub", 0, self)

    def __and__(self, other: Operand) -> Register:
        return self.code.bits("and", self, other)

    def __or__(self, other: Operand) -> Register:
        return self.code.bits("or", self, other)

    def __xor__(self, other: Operand) -> Register:
        return self.code.bits("xor", self, other)

    def __lshift__(self, other: Operand) -> Register:
        return self.code.bits("shl", self, other)

    def __rshift__(self, other: Operand) -> Register:
        """Shift right, repeating the sign bit."""
        return self.code.bits("ashr", self, other)

    def shift_right_unsigned(self, other: Operand) -> Register:
        """Shift right, filling with zeros."""
        return self.code.bits("lshr", self, other)

    def __invert__(self) -> Register:
        return self.code.bits("xor", self, True if self.element == "i1" else -1)

    # comparisons are ordered: false where an operand is NaN, except `differs`
    def less(self, other: Operand) -> Register:
        """Write: whether it is less."""
        return self.code.compare("lt", self, other)

    def less_equal(self, other: Operand) -> Register:
        """Write: whether it is less or equal."""
        return self.code.compare("le", self, other)

    def greater(self, other: Operand) -> Register:
        """Write: whether it is greater."""
        return self.code.compare("gt", self, other)

    def greater_equal(self, other: Operand) -> Register:
        """Write: whether it is greater or equal."""
        return self.code.compare("ge", self, other)

    def equals(self, other: Operand) -> Register:
        """Write: whether it is equal."""
        return self.code.compare("eq", self, other)

    def differs(self, other: Operand) -> Register:
        """Write: whether it is another number; also where one is NaN."""
        return self.code.compare("ne", self, other)

    def is_nan(self) -> Register:
        """Write: whether it is NaN."""
        return self.code.pure(f"fcmp uno {self.type} {self.ref}, {self.ref}", "i1", self.lanes)

    def is_null(self) -> Register:
        """Write: whether an address is none."""
        return self.code.pure(f"icmp eq ptr {self.ref}, null", "i1", 1)

    def as_integer(self) -> Register:
        """The bits of a floating-point register."""
        return self.code.cast("bitcast", self, INTEGER_OF[self.element])

    def as_float(self) -> Register:
        """The floating-point number that the bits of an integer register are."""
        element = {"i16": "half", "i32": "float", "i64": "double"}[self.element]
        return self.code.cast("bitcast", self, element)


Operand = Register | float | int | bool
