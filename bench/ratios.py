"""What the project promises about its speed, measured on this machine: ``python -m bench.ratios``.

Each promise is a ratio, or an absolute bound where the project states one. What is compared is
timed in interleaved rounds of one process (`sidebyside.measure`): the collector is off during a
sample, PyTorch has as many threads as NumPy's BLAS, and the figure is the median over the rounds of
the ratio, or difference, within a round. Durations that are too long for many rounds take the
least of a few.
"""

import gc
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

import dyngraph as dg
import staticgraph as sg
from bench import products
from bench.programs import layers, small_ops, unlike_ops
from oplibrary.machine.cache import bypassed
from sidebyside.measuring.clock import collector_at_rest, measure
from sidebyside.measuring.environment import thread_count
from sidebyside.modes import find_mode, is_installed
from sidebyside.studies.mode_process import ModeProcess
from sidebyside.workloads.registry import load
from staticgraph.backends.registry import default_backend


@dataclass(frozen=True)
class Ratio:
    """A promise and what was measured.

    Attributes
    ----------
    promise : str
    measured, bound : float
        It is kept if `measured` is at most `bound`.
    unit : str
        ``"x"``, ``"us"`` or ``"s"``.
    detail : str
        The figures behind it.
    """

    promise: str
    measured: float
    bound: float
    unit: str
    detail: str

    @property
    def kept(self):
        return self.measured <= self.bound


def microseconds(samples):
    """Return the median of samples in ns, as µs."""
    return float(np.median(samples)) / 1000


def paired_ratio(timings, first, second):
    """Return the median over the rounds of the first mode's time over the second's."""
    return float(np.median(timings.samples[first] / timings.samples[second]))


def taped_small_op(budget=2.0):
    """Measure what recording adds to NumPy's call, for the worst of four small operations."""
    a, b = np.full(8, 0.5, np.float32), np.full(8, 1.5, np.float32)
    x, y = (dg.tensor(array, requires_grad=True) for array in (a, b))
    runs = {
        "add": (lambda: np.add(a, b), lambda: dg.add(x, y)),
        "multiply": (lambda: np.multiply(a, b), lambda: dg.multiply(x, y)),
        "tanh": (lambda: np.tanh(a), lambda: dg.tanh(x)),
        "exp": (lambda: np.exp(a), lambda: dg.exp(x)),
    }
    named = {}
    for name, (plain, taped) in runs.items():
        named[f"{name}, numpy"], named[f"{name}, taped"] = plain, taped
    samples = measure(named, budget).samples
    added = {
        name: microseconds(samples[f"{name}, taped"] - samples[f"{name}, numpy"]) for name in runs
    }
    plain = {name: microseconds(samples[f"{name}, numpy"]) for name in runs}
    listing = ", ".join(f"{name} {plain[name]:.2f} +{extra:.2f}" for name, extra in added.items())
    return Ratio("a taped small op adds to NumPy's call", max(added.values()), 0.7, "us", listing)


def chain_of_small_ops(budget=3.0, count=200):
    """Compare forward and backward through 200 small operations with PyTorch."""
    import torch

    torch.set_num_threads(thread_count())

    def step(xp):
        x = xp.tensor([0.5], requires_grad=True)
        w = xp.tensor([1.5], requires_grad=True)

        def run():
            small_ops(xp, x, w, count).backward()
            x.grad = w.grad = None

        return run

    timings = measure({"dyngraph": step(dg), "torch": step(torch)}, budget)
    ours, theirs = (microseconds(timings.samples[name]) for name in ("dyngraph", "torch"))
    return Ratio(
        f"chain of {count} small ops, forward and backward: dyngraph over PyTorch eager",
        paired_ratio(timings, "dyngraph", "torch"),
        0.5,
        "x",
        f"{ours:.0f} us against {theirs:.0f} us",
    )


def seed_executable(backend="numpy"):
    """Return the compiled seed, forward and both gradients, and its inputs."""
    graph = sg.Graph()
    with graph:
        x = sg.placeholder("x", (1,), "float32")
        w = sg.placeholder("w", (1,), "float32")
        y = (x + w) * (w + 1)
        dx, dw = sg.gradients(y, [x, w])
    inputs = np.array([2], np.float32), np.array([1], np.float32)
    return sg.compile([y, dx, dw], inputs=[x, w], backend=backend), inputs


def seed_call(budget=2.0):
    """Measure a call of the compiled seed."""
    executable, (x, w) = seed_executable()
    results = [float(result[0]) for result in executable(x, w)]
    assert results == [6.0, 2.0, 5.0], results
    samples = measure({"static": lambda: executable(x, w)}, budget).samples["static"]
    low, high = (np.percentile(samples, [5, 95]) / 1000).tolist()
    return Ratio(
        "seed, forward and both gradients: a call of the Executable",
        microseconds(samples),
        5.0,
        "us",
        f"90% of the rounds between {low:.2f} and {high:.2f} us",
    )


def bound_call(budget=2.0):
    """Compare a call of the seed that is bound to its arrays with one that is not."""
    executable, (x, w) = seed_executable(default_backend())
    bound = executable.bind(x, w)
    results = [float(result[0]) for result in bound()]
    assert results == [6.0, 2.0, 5.0], results
    timings = measure({"bound": bound, "unbound": lambda: executable(x, w)}, budget)
    ns = {name: 1000 * microseconds(samples) for name, samples in timings.samples.items()}
    return Ratio(
        "seed, forward and both gradients: a bound call over one that is not",
        paired_ratio(timings, "bound", "unbound"),
        0.2,
        "x",
        f"{ns['bound']:.0f} ns against {ns['unbound']:.0f} ns",
    )


class Settings:
    """Twenty numbers, each read by a traced function."""

    def __init__(self):
        for number in range(20):
            setattr(self, f"a{number}", float(number))


def guarded_call(budget=1.0):
    """Compare the check of 20 guarded attributes in each call with reading them in Python."""
    settings = Settings()
    names = [f"settings.a{number}" for number in range(20)]
    scope = {"settings": settings}
    compiled = sg.function(eval(f"lambda x: x * ({'+'.join(names)})", scope), backend="numpy")
    read = eval(f"lambda: ({','.join(names)})", scope)
    x = np.ones(3, np.float32)
    for _ in range(2):
        compiled(x)
    checking = compiled._recent.guards.failed
    assert checking() is None
    before, settings.a3 = settings.a3, -1.0
    assert checking() is not None
    settings.a3 = before
    timings = measure({"check": checking, "read": read}, budget)
    ns = {name: 1000 * microseconds(samples) for name, samples in timings.samples.items()}
    return Ratio(
        "a traced function: checking 20 attributes over reading them in Python",
        paired_ratio(timings, "check", "read"),
        2.0,
        "x",
        f"{ns['check']:.0f} ns against {ns['read']:.0f} ns",
    )


def digits_step(budget=4.0):
    """Compare a training step of mlp_digits: static with dynamic, and dynamic with PyTorch."""
    workload = load("mlp_digits")
    inputs = workload.make_inputs(workload.sizes[0])
    modes = ("static", "dynamic", *(["torch"] if is_installed("torch") else []))
    runs = {mode: find_mode(mode).prepare(workload, inputs).run for mode in modes}
    timings = measure(runs, budget)
    us = {mode: microseconds(timings.samples[mode]) for mode in modes}
    ratios = [
        Ratio(
            "mlp_digits step: static over dynamic",
            paired_ratio(timings, "static", "dynamic"),
            0.6,
            "x",
            f"{us['static']:.0f} us against {us['dynamic']:.0f} us",
        )
    ]
    if "torch" in us:
        ratios.append(
            Ratio(
                "mlp_digits step: dynamic over PyTorch eager",
                paired_ratio(timings, "dynamic", "torch"),
                0.8,
                "x",
                f"{us['dynamic']:.0f} us against {us['torch']:.0f} us",
            )
        )
    return tuple(ratios)


def run_long_tape(count):
    """Return the seconds of recording, of backward and of freeing `count` operations.

    The collector is off, so that whatever is freed is freed by counting references.
    """
    gc.collect()
    gc.disable()
    try:
        x = dg.tensor([1.0], requires_grad=True)
        started = time.perf_counter()
        y = x
        for _ in range(count):
            y = -y
        recorded = time.perf_counter()
        y.backward()
        pulled = time.perf_counter()
        assert abs(x.grad.item()) == 1
        del y, x
        freed = time.perf_counter()
    finally:
        gc.enable()
    return recorded - started, pulled - recorded, freed - pulled


def long_tape(short=100_000, long=1_000_000):
    """Compare the tapes of 100,000 and of a million operations, and look for what stays behind."""
    run_long_tape(1_000)
    before = sys.getallocatedblocks()
    least = {
        count: np.min([sum(run_long_tape(count)) for _ in range(rounds)])
        for count, rounds in ((short, 3), (long, 1))
    }
    left = sys.getallocatedblocks() - before
    return (
        Ratio(
            "tape of 1,000,000 ops over one of 100,000: recorded, pulled back and freed",
            float(least[long] / least[short]),
            15.0,
            "x",
            f"{least[long]:.2f} s against {least[short]:.3f} s",
        ),
        Ratio(
            "share of the million ops that is still in memory after it was freed",
            max(left, 0) / long,
            0.01,
            "x",
            f"{left} blocks of memory more than before, with the collector off",
        ),
    )


PROGRAMS = {
    "a deep network": lambda count: sg.trace(
        lambda x, w, b: layers(sg, x, w, b, count),
        sg.TensorType((8, 16)),
        sg.TensorType((16, 16)),
        sg.TensorType((16,)),
    ),
    "elementwise ops": lambda count: sg.trace(
        lambda x, w: unlike_ops(sg, x, w, count), sg.TensorType((16,)), sg.TensorType((16,))
    ),
}
"""Name of a program: a function that declares it with about as many nodes as are asked for."""


def compile_seconds(declare, count, backend="numpy"):
    """Return the seconds it takes to declare, and to compile, a graph of `count` nodes."""
    started = time.perf_counter()
    graph = declare(count)
    declared = time.perf_counter()
    with bypassed():  # what an earlier build left on disk
        sg.compile(graph.outputs, inputs=graph.inputs, backend=backend)
    return declared - started, time.perf_counter() - declared


def large_compile(small=1_000, large=10_000):
    """Measure how long 10,000 nodes take to compile, and compare with 1,000.

    The seconds include the collector, as a user has it. The growth does not: what the collector
    adds depends on everything else in the process.
    """
    seconds, growth = {}, {}
    for name, declare in PROGRAMS.items():
        compile_seconds(declare, 100)
        seconds[name] = np.min([compile_seconds(declare, large) for _ in range(2)], axis=0)
        with collector_at_rest():
            short = np.min([compile_seconds(declare, small) for _ in range(3)], axis=0)
            long = np.min([compile_seconds(declare, large) for _ in range(2)], axis=0)
        growth[name] = float(long[1] / short[1])
    listing = "; ".join(
        f"{name} {compiled:.2f} s, declared in {declared:.2f} s"
        for name, (declared, compiled) in seconds.items()
    )
    factors = "; ".join(f"{name} {factor:.1f}" for name, factor in growth.items())
    slowest = max(float(compiled) for _, compiled in seconds.values())
    return (
        Ratio(f"compiling {large:,} nodes", slowest, 2.0, "s", listing),
        Ratio(
            f"compiling {large:,} nodes over {small:,}, the collector off",
            max(growth.values()),
            15.0,
            "x",
            factors,
        ),
    )


def long_loop(budget=4.0, steps=1_000, hidden=64):
    """Compare a recurrent loop of 1,000 steps in the graph with the same loop in dyngraph."""
    rng = np.random.default_rng(0)
    w, u = (rng.standard_normal((hidden, hidden)).astype(np.float32) * 0.1 for _ in range(2))
    start, xs = np.zeros(hidden, np.float32), rng.standard_normal((steps, hidden))
    arrays = (w, u, start, xs.astype(np.float32))

    def last(xp, w, u, start, xs):
        return xp.sum(xp.scan(lambda h, x: (xp.tanh(h @ w + x @ u), None), start, xs)[0])

    tensors = [
        dg.tensor(array, requires_grad=position < 2) for position, array in enumerate(arrays)
    ]
    forward = sg.function(lambda *a: last(sg, *a), backend="numpy")
    both = sg.function(sg.grad(lambda *a: last(sg, *a), argnums=(0, 1)), backend="numpy")

    def gradients():
        last(dg, *tensors).backward()
        found = [x.grad for x in tensors[:2]]
        for x in tensors[:2]:
            x.grad = None
        return found

    assert all(
        np.array_equal(a, b.numpy()) for a, b in zip(both(*arrays), gradients(), strict=True)
    )
    ratios = []
    for what, static, dynamic in (
        ("forward", lambda: forward(*arrays), lambda: last(dg, *tensors)),
        ("forward and backward", lambda: both(*arrays), gradients),
    ):
        timings = measure({"static": static, "dynamic": dynamic}, budget / 2)
        us = {name: microseconds(timings.samples[name]) for name in ("static", "dynamic")}
        ratios.append(
            Ratio(
                f"scan of {steps:,} steps, hidden {hidden}, {what}: static over dynamic",
                paired_ratio(timings, "static", "dynamic"),
                0.5,
                "x",
                f"{us['static'] / 1000:.2f} ms against {us['dynamic'] / 1000:.2f} ms",
            )
        )
    return tuple(ratios)


def medians(make, modes, rounds=15):
    """Return the median ns of a call of a workload in each mode, each in a process of its own."""
    processes = {mode: ModeProcess(mode) for mode in modes}
    try:
        for process in processes.values():
            process.ask("start", make, None)
        calls = {mode: max(1, int(5e6 / each.ask("warm_up"))) for mode, each in processes.items()}
        samples = {mode: [] for mode in modes}
        for _ in range(rounds):
            for mode, process in processes.items():
                samples[mode].append(process.ask("sample", calls[mode]))
    finally:
        for process in processes.values():
            process.close()
    return {mode: float(np.median(taken)) for mode, taken in samples.items()}


def native_product():
    """Compare products of matrices by the native backend with NumPy's call of its BLAS."""
    ratios = []
    for make in (products.of_512, products.of_1024):
        ns = medians(make, ("static:native", "numpy"))
        ours, blas = ns["static:native"], ns["numpy"]
        ratios.append(
            Ratio(
                f"matrix product, {make().title}: native over BLAS alone",
                ours / blas,
                1 / 0.95,
                "x",
                f"{ours / 1e3:,.0f} us against {blas / 1e3:,.0f} us",
            )
        )
    return tuple(ratios)


def native_bandwidth(size=4_000_000):
    """Compare the time of a kernel that memory bounds with that of copying as many bytes."""
    x = np.arange(size, dtype=np.float32)
    kernel = sg.function(lambda x: x * 2 + 1, backend="native")
    halves = [(np.empty_like(part), part) for part in np.array_split(x, thread_count())]

    def copy(pool):
        list(pool.map(lambda pair: np.copyto(*pair), halves))

    with ThreadPoolExecutor(len(halves)) as pool:
        timings = measure({"kernel": lambda: kernel(x), "copy": lambda: copy(pool)}, 3.0)
    us = {name: microseconds(timings.samples[name]) for name in ("kernel", "copy")}
    return Ratio(
        f"2x + 1 of {size:,} numbers: native over a copy by as many threads",
        paired_ratio(timings, "kernel", "copy"),
        1 / 0.85,
        "x",
        f"{us['kernel']:,.0f} us against {us['copy']:,.0f} us",
    )


def native_build(small=3_000, large=30_000):
    """Compare how long the native backend takes to compile 30,000 nodes and 3,000."""
    with collector_at_rest():
        seconds = {
            count: min(
                compile_seconds(PROGRAMS["a deep network"], count, "native")[1]
                for _ in range(rounds)
            )
            for count, rounds in ((small, 2), (large, 1))
        }
    return Ratio(
        f"compiling {large:,} nodes over {small:,}, native",
        seconds[large] / seconds[small],
        15.0,
        "x",
        f"{seconds[large]:.2f} s against {seconds[small]:.2f} s",
    )


def open_lengths(budget=4.0):
    """Compare machine code for all lengths with that for one: a training step, and a small call."""

    def step(x, w, v):
        error = sg.mean((sg.tanh(x @ w) @ v) ** 2)
        return [error, *sg.gradients(error, [w, v])]

    def small(x, w, v):
        return [sg.tanh(x[:, 0]) * 2.0]

    def compiled(function, rows):
        with sg.Graph():
            shapes = {"x": (rows, 64), "w": (64, 256), "v": (256, 16)}
            inputs = [sg.placeholder(name, shape) for name, shape in shapes.items()]
            return sg.compile(function(*inputs), inputs, backend="native")

    ratios = []
    draws = np.random.default_rng(0)
    for function, title, rows, bound in (
        (step, "a training step of 1,000 rows", 1_000, 1.5),
        (small, "one small op", 8, 2.0),
    ):
        shapes = ((rows, 64), (64, 256), (256, 16))
        arrays = [draws.standard_normal(shape).astype(np.float32) for shape in shapes]
        runs = {
            "open": compiled(function, sg.dim("open_rows")),
            "known": compiled(function, rows),
        }
        assert "built once for all of them" in runs["open"].report()
        for one, other in zip(*[run(*arrays) for run in runs.values()], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
        timings = measure(
            {name: lambda run=run, arrays=arrays: run(*arrays) for name, run in runs.items()},
            budget,
        )
        us = {name: microseconds(samples) for name, samples in timings.samples.items()}
        ratios.append(
            Ratio(
                f"{title}: machine code for all lengths over that for one",
                paired_ratio(timings, "open", "known"),
                bound,
                "x",
                f"{us['open']:,.1f} us against {us['known']:,.1f} us",
            )
        )
    return tuple(ratios)


def start_up(pairs=41):
    """Compare processes that import dyngraph with those that import NumPy, by CPU time."""

    def cpu_seconds(package):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", f"import {package}"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    taken = np.array([[cpu_seconds("dyngraph"), cpu_seconds("numpy")] for _ in range(pairs)])
    ours, theirs = 1000 * np.median(taken, axis=0)
    return Ratio(
        "import dyngraph over import numpy",
        float(np.median(taken[:, 0] / taken[:, 1])),
        1.3,
        "x",
        f"{ours:.0f} ms against {theirs:.0f} ms",
    )


CHECKS = (
    start_up,
    taped_small_op,
    chain_of_small_ops,
    seed_call,
    bound_call,
    guarded_call,
    digits_step,
    long_tape,
    large_compile,
    long_loop,
    native_product,
    native_bandwidth,
    native_build,
    open_lengths,
)
"""Functions that measure; each returns a Ratio or several."""


def measured(check):
    """Return what `check` measured as a tuple."""
    found = check()
    return found if isinstance(found, tuple) else (found,)


def row(ratio):
    """Return a line of the table."""
    verdict = "kept" if ratio.kept else "NOT KEPT"
    return (
        f"{ratio.measured:>9.3f} {ratio.unit:<2} (at most {ratio.bound:g}) {verdict:<8}  "
        f"{ratio.promise}\n{'':>40}{ratio.detail}"
    )


def main(names):
    """Print the table of the checks called `names`, or of all; return 1 if one is not kept."""
    known = {check.__name__: check for check in CHECKS}
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"no such check: {', '.join(unknown)}; choose from {', '.join(known)}")
        return 2
    print(f"{thread_count()} threads for every library, Python {sys.version.split()[0]}")
    kept = True
    for name in names or known:
        try:
            ratios = measured(known[name])
        except ModuleNotFoundError as error:
            print(f"{'-':>9} {name}: left out, {error.name} is not installed")
            continue
        for ratio in ratios:
            print(row(ratio), flush=True)
            kept = kept and ratio.kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
