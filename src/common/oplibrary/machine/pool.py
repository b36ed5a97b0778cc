"""Pool: threads that share the chunks of a kernel, asleep when there are none.

The threads are Python's, but each spends its life in one call of machine code that holds no lock
of the interpreter. A kernel's chunks are handed out one by one from a counter, so the result does
not depend on who computes what. A caller that finds the pool at work runs its chunks alone.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from contextvars import ContextVar
from typing import Any

from oplibrary.machine.cache import assemble_cached
from oplibrary.machine.code import Code
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.target import Library, Target, host_target

# the fields of the pool, as words of 8 bytes; those that many write have a cache line of their own
KERNEL, BASES, CHUNKS, STOP = 0, 1, 2, 3
GENERATION, OPEN = 8, 9
NEXT = 16
ACTIVE = 24
LOCK = 32
SLEEPING = 40
FUNCTIONS = 48  # pthread_mutex_lock, _unlock, pthread_cond_wait, _broadcast
MUTEX, CONDITION = 56, 72
_WORDS = 96
SPINS = 400
"""How often a thread looks for work before it goes to sleep: about 20 microseconds."""


sharing_from: ContextVar[float] = ContextVar("sharing_from", default=0.0)
"""Nanoseconds of work from which on a run shares its chunks, for what is built meanwhile.

To wake a thread takes 5 to 50 microseconds: a program does so once, single operations each time.
"""


class Pool:
    """The threads of this process.

    Attributes
    ----------
    run, run_alone : int
        The addresses of ``void run(ptr pool, ptr kernel, ptr bases, i64 chunks)``, and of the same
        by the calling thread alone.
    address : int
        Of the pool.
    """

    def __init__(self) -> None:
        target = host_target()
        self._library = Library(
            assemble_cached(_write_module(target), target),
            ["pool_run", "pool_run_alone", "pool_work"],
        )
        self.run = self._library.addresses["pool_run"]
        self.run_alone = self._library.addresses["pool_run_alone"]
        self._work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.addresses["pool_work"])
        self._memory = (ctypes.c_int64 * (_WORDS + 8))()
        self.address = -(-ctypes.addressof(self._memory) // 64) * 64
        self._words = (ctypes.c_int64 * _WORDS).from_address(self.address)
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the threads, if they are not running."""
        with self._starting:
            if self._threads or not self._prepare():
                return
            for _ in range(thread_count() - 1):
                thread = threading.Thread(
                    target=self._work, args=(self.address,), name="sidebyside", daemon=True
                )
                thread.start()
                self._threads.append(thread)
            atexit.register(self.stop)

    def _prepare(self) -> bool:
        """Fill in the functions of the system; tell whether there are any."""
        try:
            system: Any = ctypes.CDLL(None)
            functions = [
                system.pthread_mutex_lock,
                system.pthread_mutex_unlock,
                system.pthread_cond_wait,
                system.pthread_cond_broadcast,
            ]
            system.pthread_mutex_init(ctypes.c_void_p(self.address + 8 * MUTEX), None)
            system.pthread_cond_init(ctypes.c_void_p(self.address + 8 * CONDITION), None)
        except (AttributeError, OSError, TypeError):
            return False
        for number, function in enumerate(functions, FUNCTIONS):
            self._words[number] = ctypes.cast(function, ctypes.c_void_p).value or 0
        return True

    def stop(self) -> None:
        """End the threads; kernels then run on the calling thread alone."""
        with self._starting:
            threads, self._threads = self._threads, []
            if not threads:
                return
            system: Any = ctypes.CDLL(None)
            self._words[STOP] = 1
            mutex = ctypes.c_void_p(self.address + 8 * MUTEX)
            system.pthread_mutex_lock(mutex)
            self._words[GENERATION] += 1
            system.pthread_cond_broadcast(ctypes.c_void_p(self.address + 8 * CONDITION))
            system.pthread_mutex_unlock(mutex)
            for thread in threads:
                thread.join()
            self._words[STOP] = 0

    def forget(self) -> None:
        """Begin anew in a forked process, where the threads are not."""
        ctypes.memset(self.address, 0, 8 * _WORDS)
        self._threads = []
        self._starting = threading.Lock()


_pool: Pool | None = None
_making = threading.Lock()


def get_pool() -> Pool:
    """Return the pool of this process."""
    global _pool
    with _making:
        if _pool is None:
            _pool = Pool()
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_pool.forget)
    return _pool


def thread_count() -> int:
    """Return how many threads compute at once.

    The environment variable ``SIDEBYSIDE_THREADS`` says it, else ``OMP_NUM_THREADS``, else it is
    the number of processors that this process may use.
    """
    for name in ("SIDEBYSIDE_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "")
        if text.isdigit() and int(text) > 0:
            return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


# machine code -------------------------------------------------------------------------------------

_PARAMETERS = ["ptr %pool", "ptr %kernel", "ptr %bases", "i64 %chunks"]


def _write_module(target: Target) -> str:
    module = Module(target)
    _write_run(module)
    _write_run_alone(module)
    _write_work(module, target)
    return str(module)


def _field(code: Code, number: int) -> Register:
    return code.address(code.parameter("%pool", "ptr"), number, "i64")


def _load(code: Code, number: int) -> Register:
    address = _field(code, number)
    return code.effect(f"load atomic i64, ptr {address.ref} seq_cst, align 8", "i64", 1)


def _store(code: Code, number: int, value: Register | int) -> None:
    text = value.ref if isinstance(value, Register) else str(value)
    code.statement(f"store atomic i64 {text}, ptr {_field(code, number).ref} seq_cst, align 8")


def _add(code: Code, number: int, value: int) -> Register:
    address = _field(code, number)
    return code.effect(f"atomicrmw add ptr {address.ref}, i64 {value} seq_cst", "i64", 1)


def _share(code: Code) -> None:
    """Write the loop that takes chunks and computes them until there are none."""
    kernel = code.load(_field(code, KERNEL), "ptr")
    bases = code.load(_field(code, BASES), "ptr")
    chunks = code.load(_field(code, CHUNKS), "i64")
    again, compute, done = code.new_label(), code.new_label(), code.new_label()
    code.jump(again)
    code.begin_block(again)
    chunk = _add(code, NEXT, 1)
    code.branch(chunk.less(chunks), compute, done)
    code.begin_block(compute)
    after = chunk + 1
    code.statement(f"call void {kernel.ref}(ptr {bases.ref}, i64 {chunk.ref}, i64 {after.ref})")
    code.jump(again)
    code.begin_block(done)


def _write_run(module: Module) -> None:
    code = Code(module)
    alone, together = code.new_label(), code.new_label()
    lock = _field(code, LOCK)
    pair = code.effect(f"cmpxchg ptr {lock.ref}, i64 0, i64 1 seq_cst seq_cst", "{ i64, i1 }", 1)
    taken = code.effect(f"extractvalue {{ i64, i1 }} {pair.ref}, 1", "i1", 1)
    code.branch(taken, together, alone)
    code.begin_block(alone)
    code.statement("call void %kernel(ptr %bases, i64 0, i64 %chunks)")
    code.statement("ret void")
    code.begin_block(together)
    code.statement(f"store ptr %kernel, ptr {_field(code, KERNEL).ref}")
    code.statement(f"store ptr %bases, ptr {_field(code, BASES).ref}")
    code.statement(f"store i64 %chunks, ptr {_field(code, CHUNKS).ref}")
    _store(code, NEXT, 0)
    _store(code, OPEN, 1)
    _add(code, GENERATION, 1)
    wake, go = code.new_label(), code.new_label()
    code.branch(_load(code, SLEEPING).greater(0), wake, go)
    code.begin_block(wake)
    _system(code, 0, MUTEX)
    _system(code, 3, CONDITION)
    _system(code, 1, MUTEX)
    code.jump(go)
    code.begin_block(go)
    _share(code)
    # whoever is not yet in leaves at once, whoever is in is waited for
    _store(code, OPEN, 0)
    wait, pause, done = code.new_label(), code.new_label(), code.new_label()
    code.jump(wait)
    code.begin_block(wait)
    code.branch(_load(code, ACTIVE).equals(0), done, pause)
    code.begin_block(pause)
    _pause(code, module.target)
    code.jump(wait)
    code.begin_block(done)
    _store(code, LOCK, 0)
    code.statement("ret void")
    module.add_function("pool_run", code, "void", _PARAMETERS)


def _write_run_alone(module: Module) -> None:
    code = Code(module)
    code.statement("call void %kernel(ptr %bases, i64 0, i64 %chunks)")
    code.statement("ret void")
    module.add_function("pool_run_alone", code, "void", _PARAMETERS)


def _system(code: Code, function: int, *objects: int) -> None:
    address = code.load(_field(code, FUNCTIONS + function), "ptr")
    listed = ", ".join(f"ptr {_field(code, each).ref}" for each in objects)
    code.effect(f"call i32 {address.ref}({listed})", "i32", 1)


def _write_work(module: Module, target: Target) -> None:
    code = Code(module)
    look, spin, sleep, found, leave = (code.new_label() for _ in range(5))
    entry = code.block
    code.jump(look)
    # look for a job that is newer than the last one
    code.begin_block(look)
    last_line = len(code.lines)
    code.lines.append("")
    last = Register(code, "%last", "i64", 1)
    loop_line = len(code.lines)
    code.lines.append("")
    spins = Register(code, "%spins", "i64", 1)
    generation = _load(code, GENERATION)
    code.branch(generation.equals(last), spin, found)
    code.begin_block(spin)
    _pause(code, target)
    more = spins + 1
    code.branch(more.less(SPINS), look, sleep)
    code.begin_block(sleep)
    _system(code, 0, MUTEX)
    _add(code, SLEEPING, 1)
    check, wait, awake = (code.new_label() for _ in range(3))
    code.jump(check)
    code.begin_block(check)
    code.branch(_load(code, GENERATION).equals(last), wait, awake)
    code.begin_block(wait)
    _system(code, 2, CONDITION, MUTEX)
    code.jump(check)
    code.begin_block(awake)
    _add(code, SLEEPING, -1)
    _system(code, 1, MUTEX)
    code.jump(look)
    code.begin_block(found)
    work = code.new_label()
    code.branch(_load(code, STOP).differs(0), leave, work)
    code.begin_block(work)
    _add(code, ACTIVE, 1)
    share, after = code.new_label(), code.new_label()
    code.branch(_load(code, OPEN).differs(0), share, after)
    code.begin_block(share)
    _share(code)
    code.jump(after)
    code.begin_block(after)
    _add(code, ACTIVE, -1)
    code.jump(look)
    code.begin_block(leave)
    code.statement("ret void")
    code.lines[last_line] = (
        f"  %last = phi i64 [0, %{entry}], [%last, %{spin}], [%last, %{awake}], "
        f"[{generation.ref}, %{after}]"
    )
    code.lines[loop_line] = (
        f"  %spins = phi i64 [0, %{entry}], [{more.ref}, %{spin}], [0, %{awake}], [0, %{after}]"
    )
    module.add_function("pool_work", code, "void", ["ptr %pool"])


def _pause(code: Code, target: Target) -> None:
    if target.triple.startswith("x86_64"):
        code.module.declare("llvm.x86.sse2.pause", "void", [])
        code.statement("call void @llvm.x86.sse2.pause()")
    elif target.triple.startswith(("aarch64", "arm64")):
        code.module.declare("llvm.aarch64.hint", "void", ["i32"])
        code.statement("call void @llvm.aarch64.hint(i32 1)")
