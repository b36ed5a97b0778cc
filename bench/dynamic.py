"""The dynamic executor against PyTorch, eager: ``python -m bench.dynamic``.

Each row is a workload, gradients included where it has any. dyngraph with NumPy's kernels, with
machine code (`dyngraph.set_kernels`) and PyTorch have a process each; they take turns, and stand
still in between. A ratio is the median over the rounds of our time over PyTorch's within a round;
the bounds are the largest that the project promises, of machine code.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import numpy as np

from bench.peers import BOUND as BOUND_CALLS
from bench.peers import LOOPS, ROWS, verdict
from bench.programs import with_machine_code
from sidebyside.measuring.agreement import check_agreement
from sidebyside.measuring.environment import thread_count
from sidebyside.modes import is_installed
from sidebyside.studies.mode_process import ModeProcess, ModeProcessError

COLUMNS = {"NumPy": "dynamic", "machine": "dynamic", "PyTorch": "torch"}
"""The mode of each process."""
BOUND, MEAN_BOUND = 1.0, 0.7
"""Promised ratios of machine code: of each row, and of the geometric mean of all."""
ROUNDS = 15
ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": ""}
"""As on any machine: modules are not compiled anew in every process."""


def measure(label, budget, patience):
    """Return the ns of a call of each column in each round."""
    make, size, _ = ROWS[label]
    processes = {}
    try:
        results = {}
        for column, mode in COLUMNS.items():
            processes[column] = process = ModeProcess(mode, ENVIRONMENT, patience)
            made = partial(with_machine_code, make) if column == "machine" else make
            results[column] = process.ask("start", made, size)[1]
            check_agreement(
                results[column],
                results["NumPy"],
                pair=f"{column} and NumPy",
                tolerance=make().tolerance,
            )
        warm = {column: process.ask("warm_up") for column, process in processes.items()}
        share = budget * 1e9 / (len(COLUMNS) * ROUNDS)
        samples = {column: np.empty(ROUNDS) for column in COLUMNS}
        rng = np.random.default_rng(0)
        for number in range(ROUNDS):
            for column in rng.permutation(list(COLUMNS)):
                calls = max(1, int(min(share, 5e6) / max(warm[column], 1.0)))
                samples[column][number] = processes[column].ask("sample", calls)
        return samples
    finally:
        for process in processes.values():
            process.close()


def main(arguments):
    """Print the table; return 1 if a promise is not kept."""
    labels = [label for label in ROWS if label not in LOOPS and label not in BOUND_CALLS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--budget", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(labels))
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - set(labels)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; choose from {', '.join(labels)}")
    if not is_installed("torch"):
        print("PyTorch is not installed: there is nothing to compare with")
        return 0
    print(
        f"{thread_count()} threads for all. A call, microseconds, medians, and ratios to PyTorch:"
    )
    print(f"{'':<20}{''.join(f'{column:>14}' for column in COLUMNS)}   NumPy machine  bound")
    ratios, failures = {}, {}
    for label in [each for each in labels if not options.rows or each in options.rows]:
        try:
            samples = measure(label, options.budget, options.patience)
        except ModeProcessError as error:
            failures[label] = str(error)
            continue
        ratios[label] = {
            column: float(np.median(samples[column] / samples["PyTorch"]))
            for column in ("NumPy", "machine")
        }
        shown = "".join(f"{np.median(each) / 1e3:>14,.2f}" for each in samples.values())
        print(f"{label:<20}{shown}{shown_ratios(ratios[label], BOUND)}", flush=True)
    mean = {
        column: float(np.exp(np.mean([np.log(row[column]) for row in ratios.values()])))
        for column in ("NumPy", "machine")
        if ratios
    }
    if ratios:
        print(f"{'geometric mean':<62}{shown_ratios(mean, MEAN_BOUND)}")
    for label, why in failures.items():
        print(f"{label}: {why}")
    if options.json is not None:
        options.json.write_text(json.dumps(ratios, indent=1) + "\n")
    kept = all(row["machine"] <= BOUND for row in ratios.values())
    return 0 if kept and not failures and mean["machine"] <= MEAN_BOUND else 1


def shown_ratios(ratios, bound):
    """Return the ratios of both makes, and the bound of the second, as text."""
    return f"{ratios['NumPy']:>8.3f}{verdict(ratios['machine'], bound)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
