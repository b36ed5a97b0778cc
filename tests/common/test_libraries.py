"""Machine code that is loaded: how long it stays, and what stays of it."""

import ctypes
import gc
import threading
import weakref

import pytest

pytest.importorskip("llvmlite")

from oplibrary.machine import target
from oplibrary.machine.target import Library, LinkError, assemble, host_target

ANSWER = "define i64 @answer() {\n  ret i64 42\n}\n"


@pytest.fixture(scope="module")
def code():
    return assemble(ANSWER, host_target())


@pytest.fixture
def linkers(monkeypatch):
    """Make linkers that are replaced after five libraries; those that are not closed yet."""
    made = []

    class Counted(target._Linker):
        MOST = 5

        def __init__(self):
            super().__init__()
            made.append(weakref.ref(self.jits[0]))

    monkeypatch.setattr(target, "_Linker", Counted)
    monkeypatch.setattr(Library, "_linker", None)
    return lambda: [jit for each in made if (jit := each()) is not None and not jit.closed]


def answer(library):
    return ctypes.CFUNCTYPE(ctypes.c_int64)(library.addresses["answer"])()


def test_nothing_stays_of_libraries_that_are_gone(code, linkers):
    for _ in range(23):
        assert answer(Library(code, ["answer"])) == 42
        assert len(linkers()) == 1


def test_what_is_loaded_stays_whatever_comes_after(code, linkers):
    first = Library(code, ["answer"])
    others = [Library(code, ["answer"]) for _ in range(17)]
    assert len(linkers()) == 4
    del others
    assert len(linkers()) == 2  # that of the first, and the one for the next
    assert answer(first) == 42
    del first
    assert len(linkers()) == 1


def test_libraries_of_a_cycle_are_freed(code, linkers):
    for _ in range(12):
        cycle = [Library(code, ["answer"])]
        cycle.append(cycle)
    del cycle
    gc.collect()
    assert len(linkers()) == 1


def test_threads_that_load_and_free_at_once(code, linkers):
    found = []

    def load():
        for _ in range(40):
            found.append(answer(Library(code, ["answer"])))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [42] * 160
    assert len(linkers()) == 1


def test_code_that_cannot_be_linked_leaves_nothing(linkers):
    call = ANSWER.replace("ret i64 42", "%x = call i64 @nobody_has_this()\n  ret i64 %x")
    wrong = assemble("declare i64 @nobody_has_this()\n" + call, host_target())
    for _ in range(7):
        with pytest.raises(LinkError, match="answer"):
            Library(wrong, ["answer"])
    assert len(linkers()) == 1
