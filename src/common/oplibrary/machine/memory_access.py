"""Memory access: several elements at a time, whatever lies between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.elements import DType, element_of, from_memory, stored_element, to_memory
from oplibrary.machine.register import Register

Index = Register | int


def linear_offset(
    code: Code, constant: int, coefficients: Sequence[int], indices: Sequence[Index]
) -> Index:
    """Return a constant plus the sum of each index times its coefficient."""
    total: Register | None = None
    for coefficient, index in zip(coefficients, indices, strict=False):
        if not coefficient:
            continue
        if isinstance(index, int):
            constant += coefficient * index
            continue
        term = index if coefficient == 1 else index * coefficient
        total = term if total is None else total + term
    if total is None:
        return constant
    return total + constant if constant else total


def load_lanes(
    code: Code, base: Register, dtype: DType, offset: Index, step: int, lanes: int
) -> Register:
    """Return `lanes` elements, `step` apart, as they are computed with."""
    element, align = stored_element(dtype), dtype.alignment
    if lanes == 1 or step == 0:
        found = code.load(code.address(base, offset, element), element, 1, align)
    elif step == 1:
        found = code.load(code.address(base, offset, element), element, lanes, align)
    elif step == -1:
        first = offset - (lanes - 1)
        found = code.load(code.address(base, first, element), element, lanes, align)
        found = code.shuffle(found, range(lanes - 1, -1, -1))
    else:
        found = Register(code, "poison", element, lanes)
        start = code.address(base, offset, element)
        for lane in range(lanes):
            one = code.load(code.address(start, lane * step, element), element, 1, align)
            found = code.insert(found, one, lane)
    return from_memory(code, found, dtype)


def store_lanes(
    code: Code, base: Register, dtype: DType, offset: Index, step: int, value: Register
) -> None:
    """Write elements `step` apart."""
    element, align = stored_element(dtype), dtype.alignment
    value = to_memory(code, value, dtype)
    if value.lanes == 1 or step == 1:
        code.store(value, code.address(base, offset, element), align)
    elif step == -1:
        turned = code.shuffle(value, range(value.lanes - 1, -1, -1))
        code.store(turned, code.address(base, offset - (value.lanes - 1), element), align)
    else:
        start = code.address(base, offset, element)
        for lane in range(value.lanes):
            one = code.extract(value, lane)
            code.store(one, code.address(start, lane * step, element), align)


def fill(code: Code, start: Register, number: Any, dtype: DType, size: int, lanes: int) -> None:
    """Write one number to `size` elements that lie together."""
    if code.number(size) is not None:
        lanes = 1
    while lanes > 1 and lanes > size:
        lanes //= 2
    value = code.constant(number, element_of(dtype), lanes)
    if size == lanes:
        store_lanes(code, start, dtype, 0, 1, value)
        return
    loop = code.begin_loop(0, size, lanes, [])
    at = loop.index
    if lanes > 1 and size % lanes:
        last = size - lanes
        at = code.select(at.less(last), at, last)
    store_lanes(code, start, dtype, at, 1, value)
    code.end_loop(loop, [])


# positions that are computed ----------------------------------------------------------------------

Selector = tuple[Register, tuple[int, int]]
"""An index, with the length of the axis it selects from and how far apart its elements are."""


def selected_offset(
    code: Code, selectors: Sequence[Selector], status: Callable[[Code], Register]
) -> Register:
    """Return how many elements behind the first the selected ones are.

    Negative indices count from the end. Where an index is out of range the word at `status` is set,
    and the first element selected instead.
    """
    total: Register | None = None
    for index, (length, stride) in selectors:
        counted = code.select(index.less(0), index + length, index)
        inside = code.compare("lt", counted, length, signed=False)
        _report(code, ~inside, status)
        term = code.select(inside, counted, 0) * stride
        total = term if total is None else code.arithmetic("add", total, term)
    assert total is not None
    return total


def _report(code: Code, wrong: Register, status: Callable[[Code], Register]) -> None:
    yes, done = code.new_label(), code.new_label()
    code.branch(code.any_lane(wrong), yes, done)
    mark = code.mark()
    code.begin_block(yes)
    code.store(code.constant(1, "i64"), status(code))
    code.jump(done)
    code.forget(mark)
    code.begin_block(done)


def gather(
    code: Code,
    base: Register,
    dtype: DType,
    offset: Index,
    step: int,
    selectors: Sequence[Selector],
    status: Callable[[Code], Register],
    lanes: int,
) -> Register:
    """Return `lanes` elements at positions that are computed, besides being `step` apart."""
    selected = selected_offset(code, selectors, status)
    if selected.lanes == 1:
        return load_lanes(code, base, dtype, selected + offset, step, lanes)
    element = stored_element(dtype)
    found = Register(code, "poison", element, lanes)
    start = code.address(base, offset, element)
    for lane in range(lanes):
        at = code.extract(selected, lane)
        address = code.address(code.address(start, lane * step, element), at, element)
        one = code.load(address, element, 1, dtype.alignment)
        found = code.insert(found, one, lane)
    return from_memory(code, found, dtype)
