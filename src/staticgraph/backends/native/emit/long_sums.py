"""Long sums: how additions are arranged so that their rounding errors stay as small as NumPy's.

An error of rounding grows with the number of additions one after the other. NumPy adds up pairs of
halves (`pairwise summation`_); here sums are added up in blocks, and what the blocks give apart,
of many blocks in double.

.. _pairwise summation: https://doi.org/10.1137/0914050
"""

from __future__ import annotations

from collections.abc import Sequence

from oplibrary.machine.code import Code
from oplibrary.machine.elements import FLOAT32, FLOAT64, DType, convert
from oplibrary.machine.folds import fold_two, neutral_register
from oplibrary.machine.memory_access import load_lanes, store_lanes
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from staticgraph.backends.native.definitions.definition import Fold
from staticgraph.backends.native.definitions.open_lengths import is_open
from staticgraph.backends.native.emit.address_table import Base, BaseAddresses
from staticgraph.backends.native.planning.loops import Nest
from staticgraph.backends.native.planning.steps import Store

BLOCK = 8
"""Rounds of a block."""
LONG = 2
"""How many blocks are worth it."""
MANY = 32
"""How many blocks are added up in double."""
SHORT = 8
"""Loops of fewer rounds are summed several in one block: one would take longer to be added up than
to be summed."""


def wide_dtype(fold: Fold) -> DType:
    """Return the dtype that the sums of many blocks, and of chunks, are added up in."""
    return FLOAT64 if fold.combine == "add" and fold.dtype == FLOAT32 else fold.dtype


def is_rounded(fold: Fold | None) -> bool:
    """Tell whether a reduction is a sum of floating-point numbers."""
    return fold is not None and fold.combine == "add" and fold.dtype.kind == "f"


def add_up(stores: Sequence[Store]) -> bool:
    """Tell whether any of some reductions is a sum that is rounded."""
    return any(is_rounded(store.fold) for store in stores)


def widened(code: Code, fold: Fold, value: Register) -> Register:
    """Return what a reduction has gathered, in `wide_dtype`."""
    return convert(code, value, fold.dtype, wide_dtype(fold))


def narrowed(code: Code, fold: Fold, value: Register) -> Register:
    """Return what was added up in `wide_dtype` in the reduction's own dtype."""
    return convert(code, value, wide_dtype(fold), fold.dtype)


def write_combination(module: Module, symbol: str, nest: Nest) -> list[Base]:
    """Write ``void symbol(ptr bases)``, which combines the results of the chunks, in order."""
    code = Code(module)
    bases = BaseAddresses(code)
    for store in nest.partial_roots:
        fold = store.fold
        assert fold is not None
        source = bases.address("partial", fold)
        target = bases.address("value", store.storage)
        lanes = 1
        while not is_open(fold.size) and lanes * 2 <= min(fold.size, nest.lanes):
            lanes *= 2
        outer = code.begin_loop(0, -(-fold.size // lanes), 1, [])
        at = outer.index * lanes
        if lanes > 1 and fold.size % lanes:
            last = fold.size - lanes
            at = code.select(at.less(last), at, last)
        total = widened(code, fold, neutral_register(code, fold.combine, fold.dtype, lanes))
        inner = code.begin_loop(0, nest.chunks, 1, [total])
        offset = inner.index * fold.size + at
        value = widened(code, fold, load_lanes(code, source, fold.dtype, offset, 1, lanes))
        folded = fold_two(code, fold.combine, wide_dtype(fold), inner.carried[0], value)
        (total,) = code.end_loop(inner, [folded])
        store_lanes(code, target, fold.dtype, at, 1, narrowed(code, fold, total))
        code.end_loop(outer, [])
    code.statement("ret void")
    module.add_function(symbol, code, "void", ["ptr %bases"], "internal", attributes="noinline")
    return bases.order
