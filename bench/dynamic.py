"""The dynamic executor against PyTorch, eager: ``python -m bench.dynamic``.

Each row is a workload, gradients included where it has any. Each library has a process of its
own; they take turns, and stand still in between. The figure of a row is the median over the rounds
of our time over PyTorch's within a round; the bound is the largest that the project promises.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from bench.peers import LOOPS, ROWS, verdict
from sidebyside.measuring.agreement import check_agreement
from sidebyside.measuring.clock import thread_count
from sidebyside.modes import is_installed
from sidebyside.studies.mode_process import ModeProcess, ModeProcessError

OURS, PEER = "dynamic", "torch"
BOUND, MEAN_BOUND = 1.0, 0.7
"""Promised ratios: of each row, and of the geometric mean of all."""
ROUNDS = 15
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": ""}
"""As on any machine: modules are not compiled anew in every process."""


def measure(label, budget, patience):
    """Return the ns of a call of both libraries in each round: an array of two columns."""
    make, size, _ = ROWS[label]
    processes = [ModeProcess(mode, ENVIRONMENT, patience) for mode in (OURS, PEER)]
    try:
        ours, theirs = (process.ask("start", make, size)[1] for process in processes)
        check_agreement(theirs, ours, pair=f"{PEER} and {OURS}", tolerance=make().tolerance)
        warm = [process.ask("warm_up") for process in processes]
        share = budget * 1e9 / (2 * ROUNDS)
        calls = [max(1, int(min(share, 5e6) / max(ns, 1.0))) for ns in warm]
        samples = np.empty((ROUNDS, 2))
        for number in range(ROUNDS):
            for column in (0, 1) if number % 2 else (1, 0):
                samples[number, column] = processes[column].ask("sample", calls[column])
        return samples
    finally:
        for process in processes:
            process.close()


def main(arguments):
    """Print the table; return 1 if a promise is not kept."""
    labels = [label for label in ROWS if label not in LOOPS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--budget", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(labels))
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - set(labels)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; choose from {', '.join(labels)}")
    if not is_installed(PEER):
        print("PyTorch is not installed: there is nothing to compare with")
        return 0
    print(f"{thread_count()} threads for both. A call, microseconds, medians:")
    print(f"{'':<20}{'dyngraph':>14}{'PyTorch':>14}   ratio  bound")
    ratios, failures = {}, {}
    for label in [each for each in labels if not options.rows or each in options.rows]:
        try:
            samples = measure(label, options.budget, options.patience)
        except ModeProcessError as error:
            failures[label] = str(error)
            continue
        ratios[label] = float(np.median(samples[:, 0] / samples[:, 1]))
        ours, theirs = np.median(samples, axis=0) / 1e3
        shown = f"{ours:>14,.2f}{theirs:>14,.2f}"
        print(f"{label:<20}{shown}{verdict(ratios[label], BOUND)}", flush=True)
    mean = float(np.exp(np.mean(np.log(list(ratios.values()))))) if ratios else None
    print(f"{'geometric mean':<48}{verdict(mean, MEAN_BOUND)}")
    for label, why in failures.items():
        print(f"{label}: {why}")
    if options.json is not None:
        options.json.write_text(json.dumps(ratios, indent=1) + "\n")
    kept = all(ratio <= BOUND for ratio in ratios.values())
    return 0 if kept and not failures and (mean is None or mean <= MEAN_BOUND) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
