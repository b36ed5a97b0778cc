"""Draws from the stream of a key: bits, numbers of an interval, and what NumPy's functions draw.

Bits and numbers of an interval are computed from their place in the stream. What takes as many
numbers as chance wants, such as the normal distribution, is drawn by the functions that NumPy has
for compiled code: they are given the stream as a generator of NumPy's, made of machine code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from oplibrary.core.expression import Expression, parse_expression
from oplibrary.machine.code import Code
from oplibrary.machine.elements import FLOAT32, FLOAT64, element_of
from oplibrary.machine.expressions.writing import write_expression
from oplibrary.machine.foreign.functions import declare
from oplibrary.machine.memory_access import Index
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines import philox
from oplibrary.machine.routines.routine import Routine, each_from, each_of, weighed, when
from oplibrary.machine.target import host_target
from oplibrary.values.types import TensorType

WORD = np.dtype(np.uint64)
_SPLIT = 1 << 63
"""The uppermost part of the counters of keys that are split from a key."""
NANOSECONDS = 1.0
"""About what a number of the stream takes."""
_DRAWN_NANOSECONDS = 5.0
_INTERVAL = parse_expression("min({0} * {scale} + {low}, {last})")
_BITS = {FLOAT32: 24, FLOAT64: 53}
"""How many bits of a number of the stream, or of a half of one, a fraction has."""


# what is computed from its place in the stream ----------------------------------------------------


def bits(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of the stream itself."""
    return _placed("bits", result, 0, lambda _, words: words)


def keys(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of new keys."""
    return _placed("keys", result, _SPLIT, lambda _, words: words)


def interval(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of numbers that are uniformly distributed in an interval."""
    dtype, low, high = result.dtype, attrs["low"], attrs["high"]
    expression = None
    if low != 0.0 or high != 1.0:
        last = np.nextafter(dtype.type(high), dtype.type(low))
        expression = _INTERVAL.bind({"scale": float(high - low), "low": float(low), "last": last})

    def convert(code: Code, words: Register) -> Register:
        return _fractions(code, words, dtype, expression)

    return _placed(f"interval {expression!r}", result, 0, convert)


def _fractions(code: Code, words: Register, dtype: Any, expression: Expression | None) -> Register:
    """Write numbers in [0, 1) of random bits, or what an expression makes of them."""
    if dtype == FLOAT32:  # the lower half of a number comes first
        halves = 2 * words.lanes
        words = code.pure(f"bitcast {words.type} {words.ref} to <{halves} x i32>", "i32", halves)
    count = _BITS[dtype]
    bits = words.shift_right_unsigned({"i32": 32, "i64": 64}[words.element] - count)
    found = code.cast("sitofp", bits, element_of(dtype)) * 2.0**-count
    return (
        found if expression is None else write_expression(code, expression, [(found, dtype)], dtype)
    )


def _placed(
    name: str, result: TensorType, above: int, convert: Callable[[Code, Register], Register]
) -> Routine:
    """Return the routine of elements that `convert` makes of each block of the stream."""
    element, size = element_of(result.dtype), result.size
    parts = 2 if result.dtype == FLOAT32 else 1
    one = philox.WORDS * parts

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        key = _key_at(code, operands[0])

        def some(at: Index, count: int) -> Register:
            return convert(code, philox.blocks_from(code, key, at, above, count))

        def store(at: Index, found: Register) -> None:
            offset = at * one
            code.store(found, code.address(target, offset, element))

        blocks, together = size // one, philox.lanes(code)
        full = blocks // together * together
        each_from(code, 0, full, together, lambda at: store(at, some(at, together)))
        each_from(code, full, blocks, 1, lambda at: store(at, some(at, 1)))

        def begin(at: Register) -> None:
            """Store what there is of a block that is not whole."""
            found = some(at, 1)
            known = isinstance(size, int)
            for lane in range(size % one if known else one - 1):
                place = blocks * one + lane
                write = partial(store_lane, found, lane, place)
                if known:
                    write()
                else:
                    when(code, code.constant(place, "i64").less(code.constant(size, "i64")), write)

        def store_lane(found: Register, lane: int, place: int) -> None:
            code.store(code.extract(found, lane), code.address(target, place, element))

        each_from(code, blocks, -(-size // one), 1, begin)

    work = NANOSECONDS * weighed(size) / parts
    return Routine((name, result.dtype, size), (WORD,), write, 8, work)


def _key_at(code: Code, address: Register) -> list[Register]:
    return [code.load(code.address(address, number, "i64"), "i64") for number in range(2)]


# what NumPy's functions draw ----------------------------------------------------------------------


def _drawn(
    name: str,
    result: TensorType,
    function: str,
    write_call: Callable[[Code, Register, Register], None],
    key: tuple[int, ...] = (),
) -> Routine:
    """Return the routine that a function of NumPy's draws; `write_call` writes its call."""
    declare(Module(host_target()), function)  # refuses what is not there

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        declare(code.module, function)
        generator = generator_of(code, operands[0])
        write_call(code, generator, target)

    work = _DRAWN_NANOSECONDS * weighed(result.size)
    return Routine((name, result, key), (WORD,), write, 1, work)


def normal(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of the standard normal distribution."""
    function = "random_standard_normal_fill" + ("_f" if result.dtype == FLOAT32 else "")

    def call(code: Code, generator: Register, target: Register) -> None:
        arguments = f"ptr {generator.ref}, i64 {code.whole(result.size)}, ptr {target.ref}"
        code.statement(f"call void @{function}({arguments})")

    return _drawn("normal", result, function, call)


def integers(types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]) -> Routine:
    """Return the routine of integers that are uniformly distributed in an interval."""
    low, high = int(attrs["low"]), int(attrs["high"])
    distance = high - 1 - low
    distance -= (distance >> 63) << 64  # as LLVM writes it

    def call(code: Code, generator: Register, target: Register) -> None:
        count = code.whole(result.size)
        arguments = f"i64 {low}, i64 {distance}, i64 {count}, i8 zeroext 0, ptr {target.ref}"
        code.statement(f"call void @random_bounded_uint64_fill(ptr {generator.ref}, {arguments})")

    return _drawn("integers", result, "random_bounded_uint64_fill", call, (low, high))


def permutation(
    types: Sequence[TensorType], result: TensorType, attrs: Mapping[str, Any]
) -> Routine:
    """Return the routine of whole numbers, of which each has changed places with another."""

    def call(code: Code, generator: Register, target: Register) -> None:
        def begin(at: Index) -> None:
            value = at if isinstance(at, Register) else code.constant(at, "i64")
            code.store(value, code.address(target, at, "i64"))

        def change(round: Index) -> None:
            at = code.constant(result.size - 1, "i64") - round
            arguments = f"ptr {generator.ref}, i64 {at.ref}"
            other = code.effect(f"call i64 @random_interval({arguments})", "i64", 1)
            places = [code.address(target, each, "i64") for each in (at, other)]
            one, another = (code.load(place, "i64") for place in places)
            code.store(another, places[0])
            code.store(one, places[1])

        each_of(code, result.size, begin)
        each_from(code, 0, result.size - 1, 1, change)

    return _drawn("permutation", result, "random_interval", call)


# a generator of NumPy's ---------------------------------------------------------------------------

# the words of a generator, of 8 bytes: what NumPy reads (``numpy/random/bitgen.h``), then our own
_STATE, _NEXT = 0, 1
_KEY, _BLOCK, _PLACE, _HALVES, _HALF, _BUFFER = 5, 7, 8, 9, 10, 16


def generator_of(code: Code, key: Register) -> Register:
    """Write a generator at the start of the stream of a key, and return its address."""
    module = code.module
    together = philox.lanes(code)
    count = philox.WORDS * together
    generator = code.allocate("i64", _BUFFER + count)

    def word(number: int) -> Register:
        return code.address(generator, number, "i64")

    code.store(generator, word(_STATE))
    functions = [("next_64", "i64"), ("next_32", "i32"), ("next_fraction", "double")]
    for number, (name, _) in enumerate([*functions, functions[0]]):
        code.store(code.parameter(f"@{name}", "ptr"), word(_NEXT + number))
    for number, each in enumerate(_key_at(code, key)):
        code.store(each, word(_KEY + number))
    for number, value in ((_BLOCK, 0), (_PLACE, count), (_HALVES, 0)):
        code.store(code.constant(value, "i64"), word(number))
    if ("next_64", "i64", 1) not in module.mathematics:
        module.mathematics["next_64", "i64", 1] = "next_64"
        for (name, element), write in zip(
            functions, (_write_word, _write_half, _write_fraction), strict=True
        ):
            body = Code(module)
            found = write(body, body.parameter("%state", "ptr"))
            body.statement(f"ret {element} {found.ref}")
            module.add_function(name, body, element, ["ptr %state"], "internal")
    return generator


def _write_word(code: Code, state: Register) -> Register:
    """Write the next number of the stream."""
    together = philox.lanes(code)
    count = philox.WORDS * together

    def word(number: int) -> Register:
        return code.address(state, number, "i64")

    place = code.load(word(_PLACE), "i64")
    before, more, done = code.block, code.new_label(), code.new_label()
    code.branch(place.less(count), done, more)
    mark = code.mark()
    code.begin_block(more)
    first = code.load(word(_BLOCK), "i64")
    key = _key_at(code, word(_KEY))
    code.store(philox.blocks_from(code, key, first, 0, together), word(_BUFFER))
    code.store(first + together, word(_BLOCK))
    code.jump(done)
    code.forget(mark)
    code.begin_block(done)
    at = code.merge([(place, before), (code.constant(0, "i64"), more)])
    code.store(at + 1, word(_PLACE))
    return code.load(code.address(word(_BUFFER), at, "i64"), "i64")


def _write_half(code: Code, state: Register) -> Register:
    """Write the next 32 bits: the lower half of a number, then the upper one."""
    left, half = (code.address(state, number, "i64") for number in (_HALVES, _HALF))
    one, new, done = code.new_label(), code.new_label(), code.new_label()
    code.branch(code.load(left, "i64").equals(0), new, one)
    code.begin_block(one)
    kept = code.load(half, "i64")
    code.store(code.constant(0, "i64"), left)
    code.jump(done)
    code.begin_block(new)
    whole = code.effect(f"call i64 @next_64(ptr {state.ref})", "i64", 1)
    code.store(whole.shift_right_unsigned(32), half)
    code.store(code.constant(1, "i64"), left)
    code.jump(done)
    code.begin_block(done)
    return code.cast("trunc", code.merge([(kept, one), (whole, new)]), "i32")


def _write_fraction(code: Code, state: Register) -> Register:
    """Write the next number in [0, 1)."""
    whole = code.effect(f"call i64 @next_64(ptr {state.ref})", "i64", 1)
    return code.cast("sitofp", whole.shift_right_unsigned(11), "double") * 2.0**-53
