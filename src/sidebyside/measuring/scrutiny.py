"""What a program does beside computing: what a trace would lose, and what spoils a comparison."""

from __future__ import annotations

import ctypes
import io
import os
import sys
import tempfile
import time
import types
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from oplibrary.values.dtypes import bfloat16
from oplibrary.values.tree import flatten

CALLS = 2
"""Calls that are looked at: what happens at the first of them alone is no work of each call."""

_EVENTS = {
    "open": "opens files",
    "socket.connect": "talks to the network",
    "subprocess.Popen": "starts processes",
    "os.system": "starts processes",
    "os.fork": "starts processes",
    "os.chdir": "changes the working directory",
    "os.remove": "removes files",
    "os.posix_spawn": "starts processes",
    "_thread.start_new_thread": "starts threads",
    "_thread.start_joinable_thread": "starts threads",
}
"""What Python tells its auditors, and what that is in words."""


@dataclass(frozen=True, slots=True)
class Scrutiny:
    """What happens in each call beside the computation.

    Attributes
    ----------
    writes : tuple of str
        Inputs that a call changes, such as ``input 0``.
    work : tuple of str
        What is done on the host: ``prints``, ``sleeps``, ``opens files``, ``changes calls``.
    """

    writes: tuple[str, ...] = ()
    work: tuple[str, ...] = ()


def said_of(seen: Scrutiny) -> tuple[str, ...]:
    """Return what is to be known of a program before any figure, in sentences."""
    found = []
    if seen.writes:
        found.append(
            f"it writes into {' and '.join(seen.writes)}: each mode has its own copy, and a call "
            "goes on with what the last one left"
        )
    if seen.work:
        found.append(f"each call works on the host: it {', '.join(seen.work)}")
    return tuple(found)


def lost_in(mine: Scrutiny, reference: Scrutiny) -> tuple[str, ...]:
    """Return what a mode no longer does that its reference does, in sentences."""
    found = []
    lost = [each for each in reference.work if each not in mine.work]
    if lost:
        found.append(f"a call no longer {', '.join(lost)}")
    missed = [each for each in reference.writes if each not in mine.writes]
    if missed:
        found.append(f"a call does not write into {', '.join(missed)}")
    return tuple(found)


class _Listener:
    """Collects what Python tells its auditors; an auditor can never be taken away again."""

    def __init__(self) -> None:
        self.listening = False
        self.installed = False
        self.heard: dict[str, None] = {}

    def begin(self, listening: bool) -> None:
        """Forget what was heard, and listen until `listening` is taken away."""
        if listening and not self.installed:
            sys.addaudithook(self._hear)
            self.installed = True
        self.heard = {}
        self.listening = listening

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listening and event in _EVENTS:
            self.heard[_EVENTS[event]] = None


_LISTENER = _Listener()


@contextmanager
def _written(said: io.StringIO) -> Iterator[None]:
    """Enter into `said` what is written to the descriptor of the standard output, as C does it."""
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).fflush(None)
            os.dup2(kept, 1)
            os.close(kept)
        said.write("C" if file.seek(0, os.SEEK_END) else "")


@contextmanager
def _sleep_told(heard: dict[str, None]) -> Iterator[None]:
    """Enter it if a program sleeps inside the block: not every Python tells its auditors."""
    original = time.sleep

    def told(seconds: Any) -> None:
        heard["sleeps"] = None
        original(seconds)

    time.sleep = told
    try:
        yield
    finally:
        time.sleep = original


def examine(run: Callable[[], Any], given: Any, function: Any, listen: bool = True) -> Scrutiny:
    """Call `run` and return what it does beside computing.

    Listening to what Python tells its auditors makes a process slower, for good: it is done in one
    that has been measured.

    Parameters
    ----------
    run : callable
        One call of the program; it has been called before.
    given : tree
        The inputs that it is called with.
    function : callable
        The user's code, whose variables are looked at.
    listen : bool
        Whether files, processes, threads and connections are heard of.
    """
    before, variables = _prints_of(given), host_variables(function)
    said = io.StringIO()
    with redirect_stdout(said), _written(said):
        _LISTENER.begin(listen)
        try:
            with _sleep_told(_LISTENER.heard):
                for _ in range(CALLS):
                    run()
        finally:
            _LISTENER.listening = False
    found = dict.fromkeys(["prints"] if said.getvalue() else [])
    found.update(_LISTENER.heard)
    after = host_variables(function)
    for name in sorted(name for name in after if after[name] != variables.get(name)):
        found[f"changes {name}"] = None
    writes = [
        f"input {position}"
        for position, (old, new) in enumerate(zip(before, _prints_of(given), strict=False))
        if old != new
    ]
    return Scrutiny(tuple(writes), tuple(found))


def _prints_of(given: Any) -> list[int]:
    """Return a fingerprint of each input; of a tree, one of all its arrays."""
    trees: Sequence[Any] = given if isinstance(given, (tuple, list)) else [given]
    found = []
    for tree in trees:
        sum_ = 0
        for leaf in flatten(tree)[0]:
            array = as_array(leaf)
            if isinstance(array, np.ndarray) and not array.dtype.hasobject:
                sum_ = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, sum_)
        found.append(sum_)
    return found


def as_array(leaf: Any) -> Any:
    """Return a tensor of any library, or a number, as an ndarray, and all else as it is."""
    if hasattr(leaf, "detach"):
        leaf = leaf.detach()
        if hasattr(leaf, "cpu"):
            leaf = leaf.cpu()
        if str(getattr(leaf, "dtype", "")) == "torch.bfloat16":
            # PyTorch does not know NumPy's, but both have the same bits
            return leaf.view(sys.modules["torch"].int16).numpy().view(bfloat16())
    is_number = isinstance(leaf, (bool, int, float, complex, np.generic))
    return np.asarray(leaf) if is_number or hasattr(leaf, "__array__") else leaf


_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_MOST = 1000


def host_variables(function: Any) -> dict[str, str]:
    """Return the plain values that a function reads from outside and could change, as text.

    Those are its closure, the globals that its code names, and the attributes of the object that it
    belongs to; numbers, texts, and lists and dicts of them.

    Examples
    --------
    >>> def make():
    ...     calls = 0
    ...     def step():
    ...         nonlocal calls
    ...         calls += 1
    ...     return step
    >>> step = make()
    >>> step()
    >>> host_variables(step)
    {'calls': '1'}
    """
    found: dict[str, str] = {}
    seen: set[int] = set()
    waiting = [function]
    while waiting and len(seen) < _MOST:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each = getattr(each, "__wrapped__", each)
        if isinstance(each, types.MethodType):
            waiting.append(each.__func__)
            each = each.__self__
        if not isinstance(each, types.FunctionType):
            waiting += _parts(each, found)
            continue
        names: dict[str, Any] = {}
        for name, cell in zip(each.__code__.co_freevars, each.__closure__ or (), strict=True):
            try:
                names[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        for name in each.__code__.co_names:
            if name in each.__globals__:
                names[name] = each.__globals__[name]
        for name, value in names.items():
            if _is_plain(value):
                found[name] = repr(value)
            elif isinstance(value, (types.FunctionType, types.MethodType)):
                waiting.append(value)
    return found


def _parts(thing: Any, found: dict[str, str]) -> list[Any]:
    """Enter the plain attributes of an object, and return its call and its parts."""
    own = getattr(thing, "__dict__", None)
    if not isinstance(own, dict) or isinstance(thing, (type, types.ModuleType)):
        return []
    for name, value in own.items():
        if _is_plain(value):
            found[f"{type(thing).__name__}.{name}"] = repr(value)
    calls = [getattr(type(thing), name, None) for name in ("__call__", "forward")]
    return [each for each in calls if isinstance(each, types.FunctionType)]


def _is_plain(value: Any) -> bool:
    if type(value) in _PLAIN:
        return True
    if type(value) in (list, tuple, set):
        return len(value) < _MOST and all(type(each) in _PLAIN for each in value)
    if type(value) is dict:
        return len(value) < _MOST and all(
            type(key) in _PLAIN and type(each) in _PLAIN for key, each in value.items()
        )
    return False
