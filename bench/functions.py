"""Single functions in machine code against PyTorch and JAX: ``python -m bench.functions``.

Each row is one call on some 100,000 numbers, written once for all namespaces. Every library has a
process, in which it has one program after the other; they take turns, and stand still in between.
A ratio is the median over the rounds of our time over the fastest peer's within a round. What is
slower than the fastest peer is listed at the end, for docs/native.md.

``--patience`` is how long a library may take to build a row.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from bench.function_calls import CALLS, workload_of
from sidebyside.measuring.agreement import check_agreement
from sidebyside.measuring.environment import thread_count
from sidebyside.modes import is_installed
from sidebyside.studies.mode_process import ModeProcess, ModeProcessError

OURS = "static:native"
PEERS = ("torch", "jax.jit")
ROUNDS = 9
SLOWER = 1.05
"""The ratio from which a row is listed: less is not told from noise here."""


class Functions:
    """The processes of all libraries, and what was measured."""

    def __init__(self, peers, patience, budget):
        self.patience, self.budget = patience, budget
        self.processes = {key: self._begun(key) for key in (OURS, *peers)}
        self.failures = {}

    def _begun(self, key):
        return ModeProcess(key, {"SIDEBYSIDE_CACHE": "off"}, self.patience)

    def measure(self, call):
        """Return microseconds of the rounds, by library, of those that have the call."""
        results, warm = {}, {}
        for key, process in list(self.processes.items()):
            try:
                _, results[key] = process.ask("start", partial(workload_of, call), None)
                if key != OURS and OURS in results:
                    check_agreement(results[key], results[OURS], pair=key, tolerance=1e-2)
                warm[key] = process.ask("warm_up")
            except ModeProcessError as error:
                self.failures[call, key] = str(error).splitlines()[0]
                if error.lost:
                    self.processes[key] = self._begun(key)
            except Exception as error:  # other results
                self.failures[call, key] = str(error).splitlines()[0]
        samples = {key: [] for key in warm}
        share = self.budget * 1e9 / max(len(warm), 1) / ROUNDS
        rng = np.random.default_rng(0)
        for _ in range(ROUNDS):
            for key in rng.permutation(list(warm)):
                calls = max(1, int(share / max(warm[key], 1.0)))
                samples[key].append(self.processes[key].ask("sample", calls) / 1e3)
        return {key: np.array(taken) for key, taken in samples.items()}

    def close(self):
        for process in self.processes.values():
            process.close()


def ratio_of(samples):
    """Return our time over the fastest peer's, the median of the rounds, or None."""
    peers = [key for key in samples if key != OURS]
    if OURS not in samples or not peers:
        return None
    fastest = min(peers, key=lambda key: np.median(samples[key]))
    return float(np.median(samples[OURS] / samples[fastest]))


def main(arguments):
    """Print the table, and at last what is slower than the fastest peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--budget", type=float, default=0.3, metavar="SECONDS")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("calls", nargs="*", metavar="CALL", help="by default all")
    options = parser.parse_args(arguments)
    peers = [peer for peer in options.peers.split(",") if is_installed(peer)]
    keys = (OURS, *peers)
    print(f"{thread_count()} threads for every library. A call, microseconds, medians:")
    print(f"{'':<42}{''.join(f'{key:>14}' for key in keys)}   ratio")
    functions, found = Functions(peers, options.patience, options.budget), {}
    try:
        for call in options.calls or CALLS:
            samples = functions.measure(call)
            found[call] = {key: float(np.median(each)) for key, each in samples.items()}
            ratio = ratio_of(samples)
            figures = "".join(
                f"{found[call][key]:>14,.1f}" if key in samples else f"{'-':>14}" for key in keys
            )
            shown = f"{ratio:>8.2f}" if ratio is not None else f"{'-':>8}"
            slower = "  slower" if ratio is not None and ratio > SLOWER else ""
            print(f"{call:<42}{figures}{shown}{slower}", flush=True)
            found[call]["ratio"] = ratio
    finally:
        functions.close()
    slower = {call: row["ratio"] for call, row in found.items() if (row["ratio"] or 0) > SLOWER}
    print(f"\n{len(slower)} of {len(found)} are slower than the fastest peer:")
    for call, ratio in sorted(slower.items(), key=lambda each: -each[1]):
        print(f"{ratio:>8.2f}  {call}")
    for (call, key), why in functions.failures.items():
        print(f"{call}, {key}: {why}")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
