"""A library in a process of its own, which stands still while another one is measured.

Libraries that share a process disturb each other: the threads of one spin for a while after its
work, on the processors that the next one needs. Here each has a process, and the system stops it
(SIGSTOP) whenever it is not its turn.
"""

import gc
import multiprocessing
import os
import signal
import time
import traceback

import numpy as np

from oplibrary.core.tree import flatten, unflatten
from sidebyside.modes.static import make_mode
from sidebyside.modes.tape import numbers
from sidebyside.workloads.workload import Workload

USING_CACHE = make_mode(
    "static:native", "machine code, kept on disk", exact=False, fresh=False, backend="native"
)
_CONTEXT = multiprocessing.get_context("spawn")
STOPS = hasattr(signal, "SIGSTOP")


class PeerError(Exception):
    """What went wrong in the other process."""


class PeerProcess:
    """Runs workloads in one mode.

    Parameters
    ----------
    mode : str
        See `sidebyside.modes.MODES`.
    environment : dict of str to str
        Added to that of the process.
    patience : float
        Seconds that one request may take.
    """

    def __init__(self, mode, environment=None, patience=60.0):
        self.mode = mode
        self.patience = patience
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_serve, args=(theirs, mode), daemon=True)
        before = {name: os.environ.get(name) for name in environment or {}}
        os.environ.update(environment or {})
        try:
            self._process.start()
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        theirs.close()
        self._receive()
        self._stop()

    def ask(self, request, *arguments):
        """Return what the process answers; it runs meanwhile, and at no other time.

        Raises
        ------
        PeerError
            If it failed, died or took too long.
        """
        if STOPS:
            os.kill(self._process.pid, signal.SIGCONT)
        try:
            self._connection.send((request, arguments))
            return self._receive()
        finally:
            self._stop()

    def _receive(self):
        try:
            if not self._connection.poll(self.patience):
                self.close()
                raise PeerError(f"not done after {self.patience:.0f} s")
            failed, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise PeerError("its process died") from error
        if failed:
            raise PeerError(answer)
        return answer

    def _stop(self):
        if STOPS and self._process.is_alive():
            os.kill(self._process.pid, signal.SIGSTOP)

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


# in the other process -----------------------------------------------------------------------------


def _serve(connection, mode):
    try:
        server = _Server(mode)
        connection.send((False, None))
    except BaseException as error:
        connection.send((True, _text(error)))
        return
    while True:
        try:
            request, arguments = connection.recv()
        except EOFError:
            return
        try:
            connection.send((False, getattr(server, request)(*arguments)))
        except Exception as error:
            connection.send((True, _text(error)))


def _text(error):
    return traceback.format_exception_only(error)[-1].strip().splitlines()[0]


class _Server:
    """Answers the requests; each method is one."""

    def __init__(self, name):
        from sidebyside.modes import find_mode

        # ours with what it keeps on disk, which is measured with and without
        self.mode = USING_CACHE if name == USING_CACHE.name else find_mode(name)
        # so that the first call of a workload is not that of the library, its threads and BLAS, too
        begin = Workload(lambda xp, x: xp.tanh(x @ x), lambda rng, size: (np.ones((600, 600)),))
        self.mode.prepare(begin, begin.make_inputs(None)).run()

    def start(self, make_workload, size):
        """Make a workload ready and call it once; return the seconds that took, and the results."""
        self.workload = make_workload()
        self.inputs = self.workload.make_inputs(size)
        started = time.perf_counter()
        self.prepared = self.mode.prepare(self.workload, self.inputs)
        results = self.prepared.run()
        seconds = time.perf_counter() - started
        return seconds, self.prepared.arrays(results)

    def warm_up(self):
        """Call until it is warm; return the ns of a call."""
        from sidebyside.measuring.clock import calibrate_clock, warm_up

        gc.collect()
        gc.freeze()
        gc.disable()
        self.clock = calibrate_clock()
        return warm_up(self.prepared.run, self.clock)

    def sample(self, calls):
        """Return the ns of a call over a batch, after one that wakes what fell asleep."""
        from sidebyside.measuring.clock import take_sample

        self.prepared.run()
        return take_sample(self.prepared.run, calls, self.clock)

    def planned_bytes(self):
        """Return the peak of the buffers and results of a call, as planned."""
        return self.prepared.plan_memory()

    def peak_bytes(self):
        """Return the most bytes of arrays during a call, beside the inputs; None if unknown."""
        if self.mode.counts_memory:
            from sidebyside.measuring.memory import measure_memory

            gc.enable()
            return measure_memory(lambda: self.mode.prepare(self.workload, self.inputs).run).peak
        return _peak_of_jax(self.workload, self.inputs) if self.mode.name == "jax.jit" else None


def _peak_of_jax(workload, inputs):
    """Return the bytes of the buffers and results of a call, as XLA planned them."""
    import jax

    from sidebyside.modes import jax_eager

    call = jax_eager.program(workload)
    leaves, structure = flatten(jax_eager.on_device(inputs))
    compiled = jax.jit(lambda *x: numbers(call(*unflatten(structure, x)))).lower(*leaves).compile()
    found = compiled.memory_analysis()
    return found.temp_size_in_bytes + found.output_size_in_bytes
