"""Routines: loops that stand alone, those that ops bring and those of additions at indices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from oplibrary.machine.code import Code
from oplibrary.machine.elements import convert
from oplibrary.machine.folds import fold_two
from oplibrary.machine.memory_access import (
    fill,
    linear_offset,
    load_lanes,
    selected_offset,
    store_lanes,
)
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import in_lanes
from staticgraph.backends.native.definitions.affine import row_major
from staticgraph.backends.native.definitions.open_lengths import is_open
from staticgraph.backends.native.definitions.routines import Routined
from staticgraph.backends.native.definitions.selections import Assigned, Scattered
from staticgraph.backends.native.emit.address_table import Base
from staticgraph.backends.native.planning.steps import storage_of

INDEX = np.dtype(np.int64)


def scatter_key(scattered: Scattered) -> tuple[Any, ...]:
    """Return what the code depends on."""
    into = scattered.into if isinstance(scattered, Assigned) else None
    return (
        scattered.dtype,
        scattered.addend is None,
        None if into is None else into.strides,
        scattered.shape,
        scattered.extents,
        scattered.strides,
        scattered.axes,
        tuple([(place.base.dtype, place.strides) for place in scattered.places]),
    )


def scatter_bases(scattered: Scattered) -> list[Base]:
    """Return the addresses that the code is given."""
    places = list(scattered.places)
    if isinstance(scattered, Assigned):
        places.append(scattered.into)
    bases: list[Base] = [("value", scattered, 0), ("status", None, 0)]
    return bases + [("value", storage_of(place.base), place.start) for place in places]


def write_scatter(module: Module, symbol: str, scattered: Scattered) -> None:
    """Write ``void symbol(ptr bases)``, which adds the elements one after the other, in order.

    The addresses are those of the result, of the word for an index out of range, of what is added
    and of the indices. The last axis is worked on several elements at a time where all of them have
    one index. An assignment replaces elements, and is given the address of what is copied, too.
    """
    dtype = scattered.dtype
    lanes = _lanes(scattered, module.target.lanes(max(dtype.itemsize, 4)))
    code = Code(module, lanes)
    given = code.parameter("%bases", "ptr")
    target, status, *bases = (
        code.load(code.address(given, number, "ptr"), "ptr")
        for number in range(len(scatter_bases(scattered)))
    )
    if isinstance(scattered, Assigned):
        _copy_unless_there(code, target, bases[-1], scattered)
    elif scattered.addend is None:
        fill(code, target, 0, dtype, prod(scattered.shape), 64)
    loops = []
    *outer, last = scattered.extents or (1,)
    for n in outer:
        loops.append(code.begin_loop(0, n, 1, []))
    indices = [loop.index for loop in loops]

    def add(at: Register | int, width: int) -> None:
        where = [*indices, at]
        offsets = [linear_offset(code, 0, p.strides, where) for p in scattered.places]
        steps = [p.strides[-1] if p.strides else 0 for p in scattered.places]
        value = load_lanes(code, bases[0], dtype, offsets[0], steps[0], width)
        selectors = []
        for place, base, offset, axis in zip(
            scattered.places[1:], bases[1:], offsets[1:], scattered.axes, strict=False
        ):
            kind = place.base.dtype
            index = load_lanes(code, base, kind, offset, 1, 1)
            selectors.append((convert(code, index, kind, INDEX), axis))
        chosen = selected_offset(code, selectors, lambda _: status)
        offset = chosen + linear_offset(code, 0, scattered.strides, where)
        value = code.splat(value, width)
        if not isinstance(scattered, Assigned):
            value = fold_two(
                code, "add", dtype, load_lanes(code, target, dtype, offset, 1, width), value
            )
        store_lanes(code, target, dtype, offset, 1, value)

    in_lanes(code, last, lanes, add)
    for loop in reversed(loops):
        code.end_loop(loop, [])
    code.statement("ret void")
    module.add_function(symbol, code, "void", ["ptr %bases"], "internal", attributes="noinline")


def _copy_unless_there(code: Code, target: Register, source: Register, assigned: Assigned) -> None:
    """Write the copy of what elements are replaced in, unless it lies where the result is."""
    dtype, shape, strides = assigned.dtype, assigned.shape, assigned.into.strides
    copy, there = code.new_label(), code.new_label()
    code.branch(target.equals(source), there, copy)
    code.begin_block(copy)
    if strides == row_major(shape):
        name = "llvm.memcpy.p0.p0.i64"
        code.module.declare(name, "void", ["ptr", "ptr", "i64", "i1"])
        code.statement(
            f"call void @{name}(ptr {target.ref}, ptr {source.ref}, "
            f"i64 {code.whole(assigned.nbytes)}, "
            "i1 false)"
        )
    else:
        loops = [code.begin_loop(0, n, 1, []) for n in shape]
        where = [loop.index for loop in loops]
        value = load_lanes(code, source, dtype, linear_offset(code, 0, strides, where), 1, 1)
        store_lanes(code, target, dtype, linear_offset(code, 0, row_major(shape), where), 1, value)
        for loop in reversed(loops):
            code.end_loop(loop, [])
    code.jump(there)
    code.begin_block(there)


def _lanes(scattered: Scattered, most: int) -> int:
    if not scattered.strides or scattered.strides[-1] != 1:
        return 1
    data, *indices = scattered.places
    if data.strides[-1] not in (0, 1) or any(place.strides[-1] for place in indices):
        return 1
    last = scattered.extents[-1]
    while not is_open(last) and most > last:
        most //= 2
    return most


def routine_bases(routined: Routined) -> list[Base]:
    """Return the addresses that the code is given."""
    bases: list[Base] = [("value", routined, 0)]
    bases += [("value", storage_of(place.base), place.start) for place in routined.places]
    if routined.scratch is not None:
        bases.append(("value", routined.scratch, 0))
    return [*bases, ("status", None, 0)] if routined.routine.may_fail else bases


def write_routine(module: Module, symbol: str, routined: Routined) -> None:
    """Write ``void symbol(ptr bases)``, given the addresses that `routine_bases` lists."""
    routine = routined.routine
    code = Code(module, routine.lanes)
    given = code.parameter("%bases", "ptr")
    target, *operands = (
        code.load(code.address(given, number, "ptr"), "ptr")
        for number in range(len(routine_bases(routined)))
    )
    routine.write(code, target, operands)
    code.statement("ret void")
    module.add_function(symbol, code, "void", ["ptr %bases"], "internal", attributes="noinline")
