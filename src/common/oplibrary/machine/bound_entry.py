"""Bound entry: a Python function of no arguments that runs a program on memory that stays the same.

It has nothing to check and nothing to allocate: it runs, and returns an object that was there
before. One piece of machine code serves every program, which it finds in the function's table.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from oplibrary.machine import interpreter_api as api
from oplibrary.machine.cache import assemble_cached
from oplibrary.machine.code import Code
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.target import Library, host_target

_CALLED = ("Py_IncRef", "PyObject_Vectorcall", "PyEval_SaveThread", "PyEval_RestoreThread")
_WORDS = ("segment", "slots", "status", "result", "slow", *_CALLED)
_KEEPS_LOCK, _RELEASES_LOCK = "bound", "bound_released"
_NO_ARGUMENTS = 0x0004
_NAME = b"bound"


def make_bound_entry(
    segment: int,
    slots: Any,
    status: Any,
    result: Any,
    slow: Callable[[], Any],
    releases_lock: bool,
    owner: Any,
) -> Callable[[], Any] | None:
    """Return the function object, or None where the interpreter is not as expected.

    Parameters
    ----------
    segment : int
        The address of the program, ``void segment(ptr slots)``.
    slots, status : ctypes objects
        The addresses that the program works on, and what it sets where it cannot go on.
    result : object
        What each call returns.
    slow : callable
        Called, and its result returned, where `status` was set. It must reset that.
    releases_lock : bool
        Whether the interpreter's lock is let go of while the program runs.
    owner : object
        Whatever else must live as long as the function.
    """
    found = api.addresses()
    if found is None:
        return None
    words = [segment, ctypes.addressof(slots), ctypes.addressof(status), id(result), id(slow)]
    words += [found[name] for name in _CALLED]
    table = struct.pack(f"{len(words)}Q", *words)
    library = _library()
    code = library.addresses[_RELEASES_LOCK if releases_lock else _KEEPS_LOCK]
    owned = (owner, slots, status, result, slow, library)
    return api.new_function(_NAME, code, _NO_ARGUMENTS, table, owned)


@lru_cache(maxsize=1)
def _library() -> Library:
    target = host_target()
    module = Module(target)
    _write(module, _KEEPS_LOCK, releases_lock=False)
    _write(module, _RELEASES_LOCK, releases_lock=True)
    return Library(assemble_cached(str(module), target), [_KEEPS_LOCK, _RELEASES_LOCK])


def _write(module: Module, name: str, *, releases_lock: bool) -> None:
    """Write ``ptr name(ptr self, ptr unused)``, a METH_NOARGS function."""
    code = Code(module)
    kept = code.parameter("%self", "ptr")
    words = code.load(code.address(kept, api.FIRST_ITEM, "i8"), "ptr")
    table = code.address(words, api.BYTES, "i8")

    def word(name: str) -> Register:
        return code.load(code.address(table, _WORDS.index(name), "ptr"), "ptr")

    run = f"call void {word('segment').ref}(ptr {word('slots').ref})"
    if releases_lock:
        save = word("PyEval_SaveThread").ref
        thread = code.effect(f"call ptr {save}()", "ptr", 1)
        code.statement(run)
        code.statement(f"call void {word('PyEval_RestoreThread').ref}(ptr {thread.ref})")
    else:
        code.statement(run)
    done, failed = code.new_label(), code.new_label()
    code.branch(code.load(word("status"), "i64").equals(0), done, failed)
    code.begin_block(done)
    result = word("result")
    code.statement(f"call void {word('Py_IncRef').ref}(ptr {result.ref})")
    code.statement(f"ret ptr {result.ref}")
    code.begin_block(failed)
    arguments = f"(ptr {word('slow').ref}, ptr null, i64 0, ptr null)"
    raised = code.effect(f"call ptr {word('PyObject_Vectorcall').ref}{arguments}", "ptr", 1)
    code.statement(f"ret ptr {raised.ref}")
    module.add_function(name, code, "ptr", ["ptr %self", "ptr %unused"])
