"""Processes of their own, so that a crash or a hang is a result like any other.

A process runs one function of this library, takes messages and gives answers. Between two messages
it may stand still: libraries that share the processors disturb each other, since the threads of one
spin for a while after its work, on those that the next one needs.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, Any, NoReturn

from oplibrary.messages.errors import WorkloadError

Take = Callable[[], Any]
"""Returns the next message; raises EOFError after the last one."""

Give = Callable[[Any], None]
"""Sends an answer."""

Work = Callable[[Take, Give], None]
"""What a process does; a function that can be imported by its name."""

_SIGNAL_AT_THE_STARTERS_END = 1
"""``PR_SET_PDEATHSIG`` of Linux's ``prctl``."""

MOST_SAID = 1 << 20
"""Bytes of the error stream of a process that are kept from one message to the next."""

CAN_STOP = hasattr(signal, "SIGSTOP") and hasattr(os, "killpg")
"""Whether the system lets a process stand still."""


class LostProcessError(Exception):
    """A process ended, or did not answer in time, before its work was done.

    Attributes
    ----------
    timed_out : bool
    """

    def __init__(self, text: str, timed_out: bool = False) -> None:
        super().__init__(text)
        self.timed_out = timed_out


class WorkerProcess(AbstractContextManager["WorkerProcess"]):
    """A process of its own; leaving its block ends it, and all that it started.

    Parameters
    ----------
    work : callable
        ``work(take, give)``, run in the process. What it prints goes to its error stream.
    environment : mapping of str to str
        Added to that of the process.
    """

    def __init__(self, work: Work, environment: Mapping[str, str] | None = None) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        # the same modules as here, however they were found
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from {work.__module__} import {work.__name__} as work; "
            f"from {__name__} import serve; serve(work)"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[tuple[Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with suppress(EOFError, pickle.UnpicklingError, OSError, ValueError):
            while True:
                self._answers.put((pickle.load(self._process.stdout),))
        self._answers.put(None)

    def send(self, message: Any) -> None:
        """Send one message; a process that has ended does not mind."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(pickle.dumps(message))
            self._process.stdin.flush()

    def receive(self, timeout: float) -> Any:
        """Return the next answer, which may take `timeout` seconds.

        Raises
        ------
        LostProcessError
            If there will be none.
        """
        try:
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise LostProcessError(f"did not end within {timeout:g} s", timed_out=True) from None
        if answer is None:
            raise LostProcessError(self._ending())
        return answer[0]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the process run inside the block, and stand still after it."""
        self._signal("SIGCONT")
        try:
            yield
        finally:
            self._signal("SIGSTOP")

    def _signal(self, name: str) -> None:
        if CAN_STOP and self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, getattr(signal, name))

    def _ending(self) -> str:
        code = self._process.wait()
        text = f"ended with exit code {code}"
        if code < 0:
            with suppress(ValueError):
                text = f"ended by {signal.Signals(-code).name}"
        said = self._last_words()
        return f"{text}: {said}" if said else text

    def _last_words(self) -> str:
        """Return the line of the error stream that says why the process ended."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        lines = [line for line in lines if line.strip()]
        for line in lines:
            if line.startswith("Fatal Python error"):
                return line
        return lines[-1].strip() if lines else ""

    def close(self) -> None:
        """End the process, and all that it started."""
        if self._process.poll() is None and hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        elif self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._said.close()

    def __exit__(self, *_: object) -> None:
        self.close()


# in the other process -----------------------------------------------------------------------------


def serve(work: Work) -> None:
    """Do `work` with the messages of the standard input.

    They are read from a descriptor of their own, as a program may read the standard input, which
    has nothing. Answers go to what was the standard output; what is printed goes to the error
    stream, of which the end alone is kept.
    """
    faulthandler.enable()
    _end_with_the_starter()
    messages, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    turn_to_nothing(0)
    os.dup2(2, 1)

    def take() -> Any:
        with suppress(OSError):  # a program may have closed it
            if os.fstat(2).st_size > MOST_SAID:
                os.ftruncate(2, 0)
                os.lseek(2, 0, os.SEEK_SET)
        return pickle.load(messages)

    def give(answer: Any) -> None:
        pickle.dump(answer, answers)
        answers.flush()

    work(take, give)


def turn_to_nothing(descriptor: int) -> None:
    """Let a descriptor read nothing, or write to nowhere."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor)
    os.close(nothing)


class ReturnedCopies:
    """Copies of this process that a program made by forking, and that came back from it.

    Each would go on with what this process does beside it: it ends here, and leaves a mark.
    """

    def __init__(self) -> None:
        self._own = os.getpid()
        self._mark = mmap.mmap(-1, 1)  # which copies share

    def end(self) -> None:
        """End this process if it is a copy.

        Raises
        ------
        WorkloadError
            In the process itself, once there has been one.
        """
        if os.getpid() != self._own:
            self._mark[0] = 1
            os._exit(0)
        if self._mark[0]:
            raise WorkloadError(
                "the program forks, and both processes return from it",
                cause="each call would leave one more process that measures beside this one",
                fix="end the copy inside of the program, as os._exit does",
            )


def _end_with_the_starter() -> None:
    """Have the system kill this process once the one that started it is gone, however it ended.

    It reads that by the end of its messages, too, but not while it is made to stand still.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_SIGNAL_AT_THE_STARTERS_END, int(signal.SIGKILL))


def in_a_copy(work: Callable[[], None], parent: int) -> None:
    """Do something in a copy of this process, and end as the copy does if that ends badly.

    Both end when the process `parent`, which started this one, is gone: the work may never end.
    Where processes cannot be copied, it is done in this one.
    """
    if not hasattr(os, "fork"):
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        work()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX warns of copies; it has not begun to compute here
        copy = os.fork()
    if copy == 0:
        _work_and_end(work)
    while not (ended := os.waitpid(copy, os.WNOHANG))[0]:
        if os.getppid() != parent:
            os.kill(copy, signal.SIGKILL)
            os._exit(1)
        time.sleep(0.01)
    code = os.waitstatus_to_exitcode(ended[1])
    if code < 0:
        faulthandler.disable()  # the copy has said why it ended
        with suppress(OSError):  # nobody can change what SIGKILL does
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    elif code:
        os._exit(code)


def _work_and_end(work: Callable[[], None]) -> NoReturn:
    _end_with_the_starter()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        work()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)  # without what libraries do at the end of a process


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
