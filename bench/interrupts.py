"""How soon Ctrl-C ends a loop in machine code: ``python -m bench.interrupts``.

The time is that from the signal to the ``KeyboardInterrupt``, in seconds. The bound is 0.2 s.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import staticgraph as sg

BOUND = 0.2
RUNS_BEFORE = 1.5
"""Seconds that a loop runs before the signal comes; its build takes less."""


def loops() -> Iterator[tuple[str, Callable[..., Any], Any]]:
    """Yield loops that run for much longer than a second, each with what it begins with."""
    steps = 20_000_000
    yield "few numbers", lambda i, c: sg.tanh(c) * 0.999 + 1, (steps, np.ones(3))
    yield "many numbers", lambda i, c: sg.tanh(c) + i * 0.5, (steps // 10, np.ones(1000))
    yield "products", lambda i, c: sg.tanh(c @ c), (steps // 100, np.ones((256, 256)) / 300)
    yield "a loop inside", _inner, (steps // 1000, np.ones(3))
    yield "a loop without a known end inside", _search, (steps // 10, np.ones(3))


def _inner(i: Any, c: Any) -> Any:
    return sg.fori_loop(0, 20_000, lambda j, d: d * 0.5 + j + i, c)


def _search(i: Any, c: Any) -> Any:
    return sg.while_loop(lambda d: d[0] < 1e6, lambda d: d + 1, c * 0)


def seconds_until_seen(body: Callable[..., Any], steps: int, begin: Any) -> float:
    """Return the seconds from the signal to the exception."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    run = sg.function(lambda x: sg.fori_loop(0, steps, body, x), backend="native")
    timer = threading.Timer(RUNS_BEFORE, send)
    timer.start()
    try:
        run(begin)
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0]
    raise AssertionError("the loop ended before the signal came")


def main() -> int:
    """Print a line a loop; return 1 if one is above the bound."""
    worst = 0.0
    sg.function(lambda x: x + 1, backend="native")(np.ones(3))  # load the compiler
    for name, body, (steps, begin) in loops():
        taken = seconds_until_seen(body, steps, begin)
        worst = max(worst, taken)
        print(f"{name:36}{taken:8.3f} s")
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
