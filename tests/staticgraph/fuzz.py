"""Random programs of all ops, run by the backends and by dyngraph; a failing one is made small.

``python -m tests.staticgraph.fuzz --seeds 0:20000`` runs the programs of these seeds, in as many
processes as there are cores. A process that dies is a failure of the seed that it was at, and the
others go on. Runs are checked: memory is poisoned before each, and what was declared, compiled and
recorded must be gone in the end.
"""

import argparse
import faulthandler
import gc
import os
import random
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
from tests.staticgraph.evaluation import bounds, compare, evaluate, lowered
from tests.staticgraph.fences import FencedNumpy, fenced
from tests.staticgraph.in_place_programs import make
from tests.staticgraph.open_programs import check_open
from tests.staticgraph.random_programs import Generator
from tests.staticgraph.shrinking import describe, shrink

from dyngraph import Tensor
from oplibrary.values.tree import flatten
from staticgraph.backends.native.run import running
from staticgraph.backends.native.run.checked import VARIABLE
from staticgraph.backends.native.run.fallback import FAULT
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.binding import bind_regions
from staticgraph.compiler.feeds import Feed, convert_feeds
from staticgraph.control.region import Region
from staticgraph.graph.graph import Graph
from staticgraph.passes import DEFAULT_PASSES, run_passes

IN_PLACE = 4
"""One of so many programs writes in place, and the next is declared once more with open lengths."""
LEAVING = (Graph, Region, Tensor)
"""What must not outlive the program that it was made for."""
OPENED = [0]
"""How many programs were one piece of machine code for all lengths, in this process."""
SAMPLES = 4
"""Perturbed runs that find how far rounding carries."""


def awkward(array, choice):
    """Return an equal array that is read-only, misaligned, strided, reversed, fenced, or itself."""
    kind = choice.randrange(6)
    if kind == 0:
        return array
    if array.size < 2 and kind < 4:
        kind = 5  # of one element NumPy takes any strides for row-major, and goes other ways
    if kind == 1:
        memory = bytearray(array.nbytes + 1)
        copy = np.frombuffer(memory, array.dtype, array.size, offset=1).reshape(array.shape)
    elif kind == 2 and array.ndim:
        copy = np.empty([2 * n for n in array.shape], array.dtype)[
            tuple(slice(None, None, 2) for _ in array.shape)
        ]
    elif kind == 3 and array.ndim:
        copy = np.empty(array.shape, array.dtype)[tuple(slice(None, None, -1) for _ in array.shape)]
    elif kind == 4:
        copy = np.empty(array.shape[::-1], array.dtype).T
    else:
        copy = fenced(array.shape, array.dtype, choice.random() < 0.7)
    copy[...] = array
    copy.flags.writeable = False
    return copy


def find_difference(made, backend="native", samples=SAMPLES):
    """Return what is wrong with the results of a backend; empty if nothing is."""
    loaded = load_backend(backend)
    program, arrays = made.program, made.arrays
    feeds = [Feed(f"x{i}", value.type) for i, value in enumerate(program.inputs)]
    with np.errstate(all="ignore"), redirect_stdout(StringIO()) as printed:
        expected = bounds(program, arrays, samples if backend == "native" else 0)
        text = printed_by(evaluate, program, arrays)[1] if printed.getvalue() else ""
        try:
            final = run_passes(program, DEFAULT_PASSES) if made.optimized else program
            final = bind_regions(final, loaded, DEFAULT_PASSES if made.optimized else ())
            runner = loaded.build(final, loaded.plan(final, False))
            faults = [note for note in runner.notes if FAULT in note]
            if faults:
                return f"{backend}: {faults[0][:1000]}"
            choice = random.Random(0)

            def converted(*given):
                return runner.call(*convert_feeds(feeds, given, {}))

            call = converted
            if runner.quicken is not None:
                call = runner.quicken(call, flatten(list(program.outputs))[1])
            first = printed_by(converted, *[awkward(array, choice) for array in arrays])
            second = printed_by(call, *[awkward(array, choice) for array in arrays])
            third = printed_by(call, *arrays)
            others, written = printed_by(called_at_once, call, arrays)
        except Exception as error:
            return f"{backend}: {type(error).__name__}: {str(error)[:1000]}"
    same = unsigned_zeros(text)
    if any(unsigned_zeros(other) != same for _, other in (first, second, third)) or (
        sorted(unsigned_zeros(written)) != sorted(same * 2)  # two threads' may be mixed
    ):
        return f"{backend}: another text is printed: {first[1]}{second[1]}{third[1]}{written}"
    runs = (first[0], second[0], third[0], *others)
    for number, (a, *results) in enumerate(zip(expected, *runs, strict=True)):
        problem = compare(a, results[0])
        if not problem and any(
            (again.dtype, again.tobytes()) != (results[0].dtype, results[0].tobytes())
            for again in results[1:]
        ):
            problem = "another call gives other bits"
        if problem:
            return f"{backend}: output {number}: {problem}"
    return ""


def unsigned_zeros(text):
    """Return a text with any zero as 0: the smaller of 0 and -0 is either, as in NumPy itself."""
    return re.sub(r"[ \n]+|-(?=0\.?0*(e[+]00)?([] \n]|$))", "", text)


def printed_by(function, *arguments):
    """Return what a function returns, and what it prints."""
    with redirect_stdout(StringIO()) as printed:
        result = function(*arguments)
    return result, printed.getvalue()


def called_at_once(call, arrays):
    """Return the results of two threads that call at one time."""
    with ThreadPoolExecutor(2) as pool:
        running_calls = [pool.submit(call, *arrays) for _ in range(2)]
        return [each.result() for each in running_calls]


def find_dynamic_difference(made):
    """Return how dyngraph's results and gradients differ from those of NumPy's kernels."""
    if made.dynamic is None:
        return ""
    samples = 10 * SAMPLES if made.dynamic.regroups else 0
    with np.errstate(all="ignore"):
        _, text = printed_by(evaluate, made.program, made.arrays)
        expected, _ = printed_by(bounds, made.program, made.arrays, samples)
        try:
            results, other = printed_by(made.dynamic)
        except Exception as error:
            return f"dynamic: {type(error).__name__}: {str(error)[:1000]}"
    for number, (wanted, found) in enumerate(zip(made.expected, results, strict=False)):
        if (wanted.dtype, wanted.tobytes()) != (found.dtype, found.tobytes()):
            return f"dynamic: value {number} is not what NumPy writes\n{made.text}"
    if other != text:
        return f"dynamic: another text is printed: {other}"
    for number, (wanted, found) in enumerate(zip(expected, results, strict=False)):
        problem = compare(wanted if made.dynamic.regroups else wanted.exactly(), found)
        if problem:
            return f"dynamic: output {number}: {problem}"
    return ""


def check(seed):
    """Return the report of a failure of the program of `seed`, shrunk; empty if it works."""
    generator = Generator(seed)
    with redirect_stdout(StringIO()):
        made = make(seed) if seed % IN_PLACE == 0 else generator.make()
    problem = find_dynamic_difference(made)
    if problem:
        return f"program {seed}: {problem}\n{describe(made)}"
    for backend in ("numpy", "native"):
        problem = find_difference(made, backend)
        # what few perturbations did not show, many may
        problem = problem and find_difference(made, backend, 10 * SAMPLES)
        if problem:
            small = shrink(made, lambda m, b=backend: bool(find_difference(m, b, 5 * SAMPLES)))
            final = find_difference(small, backend, 10 * SAMPLES)
            return f"program {seed}: {problem}\nshrunk: {final}\n{describe(small)}"
    if seed % IN_PLACE != 1:
        return ""
    problem, whole = check_open(generator, seed, SAMPLES)
    OPENED[0] += whole
    return f"program {seed}, with open lengths: {problem}" if problem else ""


def run_seeds(first, stop, failures):
    """Run the programs of some seeds in this process; return how many fail."""
    os.environ.setdefault("SIDEBYSIDE_CACHE", "off")
    os.environ[VARIABLE] = "1"
    warnings.simplefilter("ignore")  # what NumPy says in other threads
    faulthandler.enable()
    running.np = fences = FencedNumpy()
    found, started = 0, time.perf_counter()
    for seed in range(first, stop):
        # written before it runs: a crash leaves it there
        print(f"seed {seed}", file=sys.stderr, flush=True)
        report = check(seed)
        if report:
            found += 1
            print(f"\n{report}", flush=True)
            if found == failures:
                stop = seed + 1
                break
    seconds = time.perf_counter() - started
    print(f"{stop - first} programs in {seconds:.0f} s, {found} failures, --seeds {first}:{stop}")
    print(f"{OPENED[0]} were one for all lengths")
    assert fences.count, "the native backend allocates elsewhere"
    kept = left_alive()
    if kept:
        print(f"\n--seeds {first}:{stop}: still there after their programs: {kept}", flush=True)
    return found + bool(kept)


def left_alive():
    """Return how many graphs, regions and tensors are still there that nobody holds, by type."""
    lowered.cache_clear()
    gc.collect()
    return dict(Counter(type(x).__name__ for x in gc.get_objects() if isinstance(x, LEAVING)))


def run_apart(first, stop, failures):
    """Run the programs of some seeds in processes of their own; return failures and their text."""
    found, texts = 0, []
    while first < stop and found < failures:
        command = [sys.executable, "-m", "tests.staticgraph.fuzz", "--jobs", "0"]
        command += ["--seeds", f"{first}:{stop}", "--failures", str(failures - found)]
        done = subprocess.run(command, capture_output=True, text=True)
        texts.append(done.stdout)
        if done.returncode in (0, 1) and "programs in" in done.stdout:
            found += done.stdout.count("\nprogram ")
            break
        seeds = [line for line in done.stderr.splitlines() if line.startswith("seed ")]
        last = int(seeds[-1].split()[1]) if seeds else first
        found += 1
        texts.append(f"\nprogram {last}: the process ended with {done.returncode}\n")
        texts.append(done.stderr.split(seeds[-1])[-1] if seeds else done.stderr)
        first = last + 1
    return found, "".join(texts)


STRETCH = 250
"""Programs of one process: what a process keeps of them is given back with it."""


def seeds_of(text):
    """Return the first seed and the one behind the last of ``A:B``."""
    first, _, stop = text.partition(":")
    return int(first), int(stop)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seeds", type=seeds_of, metavar="A:B", help="from A to B - 1")
    parser.add_argument("--programs", type=int, default=1000, help="so many, without --seeds")
    parser.add_argument("--seed", type=int, default=None, help="of the first of --programs")
    parser.add_argument("--failures", type=int, default=5, help="after which to stop")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args(arguments)
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    first, stop = options.seeds or (first, first + options.programs)
    if not options.jobs:
        return 1 if run_seeds(first, stop, options.failures) else 0
    print(f"{stop - first} programs, --seeds {first}:{stop}", flush=True)
    started, found, count = time.perf_counter(), 0, 0
    starts = range(first, stop, STRETCH)
    with ThreadPoolExecutor(options.jobs) as pool:
        parts = [
            pool.submit(run_apart, a, min(a + STRETCH, stop), options.failures) for a in starts
        ]
        for start, part in zip(starts, parts, strict=True):
            failures, text = part.result()
            found, count = found + failures, min(start + STRETCH, stop) - first
            print(text, end="", flush=True)
            if found >= options.failures:
                for other in parts:
                    other.cancel()
                break
    seconds = time.perf_counter() - started
    print(
        f"\n{count} programs in {seconds:.0f} s, {found} failures, --seeds {first}:{first + count}"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
