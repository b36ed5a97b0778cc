"""Programs of others' studies, measured: ``python -m bench.foreign``; docs/foreign_programs.md.

Each is compared in every mode that is installed, by `sidebyside.compare`. What was found lies in
``build/foreign`` as a saved result a program; a run goes on where another ended.

    python -m bench.foreign                   # all that have no result yet, then the page
    python -m bench.foreign --again gmm gpt   # these, whatever there is
    python -m bench.foreign --budget 0.2 --replicates 2
    python -m bench.foreign --page-only       # of the results that are there
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

import sidebyside as sbs
from sidebyside.modes import is_installed
from sidebyside.progress import Progress
from sidebyside.report import units
from sidebyside.results.comparison import Comparison, Row, TimedCell
from sidebyside.results.writing import write_whole

ROOT = Path(__file__).parent.parent
FOUND = ROOT / "build" / "foreign"
PAGE = ROOT / "docs" / "foreign_programs.md"
MODES = {
    "dynamic": "dynamic",
    "static": "static",
    "static:native": "machine code",
    "torch": "PyTorch",
    "jax.jit": "JAX, compiled",
}
COMPILED = ("static", "static:native")
LIBRARIES = ("numpy", "torch", "jax")


class Study(NamedTuple):
    """Where programs come from."""

    name: str
    link: str
    programs: tuple[str, ...]


STUDIES = (
    Study("TensorFlow Eager", "https://arxiv.org/abs/1903.01855", ("l2hmc",)),
    Study(
        "AutoGraph",
        "https://arxiv.org/abs/1810.08061",
        ("mnist_linear", "tree_lstm", "tree_lstm_fixed"),
    ),
    Study(
        "GradBench",
        "https://github.com/gradbench/gradbench",
        ("gmm", "lstm", "ba", "ht", "kmeans", "lse", "ode", "det", "saddle"),
    ),
    Study(
        "NPBench",
        "https://github.com/spcl/npbench",
        ("jacobi_1d", "jacobi_2d", "heat_3d", "seidel_2d", "fdtd_2d", "hdiff"),
    ),
    Study("HIPS autograd", "https://github.com/HIPS/autograd", ("sine_chain",)),
    Study(
        "Dive into Deep Learning",
        "https://d2l.ai/chapter_computational-performance/hybridize.html",
        ("d2l_mlp",),
    ),
    Study("GPT-2", "https://github.com/openai/gpt-2", ("gpt",)),
)

PUBLISHED = {
    "l2hmc": "on a CPU, staging gives at least ten times as many examples a second",
    "mnist_linear": "a step in the graph is some 75% faster than eager, the whole loop in it some "
    "30% more",
    "tree_lstm_fixed": "36.75 training steps a second compiled (Lantern), 15.41 in PyTorch: 2.38 "
    "times as many",
}
"""What a study says that can be held against figures here, by program."""

PREFACE = """<!-- written by python -m bench.foreign; do not edit -->

# Programs of others' studies

What others measured dynamic against static graphs, or derivatives, with: written anew from the
definitions, with data made by a seed in the shapes that the study names. They are workloads like
the builtin ones, loaded when they are asked for, and no part of `make table`:

    sidebyside list
    sidebyside compare gmm lstm --modes dynamic,static,static:native,torch
    sidebyside compare gpt --size 2x64 --sweep layers=2,4
    sidebyside decide kmeans --calls 1000

`sbs.FOREIGN` has their names, `sbs.find_workload("gmm")` gives one. Tests hold each against an
independent definition, in both modes and all backends, and against PyTorch; gradients included.

- A call gives the results and the gradients (`jacobi_1d` and its like are differentiated by us:
  NPBench has values only); a training step also gives the new parameters. `ba`, `ht` and `kmeans`
  give the Jacobian, or Newton's direction, as GradBench asks.
- `tree_lstm` and `saddle` branch by values: static refuses them (SBS-301), as JAX's `jit` does.
  `tree_lstm_fixed` has the shape of one tree as a constant: each other shape is another graph.
- `saddle` begins with steps of 0.1, so that a call takes a fraction of a second; with GradBench's
  own it takes some fifty times as long: `sidebyside compare saddle --sweep rate=1e-5`.
- Loops are the namespace's own `scan` where it has one (ours and JAX's), and Python's elsewhere.
- GradBench's numbers and NPBench's are float64, the others float32.

## Times of a call

{about}

| program | from | what it is | {modes} |
|---|---|---|{lines}
"""

COMPARED = """
## What the studies say

Where a study has a figure for what is measured here, ours stands beside it. Their machines and
their dynamic modes were others. Of the other programs there is no figure that could stand here.

| program | the study | here |
|---|---|---|
"""


def measure(name: str, budget: float, replicates: int, report: Progress) -> Comparison:
    """Compare one program in all modes that are installed."""
    workload = sbs.find_workload(name)
    modes = [mode for mode in MODES if is_installed(mode)]
    return sbs.compare([workload], modes, budget=budget, replicates=replicates, report=report)


def row_text(name: str, study: Study, row: Row) -> str:
    """Return one line of the table."""
    times = [cell_text(row.cell(mode)) for mode in MODES]
    return f"| `{name}` | [{study.name}]({study.link}) | {row.title} | {' | '.join(times)} |"


def cell_text(cell: TimedCell | None) -> str:
    """Return the time of a call in one mode, or why there is none."""
    if cell is None:
        return ""
    if cell.steady is None:
        said = "" if cell.failure is None else cell.failure.text
        if "SBS-301" in said or "TracerBool" in said:
            return "refused"
        return said.splitlines()[0][:40] if said else "–"
    return units.seconds(cell.steady.value)


def page(found: dict[str, Row], about: str) -> str:
    """Return the whole page."""
    studies = {name: study for study in STUDIES for name in study.programs}
    head = PREFACE.format(about=about, modes=" | ".join(MODES.values()), lines="---|" * len(MODES))
    lines = [row_text(name, studies[name], row) for name, row in found.items()]
    text = head + "\n".join(lines) + "\n"
    compared = [
        f"| `{name}` | {said} | {'; '.join(here(found[name], mode) for mode in COMPILED)} |"
        for name, said in PUBLISHED.items()
        if name in found
    ]
    return text + COMPARED + "\n".join(compared) + "\n"


def here(row: Row, mode: str) -> str:
    """Return how many times as fast a mode is as the dynamic one, and as PyTorch."""
    cell, torch = row.cell(mode), row.cell("torch")
    if cell is None or cell.steady is None or cell.speedup is None:
        return "–"
    said = f"{MODES[mode]} {units.times_with_interval(cell.speedup)} as fast as dynamic"
    if torch is not None and torch.steady is not None:
        said += f", {units.times(torch.steady.value / cell.steady.value)} as PyTorch"
    return said


def about(environments: list[dict[str, Any]]) -> str:
    """Return on what and how it was measured."""
    last = environments[-1]
    dates = sorted(str(each["date"])[:10] for each in environments)
    versions, settings = last["versions"], last["settings"]
    packages = ", ".join(f"{name} {versions[name]}" for name in LIBRARIES if name in versions)
    how = f"{settings['replicates']} replicates at most, {settings['budget']:g} s a program"
    if last["one_process"]:
        how = "only a look beside other work, all modes in one process, no figures to cite"
    loads = [each["load"] or 0.0 for each in environments]
    return (
        f"{dates[-1]}, Python {last['python']}, {packages}, {last['threads']} threads;\n"
        f"{how}; load {min(loads):.1f} to {max(loads):.1f} before. "
        "Medians; empty where a mode is not there."
    )


def main(arguments: list[str]) -> int:
    """Measure what has no result yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", nargs="*", default=[], metavar="NAME", choices=sbs.FOREIGN)
    parser.add_argument("--budget", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--replicates", type=int, default=8, metavar="N")
    parser.add_argument("--page-only", action="store_true", help="of the results that are there")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE")
    options = parser.parse_args(arguments)
    FOUND.mkdir(parents=True, exist_ok=True)
    found: dict[str, Row] = {}
    environments = []
    for name in sbs.FOREIGN:
        path = FOUND / f"{name}.json"
        if options.page_only and not path.exists():
            continue
        if not options.page_only and (name in options.again or not path.exists()):
            with Progress(sys.stderr) as report:
                result = measure(name, options.budget, options.replicates, report)
            result.save(path, overwrite=True)
        kept = sbs.load(path)
        found[name] = kept.rows[0]
        environments.append(kept.environment)
        print(
            " | ".join((name, *(cell_text(found[name].cell(mode)) for mode in MODES))), flush=True
        )
    if not found:
        return 1
    write_whole(options.page, page(found, about(environments)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
