"""Random programs of all ops, run by the backends and by dyngraph; a failing one is made small.

``python -m tests.staticgraph.fuzz --programs 10000 --seed 0``
"""

import argparse
import faulthandler
import os
import random
import sys
import time

import numpy as np
from tests.staticgraph.evaluation import bounds, compare, evaluate
from tests.staticgraph.fences import FencedNumpy, fenced
from tests.staticgraph.random_programs import Generator
from tests.staticgraph.shrinking import describe, shrink

import dyngraph as dg
from oplibrary.core.tree import flatten
from staticgraph.backends.native.run import running
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.feeds import Feed, convert_feeds
from staticgraph.passes import DEFAULT_PASSES, run_passes

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
    with np.errstate(all="ignore"):
        expected = bounds(program, arrays, samples if backend == "native" else 0)
        try:
            final = run_passes(program, DEFAULT_PASSES) if made.optimized else program
            runner = loaded.build(final, loaded.plan(final, False))
            choice = random.Random(0)

            def converted(*given):
                return runner.call(*convert_feeds(feeds, given, {}))

            first = converted(*[awkward(array, choice) for array in arrays])
            call = converted
            if runner.quicken is not None:
                call = runner.quicken(call, flatten(list(program.outputs))[1])
            second = call(*[awkward(array, choice) for array in arrays])
            third = call(*arrays)
        except Exception as error:
            return f"{backend}: {type(error).__name__}: {str(error)[:1000]}"
    for number, (a, *results) in enumerate(zip(expected, first, second, third, strict=True)):
        problem = compare(a, results[0])
        if not problem and any(
            (again.dtype, again.tobytes()) != (results[0].dtype, results[0].tobytes())
            for again in results[1:]
        ):
            problem = "another call gives other bits"
        if problem:
            return f"{backend}: output {number}: {problem}"
    return ""


def find_dynamic_difference(made):
    """Return how dyngraph's results and gradients differ from those of NumPy's kernels."""
    if made.forward is None:
        return ""
    forward = made.forward
    with np.errstate(all="ignore"):
        values = evaluate(made.program, made.arrays)
        tensors = {
            value: dg.tensor(array, requires_grad=number in made.sources)
            for number, (value, array) in enumerate(zip(forward.inputs, made.arrays, strict=True))
        }
        sources = [tensors[forward.inputs[number]] for number in made.sources]
        tensors |= {value: dg.tensor(array) for value, array in forward.constants.items()}
        for each in forward.instructions:
            operands = [tensors[value] for value in each.inputs]
            tensors[each.output] = each.op(*operands, **each.attrs)
        *outputs, total = [tensors[value] for value in forward.outputs]
        if total.requires_grad:
            outputs += dg.grad(total, sources, unused="zero")
        for number, (value, tensor) in enumerate(zip(made.program.outputs, outputs, strict=False)):
            wanted, found = np.asarray(values[value]), tensor.detach().numpy()
            if (wanted.dtype, wanted.shape) != (found.dtype, found.shape):
                return f"dynamic: output {number} is {found.dtype}{found.shape}"
            if not np.array_equal(wanted, found, equal_nan=wanted.dtype.kind == "f"):
                return f"dynamic: output {number} is another"
    return ""


def check(seed):
    """Return the report of a failure of the program of `seed`, shrunk; empty if it works."""
    made = Generator(seed).make()
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
    return ""


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=None, help="of the first program")
    parser.add_argument("--failures", type=int, default=5, help="after which to stop")
    options = parser.parse_args(arguments)
    os.environ.setdefault("SIDEBYSIDE_CACHE", "off")
    faulthandler.enable()
    running.np = fences = FencedNumpy()
    first = options.seed if options.seed is not None else random.SystemRandom().randrange(10**9)
    print(f"{options.programs} programs, --seed {first}", flush=True)
    failures, started = 0, time.perf_counter()
    for number in range(options.programs):
        # written before it runs: a crash leaves it on the screen
        if sys.stderr.isatty() or number % 1000 == 0:
            end = "" if sys.stderr.isatty() else "\n"
            print(
                f"\rprogram {number}, seed {first + number} ", end=end, file=sys.stderr, flush=True
            )
        report = check(first + number)
        if report:
            failures += 1
            print(f"\n{report}", flush=True)
            if failures == options.failures:
                break
    seconds = time.perf_counter() - started
    print(f"\n{number + 1} programs in {seconds:.0f} s, {failures} failures, --seed {first}")
    assert fences.count, "the native backend allocates elsewhere"
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
