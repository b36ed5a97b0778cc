"""How a build's time and memory grow with the program: ``python -m bench.builds``.

Each class of programs is declared and built by the native backend at several sizes, without the
cache. The exponent is the slope of the least squares line through (log nodes, log seconds): 1 is
linear. The peak of memory is that of Python's objects, by `tracemalloc`, in a build of its own. At
last 1,000 builds of small programs must leave neither objects nor memory behind.
"""

import argparse
import gc
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import staticgraph as sg
from oplibrary.machine.cache import bypassed

LENGTH = 256
EXPONENT = 1.2
"""The largest that is taken for linear: a factor of 2 in size costs at most 2.3 in time."""
BUILDS = 1000
LEFT_BYTES = 512
"""Of memory that each build may leave behind: what allocators keep in pieces."""
LEFT_OBJECTS = 0.01


def chain(n):
    """Declare elementwise ops, each of the one before."""
    x = y = sg.placeholder("x", (LENGTH,))
    for _ in range(n // 2):
        y = sg.tanh(y * 1.5)
    return y, [x]


def wide(n):
    """Declare values of one input, and their sum."""
    x = sg.placeholder("x", (LENGTH,))
    total, *others = [sg.sin(x * float(i)) for i in range(max(n // 3, 1))]
    for y in others:
        total = total + y
    return total, [x]


def many_outputs(n):
    """Declare values of one input, each a result."""
    x = sg.placeholder("x", (LENGTH,))
    return [sg.sin(x * float(i + 1)) for i in range(n // 2)], [x]


def stencil(n):
    """Declare steps of Jacobi's method in slices and concat, unrolled."""
    x = a = sg.placeholder("x", (64, 64))
    for _ in range(max(n // 16, 1)):
        inner = a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]
        middle = sg.concat([a[1:-1, :1], inner * 0.2, a[1:-1, -1:]], axis=1)
        a = sg.concat([a[:1], middle, a[-1:]], axis=0)
    return a, [x]


def gathers(n):
    """Declare selections by indices, each of the one before."""
    x, i = sg.placeholder("x", (LENGTH,)), sg.placeholder("i", (LENGTH,), "int64")
    y = x
    for _ in range(n // 2):
        y = sg.tanh(sg.take(y, i))
    return y, [x, i]


def products(n):
    """Declare small matrix products, each of the one before."""
    x, w = sg.placeholder("x", (8, 16)), sg.placeholder("w", (16, 16))
    y = x
    for _ in range(n // 2):
        y = sg.tanh(y @ w)
    return y, [x, w]


def loops(n):
    """Declare loops, one after the other."""
    x = y = sg.placeholder("x", (LENGTH,))
    for _ in range(max(n // 3, 1)):
        y = sg.fori_loop(0, 5, lambda _, c: sg.tanh(c) * 2, y)
    return y, [x]


def loop_body(n):
    """Declare one loop with a long body."""
    x = sg.placeholder("x", (LENGTH,))

    def body(_, c):
        for _ in range(n // 2):
            c = sg.tanh(c * 1.5)
        return c

    return sg.fori_loop(0, 5, body, x), [x]


def nested(n):
    """Declare branches in branches and loops, in turns."""
    x = sg.placeholder("x", ())

    def inside(depth, y):
        if not depth:
            return y * 2
        if depth % 2:
            return sg.cond(y > depth, lambda: inside(depth - 1, y + 1), lambda: y * 3)
        return sg.fori_loop(0, 2, lambda _, c: inside(depth - 1, c) + 1, y)

    return inside(max(n // 50, 1), x), [x]


CLASSES = {
    chain: (500, 1000, 2000, 4000, 8000),
    wide: (500, 1000, 2000, 4000, 8000),
    many_outputs: (500, 1000, 2000, 4000, 8000),
    stencil: (250, 500, 1000, 2000),
    gathers: (250, 500, 1000, 2000, 4000),
    products: (250, 500, 1000, 2000, 4000),
    loops: (100, 200, 400, 800),
    loop_body: (500, 1000, 2000, 4000),
    nested: (250, 500, 1000),
}
"""Functions that declare about so many nodes, and the sizes that are built."""


@dataclass(frozen=True)
class Growth:
    """What was measured of a class.

    Attributes
    ----------
    name : str
    nodes : tuple of int
        About how many each size had, those of branches and loops included.
    seconds : tuple of float
        What declaring and building each took, the least of a few.
    peak : int
        Bytes of Python's objects in the largest build, at most.
    """

    name: str
    nodes: tuple[int, ...]
    seconds: tuple[float, ...]
    peak: int

    @property
    def exponent(self):
        return fit_exponent(self.nodes, self.seconds)


def fit_exponent(sizes, seconds):
    """Return the slope of the least squares line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def build(program, n):
    """Declare and build; return the seconds."""
    start = time.perf_counter()
    with sg.Graph(), bypassed():
        outputs, inputs = program(n)
        sg.compile(outputs, inputs, backend="native")
    return time.perf_counter() - start


def grow(program, sizes, rounds=3):
    """Measure a class of programs."""
    build(program, sizes[0])  # what is loaded when it is first asked for
    seconds = []
    for n in sizes:
        found = []
        for _ in range(rounds):
            gc.collect()
            found.append(build(program, n))
        seconds.append(min(found))
    tracemalloc.start()
    build(program, sizes[-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Growth(program.__name__, tuple(sizes), tuple(seconds), peak)


def resident_bytes():
    """Return how much memory the process holds, of Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def left_behind(builds=BUILDS):
    """Return objects and bytes that each build of a small program leaves behind."""
    programs = [program for program in CLASSES if program is not nested]

    def build_some(count):
        for i in range(count):
            build(programs[i % len(programs)], 20)
        gc.collect()

    build_some(max(builds // 5, len(programs)))  # caches with a bound are full
    objects, memory = len(gc.get_objects()), resident_bytes()
    build_some(builds)
    return (len(gc.get_objects()) - objects) / builds, (resident_bytes() - memory) / builds


def main(arguments=None):
    """Print the table; return 1 if a class is not linear or builds leave something behind."""
    parser = argparse.ArgumentParser(prog="python -m bench.builds", description=__doc__)
    parser.add_argument("classes", nargs="*", help="by default all")
    parser.add_argument(
        "--builds", type=int, default=BUILDS, help="of the check for leaks; 0: none"
    )
    options = parser.parse_args(arguments)
    known = {program.__name__: program for program in CLASSES}
    unknown = set(options.classes) - set(known)
    if unknown:
        parser.error(f"no such class: {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    kept = True
    for name in options.classes or known:
        growth = grow(known[name], CLASSES[known[name]])
        good = growth.exponent <= EXPONENT
        kept = kept and good
        print(
            f"{growth.exponent:>6.2f} (at most {EXPONENT:g}) {'kept' if good else 'NOT KEPT':<8} "
            f"{name}: {growth.nodes[-1]} nodes in {growth.seconds[-1]:.2f} s, "
            f"peak {growth.peak / 2**20:.0f} MiB",
            flush=True,
        )
    if options.builds:
        objects, memory = left_behind(options.builds)
        good = objects <= LEFT_OBJECTS and memory <= LEFT_BYTES
        kept = kept and good
        print(
            f"each of {options.builds} builds leaves {objects:.3f} objects and {memory:.0f} bytes "
            f"{'kept' if good else 'NOT KEPT'}"
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
