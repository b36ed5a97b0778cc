"""Code: one function of LLVM IR while it is being written, as text.

Everything is explicit here: vectors have a fixed number of lanes, loops are written as loops, and
equal instructions are written once. LLVM then has nothing left to discover, so its optimiser is
not run at all; that is most of the difference between a build of 10 ms and one of 100.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from oplibrary.machine.module import Module
from oplibrary.machine.register import (
    BITS,
    FLOATS,
    SUFFIX,
    Operand,
    Register,
    literal,
    type_text,
)

_FLOAT_WORDS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv", "rem": "frem"}
_INTEGER_WORDS = {"add": "add", "sub": "sub", "mul": "mul", "div": "sdiv", "rem": "srem"}


@dataclass(slots=True)
class OpenLoop:
    """A loop that is being written.

    Attributes
    ----------
    index : Register
        The counter, i64.
    carried : list of Register
        What the round before handed on.
    """

    index: Register
    carried: list[Register]
    step: int
    stop: str
    head: str
    entry: str
    initial: list[Register]
    index_line: int
    carried_lines: list[int]
    start: str
    mark: int


@dataclass(slots=True)
class Code:
    """Write one function.

    Attributes
    ----------
    module : Module
        Where intrinsics are declared, and functions that this one calls.
    lanes : int
        How many elements a vector has in this function.
    number : callable
        ``number(n)`` returns the register of a whole number that only a run knows, or None for what
        is a number.
    """

    module: Module
    lanes: int = 1
    number: Callable[[Any], Register | None] = field(init=False)
    lines: list[str] = field(default_factory=list)
    allocations: list[str] = field(default_factory=list)
    block: str = "entry"
    _count: int = 0
    _known: dict[str, Register] = field(default_factory=dict)
    _order: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the numbers of the module be known."""
        self.number = self.module.numbers(self)

    # names and instructions ---------------------------------------------------------------------

    def _name(self) -> str:
        self._count += 1
        return f"%v{self._count}"

    def _label(self) -> str:
        self._count += 1
        return f"b{self._count}"

    def parameter(self, ref: str, element: str, lanes: int = 1) -> Register:
        """Return the register of a parameter of the function."""
        return Register(self, ref, element, lanes)

    def constant(self, value: Any, element: str, lanes: int = 1) -> Register:
        """Return a number, the same in every lane."""
        known_later = self.number(value)
        if known_later is not None:
            if element != known_later.element:
                known_later = self.cast("trunc", known_later, element)
            return self.splat(known_later, lanes)
        text = literal(value, element)
        if lanes > 1:
            text = f"splat ({element} {text})"
        return Register(self, text, element, lanes)

    def constants(self, values: Sequence[Any], element: str) -> Register:
        """Return one number a lane."""
        listed = ", ".join(f"{element} {literal(v, element)}" for v in values)
        return Register(self, f"<{listed}>", element, len(values))

    def pure(self, text: str, element: str, lanes: int) -> Register:
        """Return the result of an instruction without effects; equal ones are written once."""
        known = self._known.get(text)
        if known is None:
            known = self.effect(text, element, lanes)
            self._known[text] = known
            self._order.append(text)
        return known

    def effect(self, text: str, element: str, lanes: int) -> Register:
        """Write an instruction that has a result and must stay where it is."""
        ref = self._name()
        self.lines.append(f"  {ref} = {text}")
        return Register(self, ref, element, lanes)

    def statement(self, text: str) -> None:
        """Write an instruction that has no result."""
        self.lines.append(f"  {text}")

    def mark(self) -> int:
        """Return a point; see `forget`."""
        return len(self._order)

    def forget(self, mark: int) -> None:
        """Stop reusing what was written since `mark`, where control may not have passed."""
        for text in self._order[mark:]:
            del self._known[text]
        del self._order[mark:]

    # operands -----------------------------------------------------------------------------------

    def whole(self, n: Any) -> str:
        """Return the text of a whole number, an i64, which may be one that only a run knows."""
        if isinstance(n, Register):
            return n.ref
        found = self.number(n)
        return literal(n, "i64") if found is None else found.ref

    def coerce(self, x: Operand, like: Register) -> Register:
        """Return `x` with the element and at least the lanes of `like`."""
        if not isinstance(x, Register):
            return self.constant(x, like.element, like.lanes)
        return self.splat(x, like.lanes) if x.lanes == 1 and like.lanes > 1 else x

    def pair(self, x: Operand, y: Operand) -> tuple[Register, Register]:
        """Return two operands with the same element and lanes."""
        if isinstance(x, Register):
            y = self.coerce(y, x)
            x = self.coerce(x, y)
        else:
            assert isinstance(y, Register)
            x = self.coerce(x, y)
        assert x.element == y.element and x.lanes == y.lanes, (x, y)
        return x, y

    def splat(self, x: Register, lanes: int) -> Register:
        """Return a scalar repeated in every lane."""
        if lanes == 1 or x.lanes == lanes:
            return x
        if x.ref[0] not in "%@":
            return Register(self, f"splat ({x.element} {x.ref})", x.element, lanes)
        vector = type_text(x.element, lanes)
        one = self.pure(
            f"insertelement {vector} poison, {x.element} {x.ref}, i64 0", x.element, lanes
        )
        return self.pure(
            f"shufflevector {vector} {one.ref}, {vector} poison, <{lanes} x i32> zeroinitializer",
            x.element,
            lanes,
        )

    # arithmetic ---------------------------------------------------------------------------------

    def arithmetic(self, name: str, x: Operand, y: Operand) -> Register:
        """Write an addition, subtraction, multiplication, division or remainder."""
        a, b = self.pair(x, y)
        word = (_FLOAT_WORDS if a.element in FLOATS else _INTEGER_WORDS)[name]
        return self.pure(f"{word} {a.type} {a.ref}, {b.ref}", a.element, a.lanes)

    def bits(self, word: str, x: Operand, y: Operand) -> Register:
        """Write an instruction on bits."""
        a, b = self.pair(x, y)
        return self.pure(f"{word} {a.type} {a.ref}, {b.ref}", a.element, a.lanes)

    def compare(self, relation: str, x: Operand, y: Operand, signed: bool = True) -> Register:
        """Write a comparison, whose elements are i1."""
        a, b = self.pair(x, y)
        if a.element in FLOATS:
            word = "fcmp " + ("u" if relation == "ne" else "o") + relation
        else:
            plain = relation in ("eq", "ne") or a.element == "ptr"
            word = "icmp " + ("" if plain else "s" if signed else "u") + relation
        return self.pure(f"{word} {a.type} {a.ref}, {b.ref}", "i1", a.lanes)

    def select(self, condition: Register, x: Operand, y: Operand) -> Register:
        """Write the choice of `x` where the condition holds, else `y`."""
        a, b = self.pair(x, y)
        lanes = max(condition.lanes, a.lanes)
        condition, a, b = (self.splat(v, lanes) for v in (condition, a, b))
        if a.ref == b.ref:
            return a
        return self.pure(
            f"select {condition.type} {condition.ref}, {a.type} {a.ref}, {b.type} {b.ref}",
            a.element,
            lanes,
        )

    def cast(self, word: str, x: Register, element: str) -> Register:
        """Write a conversion."""
        target = type_text(element, x.lanes)
        return self.pure(f"{word} {x.type} {x.ref} to {target}", element, x.lanes)

    def call_intrinsic(self, name: str, *operands: Register) -> Register:
        """Write a call of an LLVM intrinsic whose operands and result have one type."""
        x = operands[0]
        suffix = SUFFIX.get(x.element, x.element)
        symbol = f"llvm.{name}.v{x.lanes}{suffix}" if x.lanes > 1 else f"llvm.{name}.{suffix}"
        self.module.declare(symbol, x.type, [o.type for o in operands])
        listed = ", ".join(f"{o.type} {o.ref}" for o in operands)
        return self.pure(f"call {x.type} @{symbol}({listed})", x.element, x.lanes)

    def fma(self, x: Operand, y: Operand, z: Operand) -> Register:
        """Write x * y + z with one rounding."""
        like = next(v for v in (x, y, z) if isinstance(v, Register))
        for v in (x, y, z):
            if isinstance(v, Register) and v.lanes > like.lanes:
                like = v
        return self.call_intrinsic("fma", *(self.coerce(v, like) for v in (x, y, z)))

    def polynomial(self, x: Register, coefficients: Sequence[float]) -> Register:
        """Write a polynomial by Horner's rule, the coefficients from the lowest power on."""
        *rest, last = coefficients
        result: Operand = last
        for c in reversed(rest):
            result = self.fma(result, x, c)
        assert isinstance(result, Register)
        return result

    def absolute(self, x: Register) -> Register:
        """Write |x| of a floating-point register."""
        return self.call_intrinsic("fabs", x)

    def copy_sign(self, magnitude: Register, sign: Register) -> Register:
        """Write the magnitude of one operand with the sign of the other."""
        return self.call_intrinsic("copysign", magnitude, self.coerce(sign, magnitude))

    def smaller(self, x: Register, y: Operand) -> Register:
        """Write the smaller of `x` and a `y` that is not NaN; `x` where it is NaN."""
        other = self.coerce(y, x)
        return self.select(other.less(x), other, x)

    def larger(self, x: Register, y: Operand) -> Register:
        """Write the larger of `x` and a `y` that is not NaN; `x` where it is NaN."""
        other = self.coerce(y, x)
        return self.select(other.greater(x), other, x)

    # lanes --------------------------------------------------------------------------------------

    def shuffle(self, x: Register, order: Sequence[int]) -> Register:
        """Return the lanes of `x` that `order` lists."""
        if len(order) == 1:
            return self.extract(x, order[0])
        mask = ", ".join(f"i32 {i}" for i in order)
        return self.pure(
            f"shufflevector {x.type} {x.ref}, {x.type} poison, <{len(order)} x i32> <{mask}>",
            x.element,
            len(order),
        )

    def join(self, parts: Sequence[Register]) -> Register:
        """Return the lanes of registers of one width, a power of two of them, one after another."""
        while len(parts) > 1:
            order = ", ".join(f"i32 {i}" for i in range(2 * parts[0].lanes))
            parts = [
                self.pure(
                    f"shufflevector {a.type} {a.ref}, {b.type} {b.ref}, "
                    f"<{2 * a.lanes} x i32> <{order}>",
                    a.element,
                    2 * a.lanes,
                )
                for a, b in zip(parts[::2], parts[1::2], strict=True)
            ]
        return parts[0]

    def extract(self, x: Register, lane: Register | int) -> Register:
        """Return one lane as a scalar."""
        if x.lanes == 1:
            return x
        index = lane.ref if isinstance(lane, Register) else str(lane)
        return self.pure(f"extractelement {x.type} {x.ref}, i64 {index}", x.element, 1)

    def insert(self, x: Register, value: Register, lane: Register | int) -> Register:
        """Return `x` with one lane replaced."""
        index = lane.ref if isinstance(lane, Register) else str(lane)
        return self.pure(
            f"insertelement {x.type} {x.ref}, {value.type} {value.ref}, i64 {index}",
            x.element,
            x.lanes,
        )

    def largest_lane(self, x: Register) -> Register:
        """Return the largest of the integers in the lanes."""
        if x.lanes == 1:
            return x
        symbol = f"llvm.vector.reduce.smax.v{x.lanes}{x.element}"
        self.module.declare(symbol, x.element, [x.type])
        return self.pure(f"call {x.element} @{symbol}({x.type} {x.ref})", x.element, 1)

    def any_lane(self, mask: Register) -> Register:
        """Tell whether the condition holds in any lane."""
        if mask.lanes == 1:
            return mask
        symbol = f"llvm.vector.reduce.or.v{mask.lanes}i1"
        self.module.declare(symbol, "i1", [mask.type])
        return self.pure(f"call i1 @{symbol}({mask.type} {mask.ref})", "i1", 1)

    # memory -------------------------------------------------------------------------------------

    def address(self, base: Register, offset: Register | int, element: str) -> Register:
        """Return the address of the element at `offset`."""
        if isinstance(offset, int) and offset == 0:
            return base
        text = self.whole(offset)
        return self.pure(f"getelementptr inbounds {element}, ptr {base.ref}, i64 {text}", "ptr", 1)

    def load(self, address: Register, element: str, lanes: int = 1, align: int = 0) -> Register:
        """Read `lanes` elements that lie together."""
        bytes_ = align or max(BITS[element] // 8, 1)
        return self.effect(
            f"load {type_text(element, lanes)}, ptr {address.ref}, align {bytes_}", element, lanes
        )

    def store(self, x: Register, address: Register, align: int = 0) -> None:
        """Write elements that lie together."""
        bytes_ = align or max(BITS[x.element] // 8, 1)
        self.statement(f"store {x.type} {x.ref}, ptr {address.ref}, align {bytes_}")

    def allocate(self, element: str, count: int) -> Register:
        """Return memory on the stack that lasts as long as the function runs."""
        ref = self._name()
        self.allocations.append(f"  {ref} = alloca [{count} x {element}], align 64")
        return Register(self, ref, "ptr", 1)

    # control ------------------------------------------------------------------------------------

    def begin_block(self, label: str) -> None:
        """Start the block `label`."""
        self.lines.append(f"{label}:")
        self.block = label

    def jump(self, label: str) -> None:
        """End the block by going on at `label`."""
        self.statement(f"br label %{label}")

    def branch(self, condition: Register, yes: str, no: str) -> None:
        """End the block by going on at one of two labels."""
        self.statement(f"br i1 {condition.ref}, label %{yes}, label %{no}")

    def new_label(self) -> str:
        """Return a label that is not in use."""
        return self._label()

    def begin_loop(
        self, start: Register | int, stop: Register | int, step: int, carried: Sequence[Register]
    ) -> OpenLoop:
        """Begin a loop of one round or more, its counter going from `start` to below `stop`."""
        head, entry = self._label(), self.block
        first, last = self.whole(start), self.whole(stop)
        self.jump(head)
        mark = self.mark()
        self.begin_block(head)
        index_line = len(self.lines)
        index = Register(self, self._name(), "i64", 1)
        self.lines.append("")
        registers, lines = [], []
        for x in carried:
            lines.append(len(self.lines))
            self.lines.append("")
            registers.append(Register(self, self._name(), x.element, x.lanes))
        return OpenLoop(
            index,
            registers,
            step,
            last,
            head,
            entry,
            list(carried),
            index_line,
            lines,
            first,
            mark,
        )

    def end_loop(self, loop: OpenLoop, carried: Sequence[Register]) -> list[Register]:
        """End a loop; return what its last round hands on."""
        following = self.effect(f"add nsw i64 {loop.index.ref}, {loop.step}", "i64", 1)
        again = self.effect(f"icmp slt i64 {following.ref}, {loop.stop}", "i1", 1)
        done = self._label()
        tail = self.block
        self.branch(again, loop.head, done)
        self.lines[loop.index_line] = (
            f"  {loop.index.ref} = phi i64 [{loop.start}, %{loop.entry}], "
            f"[{following.ref}, %{tail}]"
        )
        for line, register, initial, x in zip(
            loop.carried_lines, loop.carried, loop.initial, carried, strict=True
        ):
            self.lines[line] = (
                f"  {register.ref} = phi {x.type} [{initial.ref}, %{loop.entry}], "
                f"[{x.ref}, %{tail}]"
            )
        self.forget(loop.mark)
        self.begin_block(done)
        return list(carried)

    def merge(self, choices: Sequence[tuple[Register, str]]) -> Register:
        """Return the value that the block control came from hands on."""
        x = choices[0][0]
        listed = ", ".join(f"[{r.ref}, %{label}]" for r, label in choices)
        return self.effect(f"phi {x.type} {listed}", x.element, x.lanes)
