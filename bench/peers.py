"""Machine code against the compilers that are installed: ``python -m bench.peers``.

Each row is a workload. In each, every library has a process of its own; they take turns, and stand
still in between. Three tables: a call in the steady state, the first call of a program (the library
itself has run before), and the memory of a call. Bounds are the largest ratio of our figure to the
fastest peer's that the project promises.

``--patience`` is how long a peer may take to build a row; what takes longer is left out there.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from bench.loops import scanned, scanned_gradients, while_loop
from sidebyside.measuring.agreement import check_agreement
from sidebyside.measuring.environment import thread_count
from sidebyside.modes import is_installed
from sidebyside.studies.mode_process import ModeProcess, ModeProcessError
from sidebyside.workloads.registry import load

OURS = "static:native"
PEERS = (
    *("jax.jit", "torch.compile", "tf.function", "tf.function:xla", "pytensor", "onnxruntime"),
    *("openvino", "iree", "casadi"),
)

ROWS = {
    "seed": (partial(load, "seed"), 1, 0.1),
    "seed, bound": (partial(load, "seed"), 1, 1.0),
    "chain 1": (partial(load, "chain"), 1, 0.2),
    "chain 1,000": (partial(load, "chain"), 1_000, 0.3),
    "chain 100,000": (partial(load, "chain"), 100_000, 0.5),
    "chain 4,000,000": (partial(load, "chain"), 4_000_000, 0.7),
    "layernorm_softmax": (partial(load, "layernorm_softmax"), (512, 512), 0.8),
    "mlp_digits": (partial(load, "mlp_digits"), 32, 0.5),
    "mlp 64": (partial(load, "mlp"), 64, 0.8),
    "cnn_digits": (partial(load, "cnn_digits"), 64, 0.8),
    "lstm_text": (partial(load, "lstm_text"), 16, 0.8),
    "attention": (partial(load, "attention"), (128, 128), 0.8),
    "scan": (scanned, None, 0.8),
    "scan, gradients": (scanned_gradients, None, 0.8),
    "while_loop": (while_loop, None, 0.8),
}
"""Label: what makes the workload, its size, and the promised ratio of a steady call."""

BOUND = {"seed, bound": {OURS: "static:native:bound", "casadi": "casadi:buffer"}}
"""Rows of calls that are bound to their arrays, and who has such: by column, the mode."""

LOOPS = frozenset({"scan", "scan, gradients", "while_loop"})
"""Their memory, a few kilobytes, is shown, and nothing is promised of it."""

COLD, WARM = 0.5, 0.1
"""Promised ratios of our first call to JAX's, without and with object code in the cache."""
LONGEST_COLD = 2.0
"""Seconds that any first call may take."""


class Row:
    """One workload in every library."""

    def __init__(self, label, peers, patience, budget):
        self.label = label
        self.make, self.size, self.bound = ROWS[label]
        self.patience = patience
        self.budget = budget
        self.failures = {}
        self.first = {}
        self.steady = {}
        self.peak = {}
        with tempfile.TemporaryDirectory() as cache:
            # as on any machine: modules are not compiled anew in every process
            variables = {"PYTHONDONTWRITEBYTECODE": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
            self._measure(peers, {"SIDEBYSIDE_CACHE": str(Path(cache) / "cache"), **variables})

    def _measure(self, peers, environment):
        processes, results = {}, {}
        try:
            modes = BOUND.get(self.label, {key: key for key in (OURS, *peers)})
            modes = {key: mode for key, mode in modes.items() if key in (OURS, *peers)}
            # ours twice: the second process finds what the first one left in the cache
            for key, mode in [("cold", modes[OURS]), *modes.items()]:
                try:
                    process = ModeProcess(mode, environment, self.patience)
                    processes[key] = process
                    self.first[key], results[key] = process.ask(
                        "start", self.make, self.size, key not in ("cold", OURS)
                    )
                    if key != "cold":
                        self._agree(key, results)
                except ModeProcessError as error:
                    self.failures[key] = str(error)
                if key in processes and (key == "cold" or key in self.failures):
                    processes.pop(key).close()
            self._time(processes)
            for key, process in processes.items():
                self.peak[key] = process.ask("peak_bytes")
            if OURS in processes:
                self.peak["plan"] = processes[OURS].ask("planned_bytes")
            with ModeProcess("dynamic", patience=self.patience) as process:
                process.ask("start", self.make, self.size)
                self.peak["dynamic"] = process.ask("peak_bytes")
        except ModeProcessError as error:
            self.failures.setdefault(OURS, str(error))
        finally:
            for process in processes.values():
                process.close()

    def _agree(self, key, results):
        """Refuse results that differ from ours: a time of theirs would mean nothing."""
        try:
            check_agreement(
                results[key],
                results["cold"],
                pair=f"{key} and {OURS}",
                tolerance=self.make().tolerance,
            )
        except Exception as error:
            raise ModeProcessError(f"other results: {str(error).splitlines()[0]}") from error

    def _time(self, processes):
        warm = {key: process.ask("warm_up") for key, process in processes.items()}
        share = self.budget * 1e9 / max(len(processes), 1) / ROUNDS
        samples = {key: [] for key in processes}
        rng = np.random.default_rng(0)
        for _ in range(ROUNDS):
            for key in rng.permutation(list(processes)):
                calls = max(1, int(min(share, 5e6) / max(warm[key], 1.0)))
                samples[key].append(processes[key].ask("sample", calls))
        self.steady = {key: float(np.median(taken)) / 1e3 for key, taken in samples.items()}

    @property
    def ratio(self):
        """Our steady call over the fastest peer's."""
        others = [us for key, us in self.steady.items() if key != OURS]
        return self.steady[OURS] / min(others) if others and OURS in self.steady else None


ROUNDS = 15


def verdict(ratio, bound):
    """Return a ratio beside its bound, as text."""
    if ratio is None:
        return f"{'-':>8}{bound:>7.2g}"
    return f"{ratio:>8.3f}{bound:>7.2g}{'' if ratio <= bound else '  NOT KEPT'}"


def cell(figure, form):
    """Return a figure as text, or a dash."""
    return f"{'-' if figure is None else format(figure, form):>14}"


def ratio_of(row, table, ours, other):
    """Return one figure of a row over another, if both are there."""
    found = getattr(row, table)
    return found[ours] / found[other] if found.get(ours) and found.get(other) else None


def main(arguments):
    """Print the tables; return 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--budget", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    options = parser.parse_args(arguments)
    peers = [peer for peer in options.peers.split(",") if is_installed(peer)]
    wanted = [label for label in ROWS if not options.rows or label in options.rows]
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; choose from {', '.join(ROWS)}")
    keys = [OURS, *peers]
    print(f"{thread_count()} threads for every library. A call, microseconds, medians:")
    print(f"{'':<20}" + "".join(f"{key:>14.14}" for key in keys) + "   ratio  bound")
    rows = []
    for label in wanted:
        row = Row(label, peers, options.patience, options.budget)
        rows.append(row)
        figures = "".join(cell(row.steady.get(key), ",.2f") for key in keys)
        print(f"{label:<20}{figures}{verdict(row.ratio, row.bound)}", flush=True)
    kept = all(row.ratio is None or row.ratio <= row.bound for row in rows)
    kept &= _print_first_calls(rows, peers)
    kept &= _print_memory(rows)
    for row in rows:
        for key, why in row.failures.items():
            print(f"{row.label}, {key}: {why}")
    if options.json is not None:
        found = {
            row.label: {"us": row.steady, "first_s": row.first, "peak_bytes": row.peak}
            for row in rows
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if kept else 1


def _print_first_calls(rows, peers):
    print("\nThe first call of a program, ms (ours: cold, then with object code in the cache):")
    keys = ["cold", OURS, *peers]
    titles = ["ours, cold", "ours, warm", *peers]
    print(
        f"{'':<20}"
        + "".join(f"{title:>14.14}" for title in titles)
        + "    cold  bound    warm  bound"
    )
    kept = True
    for row in rows:
        figures = "".join(
            cell(row.first[key] * 1e3 if key in row.first else None, ",.1f") for key in keys
        )
        cold = ratio_of(row, "first", "cold", "jax.jit")
        warm = ratio_of(row, "first", OURS, "jax.jit")
        print(f"{row.label:<20}{figures}{verdict(cold, COLD)}{verdict(warm, WARM)}")
        kept &= (cold is None or cold <= COLD) and (warm is None or warm <= WARM)
        kept &= row.first.get("cold", 0) <= LONGEST_COLD
    return kept


def _print_memory(rows):
    print("\nThe peak of a call, bytes beside the inputs; measured, and as planned by both:")
    titles = ("ours", "dynamic", "plan of ours", "plan of JAX")
    print(f"{'':<20}{''.join(f'{t:>14}' for t in titles)}    measured       plans")
    kept = True
    for row in rows:
        keys = (OURS, "dynamic", "plan", "jax.jit")
        figures = "".join(cell(row.peak.get(key), ",") for key in keys)
        pairs = ((OURS, "dynamic"), ("plan", "jax.jit"))
        ratios = [ratio_of(row, "peak", *pair) for pair in pairs]
        bound = float("inf") if row.label in LOOPS else 1.0
        print(f"{row.label:<20}{figures}" + "".join(verdict(each, bound) for each in ratios))
        kept &= all(each is None or each <= bound for each in ratios)
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
