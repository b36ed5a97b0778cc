"""BLAS threads: while a run shares out its matrix products itself, BLAS has one thread a call.

Its own threads would compete with those of `pool` for the processors, and how it cuts a product
depends on their number. BLAS knows one number for the whole process, so it is set to one by the
first run that enters, and set back by the last that leaves.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Any

from oplibrary.machine.cache import assemble_cached
from oplibrary.machine.code import Code
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.target import Library, host_target
from staticgraph.backends.native.emit.blas import load_cython_blas

_PREFIXES = ("scipy_openblas", "openblas")
EVEN_CORES = {"Nehalem", "Sandybridge", "SkylakeX", "Cooperlake", "SapphireRapids"}
"""The processors, by OpenBLAS's names, for which it computes in single precision any block of our
columns as it would the whole. Its functions for Haswell, and AMD's, sum the last ones otherwise."""
# the words, of 8 bytes: a lock, the runs that are in, the number to set back, two functions
_LOCK, _INSIDE, _BEFORE, _GET, _SET = 0, 1, 2, 3, 4


class BlasThreads:
    """What machine code calls around its products.

    Attributes
    ----------
    enter, leave : int
        The addresses of ``void enter(ptr words)`` and ``void leave(ptr words)``.
    address : int
        Of the words.
    """

    def __init__(self, get: int, set: int) -> None:
        target = host_target()
        module = Module(target)
        _write(module, "blas_enter", entering=True)
        _write(module, "blas_leave", entering=False)
        names = ["blas_enter", "blas_leave"]
        self._library = Library(assemble_cached(str(module), target), names)
        self.enter, self.leave = (self._library.addresses[name] for name in names)
        self._words = (ctypes.c_int64 * 5)(0, 0, 0, get, set)
        self.address = ctypes.addressof(self._words)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._words[_LOCK] = self._words[_INSIDE] = 0


@lru_cache(maxsize=1)
def blas_threads() -> BlasThreads | None:
    """Return the switch of SciPy's BLAS, or None where BLAS has none that is known."""
    library: Any = ctypes.CDLL(load_cython_blas().__file__)
    for prefix in _PREFIXES:
        try:
            functions = [library[f"{prefix}_{verb}_num_threads"] for verb in ("get", "set")]
        except AttributeError:
            continue
        get, set = (ctypes.cast(each, ctypes.c_void_p).value or 0 for each in functions)
        return BlasThreads(get, set)
    return None


@lru_cache(maxsize=1)
def cuts_columns() -> bool:
    """Tell whether products in single precision may be shared by columns; see `Product.split`."""
    library: Any = ctypes.CDLL(load_cython_blas().__file__)
    for prefix in _PREFIXES:
        core = getattr(library, f"{prefix}_get_corename", None)
        if core is not None:
            core.restype = ctypes.c_char_p
            return core().decode() in EVEN_CORES
    return False


def _write(module: Module, symbol: str, entering: bool) -> None:
    code = Code(module)

    def word(number: int) -> Register:
        return code.address(code.parameter("%words", "ptr"), number, "i64")

    def call(number: int, result: str, argument: str = "") -> str:
        function = code.load(word(number), "ptr")
        return f"call {result} {function.ref}({argument})"

    take, taken, change, done = (code.new_label() for _ in range(4))
    code.jump(take)
    code.begin_block(take)
    pair = code.effect(
        f"cmpxchg ptr {word(_LOCK).ref}, i64 0, i64 1 seq_cst seq_cst", "{ i64, i1 }", 1
    )
    free = code.effect(f"extractvalue {{ i64, i1 }} {pair.ref}, 1", "i1", 1)
    code.branch(free, taken, take)
    code.begin_block(taken)
    inside = code.load(word(_INSIDE), "i64")
    after = inside + (1 if entering else -1)
    code.store(after, word(_INSIDE))
    code.branch((inside if entering else after).equals(0), change, done)
    code.begin_block(change)
    if entering:
        before = code.effect(call(_GET, "i32"), "i32", 1)
        code.store(code.cast("sext", before, "i64"), word(_BEFORE))
        code.statement(call(_SET, "void", "i32 1"))
    else:
        number = code.cast("trunc", code.load(word(_BEFORE), "i64"), "i32")
        code.statement(call(_SET, "void", f"i32 {number.ref}"))
    code.jump(done)
    code.begin_block(done)
    code.statement(f"store atomic i64 0, ptr {word(_LOCK).ref} seq_cst, align 8")
    code.statement("ret void")
    module.add_function(symbol, code, "void", ["ptr %words"])
