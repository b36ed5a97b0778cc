"""Combinations of lengths: those that machine code for all lengths was called with, and finds."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from threading import Lock

from oplibrary.machine.entry import BLOCK, HEADS, LONG_WORK, MIXED, Signature, is_known
from oplibrary.values.memory import aligned_bytes
from oplibrary.values.types import Array
from staticgraph.backends.native.run.running import Machine, State

MOST_KEPT = 256
"""What runs at that many combinations of lengths is kept,"""
MOST_BYTES = 1 << 26
"""unless arrays that are made of lengths alone take more memory."""
_SPARE = 1.25
"""An arena that is replaced by a larger one becomes that much larger at least."""


class Combinations:
    """The blocks of words that an entry looks for the lengths of its arguments in.

    All of them run in one arena, so one of them runs at a time.

    Parameters
    ----------
    signature : Signature

    Attributes
    ----------
    heads : ctypes array
        The first block of each list.
    """

    def __init__(self, signature: Signature) -> None:
        self.heads = (ctypes.c_int64 * HEADS)()
        self._axes = signature.open_axes
        self._open = [i for i, type_ in enumerate(signature.results) if not is_known(type_)]
        self._busy = ctypes.c_int64(0)
        self._arena = aligned_bytes(0)
        self._kept: dict[tuple[int, ...], tuple[State, ctypes.Array[ctypes.c_int64]]] = {}
        self._bytes = 0
        self._adding = Lock()

    def add(self, machine: Machine, inputs: Sequence[Array]) -> bool:
        """Let entries find the lengths of some arrays, and tell whether they do.

        Parameters
        ----------
        machine : Machine
            The machine code as it is to run at those lengths.
        inputs : sequence of numpy.ndarray
        """
        lengths = tuple([inputs[number].shape[axis] for number, axis in self._axes])
        if lengths in self._kept:
            return True
        if not self._adding.acquire(blocking=False):
            return False
        try:
            size = machine.image.arena_bytes
            self._bytes += machine.made_bytes
            many = len(self._kept) >= MOST_KEPT or self._bytes > MOST_BYTES
            if many or size > self._arena.nbytes:
                if not self._forget():
                    return False
                if size > self._arena.nbytes:
                    self._arena = aligned_bytes(max(size, int(_SPARE * self._arena.nbytes)))
            self._enter(lengths, State(machine, self._arena))
            return True
        finally:
            self._adding.release()

    def _enter(self, lengths: tuple[int, ...], state: State) -> None:
        """Put a block in front of its list."""
        mixed = 0
        for n in lengths:
            mixed = mixed * MIXED + n
        shapes = [n for number in self._open for n in state.shapes[number][0]]
        first = mixed % HEADS
        fields = {
            "next": self.heads[first],
            "slots": ctypes.addressof(state.slots),
            "busy": ctypes.addressof(self._busy),
            "status": ctypes.addressof(state.status),
            "long": int(state.machine.image.work > LONG_WORK),
        }
        words = [*[fields[name] for name in BLOCK], *lengths, *shapes]
        block = (ctypes.c_int64 * len(words))(*words)
        self._kept[lengths] = state, block
        self.heads[first] = ctypes.addressof(block)

    def _forget(self) -> bool:
        """Take all blocks away, unless a run of another thread is in one of them."""
        before = list(self.heads)
        # first of all, nobody comes in: who is in by then has the interpreter's lock, or is busy
        for number in range(HEADS):
            self.heads[number] = 0
        if self._busy.value:
            for number, block in enumerate(before):
                self.heads[number] = block
            return False
        self._kept.clear()
        self._bytes = 0
        return True
