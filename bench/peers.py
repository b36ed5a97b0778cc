"""Machine code against the compilers that are installed: ``python -m bench.peers``.

Each row is a builtin workload; the bound is the largest ratio of our time to the fastest peer's
that the project promises. All take turns in one process. ``torch.compile`` needs a C++ compiler and
takes minutes to build some rows, so it runs only with ``--torch-compile``.
"""

import argparse
import sys

import numpy as np

from sidebyside.measure import measure, thread_count
from sidebyside.modes import find_mode
from sidebyside.workloads import load

OURS = "static:native"
BOUNDS = {
    ("seed", 1): 0.1,
    ("chain", 1): 0.2,
    ("chain", 1_000): 0.3,
    ("chain", 100_000): 0.5,
    ("chain", 4_000_000): 0.7,
    ("layernorm_softmax", (512, 512)): 0.8,
    ("mlp_digits", 32): 0.5,
    ("mlp", 64): 0.8,
    ("cnn_digits", 64): 0.8,
    ("lstm_text", 16): 0.8,
    ("attention", (128, 128)): 0.8,
}
"""Workload and size: the promised ratio."""


def compare_row(name, size, peers, budget=3.0):
    """Return the median µs of a call in each mode."""
    workload = load(name)
    inputs = workload.make_inputs(size)
    runs = {mode: find_mode(mode).prepare(workload, inputs).run for mode in (OURS, *peers)}
    samples = measure(runs, budget).samples
    return {mode: float(np.median(samples[mode])) / 1000 for mode in runs}


def main(arguments):
    """Print the table; return 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch-compile", action="store_true")
    parser.add_argument("workloads", nargs="*")
    options = parser.parse_args(arguments)
    peers = ["jax.jit", "torch.compile"] if options.torch_compile else ["jax.jit"]
    print(f"{thread_count()} threads for every library; microseconds, medians")
    print(f"{'':<28}{OURS:>14}" + "".join(f"{peer:>15}" for peer in peers) + "   ratio  bound")
    kept = True
    for (name, size), bound in BOUNDS.items():
        if options.workloads and name not in options.workloads:
            continue
        us = compare_row(name, size, peers)
        ratio = us[OURS] / min(us[peer] for peer in peers)
        kept = kept and ratio <= bound
        label = f"{name} {size}"
        print(
            f"{label:<28}{us[OURS]:>14,.2f}"
            + "".join(f"{us[peer]:>15,.2f}" for peer in peers)
            + f"{ratio:>8.3f}{bound:>7.2g}{'' if ratio <= bound else '  NOT KEPT'}",
            flush=True,
        )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
