"""Published models, imported and compared: ``python -m bench.models``; the table is docs/models.md.

Each model runs in a process of its own: it is imported, so checked against its source in outputs
and gradients, and its gradients are built by the native backend and compared with the source's
once more. What was found lies in ``build/models`` as JSON; a run goes on where another ended.

    pip install torchvision timm transformers flax equinox optax
    python -m bench.models                      # all that have no result yet, then the table
    python -m bench.models --again GPT-2 ViT    # these, whatever there is
    python -m bench.models --time               # and the time of a step, against the source's
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
FOUND = ROOT / "build" / "models"
PAGE = ROOT / "docs" / "models.md"
NEAR = 1e-5
"""What is farther from the source's numbers is compared with those in float64."""
BLOCKS, BLOCK_SECONDS = 9, 0.15
LIMIT = 600
"""Seconds that one model may take."""
PYTORCH = ("torchvision", "timm", "transformers")
PREFACE = """<!-- written by python -m bench.models; do not edit -->

# Published models

Models as their libraries publish them, made small, with random weights, imported by `sg.from_torch`
and `sg.from_jax` ([bringing models](bringing_models.md)). Outputs and gradients by all parameters
are compared with the source's in float32, in parts of the largest number of each; what is farther
than 1e-5 is as near to the source in float64 as the source itself. `machine code` is the same
of the `native` backend, for another loss; what is farther than 1e-5 there is followed by how far
both are from the source in float64. An element that is 0 but for rounding can fall to the other
side of a kink, such as that of `relu`, and moves the gradients of all layers below it: of
`resnet18` one of 1,024 at the last `relu` is -1e-6 in float64 and 4e-6 in PyTorch's float32.
The last column says what machine code left to NumPy.

{totals}

| model | from | operations | numbers | outputs | gradients | machine code | left to NumPy |
|---|---|---|---|---|---|---|---|
"""

STEPS = """
## What a step takes

Outputs and gradients by all parameters, in microseconds: machine code made of the imported graph,
and the source itself, eagerly and compiled (`torch.compile`, `jax.jit`). All in one process in
which they take turns, two threads each; medians of nine blocks. JAX's gradients are traced anew in
each call where nothing is compiled.

{means}

| program | from | here | eager | compiled | here / eager | here / compiled |
|---|---|--:|--:|--:|--:|--:|
{rows}
"""


def registry() -> dict[str, tuple[str, Callable[[], Any]]]:
    """Return what makes each model or function, and where it was published, by its name."""
    from bench.published.functions import FUNCTIONS
    from bench.published.language import TRANSFORMERS
    from bench.published.vision import TIMM, TORCHVISION

    found = {}
    for source, table in (
        ("torchvision", TORCHVISION),
        ("timm", TIMM),
        ("transformers", TRANSFORMERS),
    ):
        found.update({name: (source, make) for name, make in table.items()})
    for name, (source, make) in FUNCTIONS.items():
        found[name] = (source, make)
    return found


# one model ----------------------------------------------------------------------------------------


def weights(x: Any) -> Any:
    """Return what an output is multiplied with for its gradients: numbers without a pattern."""
    shape = tuple(x.shape)
    return np.cos(np.arange(int(np.prod(shape)), dtype="float32")).reshape(shape)


def distance(ours: Any, theirs: Any, scale: float = 0.0) -> float:
    """Return the largest difference in parts of the largest number, or of `scale`."""
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    largest = max(float(np.abs(theirs).max(initial=0)), scale, 1e-30)
    return float(np.abs(ours - theirs).max(initial=0) / largest)


def farthest(ours: list[Any], theirs: list[Any]) -> float:
    """Return the largest distance of a list of gradients; the smallest ones count on a scale."""
    largest = max((float(np.abs(x).max(initial=0)) for x in theirs), default=0.0)
    pairs = zip(ours, theirs, strict=True)
    return max((distance(a, b, 1e-3 * largest) for a, b in pairs), default=0.0)


def measure(name: str, timed: bool) -> dict[str, Any]:
    """Import one model, build its gradients, and return what was found."""
    import staticgraph as sg

    source, make = registry()[name]
    is_torch = source in PYTORCH
    found: dict[str, Any] = {"name": name, "source": source}
    made = _of_torch(make) if is_torch else _of_jax(make)
    start = time.perf_counter()
    try:
        imported = made["import"]()
    except sg.errors.SideBySideError as error:
        return {**found, "refused": str(error), "kind": type(error).__name__}
    found |= {
        "import_seconds": time.perf_counter() - start,
        "operations": len(imported.block.steps),
        "numbers": sum(int(np.size(x)) for x in imported.parameters.values()),
        "outputs": _worst(imported, "output"),
        "gradients": _worst(imported, "gradient"),
        "notes": imported.notes,
    }
    found |= _built(imported, made)
    if timed:
        found |= _timed(imported, made)
    return found


def _worst(imported: Any, what: str) -> float:
    return max((d.error for d in imported.differences if d.what.startswith(what)), default=0.0)


def _built(imported: Any, made: dict[str, Any]) -> dict[str, Any]:
    """Build outputs and gradients in machine code, run them, and compare them with the source's."""
    start = time.perf_counter()
    run, feeds = step(imported, made["inputs"], "native")
    built = time.perf_counter() - start
    values = [np.asarray(x) for x in run(*feeds)]
    outputs, slopes = made["step"](imported)
    count = len(values) - len(slopes)
    ours, theirs = values[count:], list(slopes.values())
    text = run.report()
    left = re.findall(r"left to NumPy:? +(.*)", text)
    found = {
        "build_seconds": built,
        "phases": run.phases,
        "instructions": len(run.program.instructions),
        "left": left,
        "native_outputs": max(
            (distance(a, b) for a, b in zip(values[:count], outputs, strict=True)), default=0.0
        ),
        "native_gradients": farthest(ours, theirs),
    }
    if found["native_gradients"] > NEAR:
        exact = list(made["exact"](imported)[1].values())
        found["native_from_exact"] = farthest(ours, exact)
        found["source_from_exact"] = farthest(theirs, exact)
    return found


def step(imported: Any, inputs: list[Any], backend: str) -> tuple[Any, list[Any]]:
    """Return the executable of outputs and gradients by all parameters, and what it is fed."""
    import staticgraph as sg
    from oplibrary.machine.cache import bypassed
    from oplibrary.values.dtypes import REAL_FLOATING
    from oplibrary.values.tree import flatten

    with sg.Graph():
        parameters = {
            name: sg.placeholder(f"p{i}", np.shape(x), x.dtype)
            for i, (name, x) in enumerate(imported.parameters.items())
        }
        given = [
            sg.placeholder(each.name, np.shape(x), x.dtype)
            for each, x in zip(imported.inputs, inputs, strict=True)
        ]
        results, _ = imported._results(
            sg, parameters, imported.buffers, given, imported._drawn(sg, None)
        )
        outputs = [x for x in flatten(results)[0] if x is not None]
        total = [sg.sum(y * weights(y)) for y in outputs if y.dtype.kind in REAL_FLOATING]
        wanted = [x for x in parameters.values() if x.dtype.kind in REAL_FLOATING]
        slopes = sg.gradients(total, wanted, unused="zero") if total and wanted else []
        with bypassed():
            run = sg.compile([*outputs, *slopes], [*parameters.values(), *given], backend=backend)
    return run, [*imported.parameters.values(), *inputs]


def _of_torch(make: Callable[[], Any]) -> dict[str, Any]:
    import torch

    import staticgraph as sg

    torch.manual_seed(0)
    module, args, kwargs = make()
    module.requires_grad_(True)  # also what a model keeps as it is
    leaves = torch.utils._pytree.tree_leaves

    def one_step(
        imported: Any, call: Any = module, held: Any = module, given: Any = (args, kwargs)
    ) -> tuple[list[Any], dict[str, Any]]:
        outputs = [x for x in leaves(call(*given[0], **given[1])) if isinstance(x, torch.Tensor)]
        total = sum(
            (y * torch.from_numpy(weights(y.detach()))).sum()
            for y in outputs
            if y.is_floating_point()
        )
        named = dict(held.named_parameters())
        wanted = [named[name] for name in imported.parameters]
        slopes = torch.autograd.grad(total, wanted, allow_unused=True)
        return [y.detach().numpy() for y in outputs], {
            name: np.zeros(tuple(x.shape), "float32") if g is None else g.numpy()
            for name, x, g in zip(imported.parameters, wanted, slopes, strict=True)
        }

    def exact(imported: Any) -> tuple[list[Any], dict[str, Any]]:
        wide = copy.deepcopy(module).double()
        given = torch.utils._pytree.tree_map_only(
            torch.Tensor, lambda x: x.double() if x.is_floating_point() else x, (args, kwargs)
        )
        return one_step(imported, wide, wide, given)

    def ways(imported: Any) -> dict[str, Callable[[], Any]]:
        outputs = [x for x in leaves(module(*args, **kwargs)) if isinstance(x, torch.Tensor)]
        scales = [torch.from_numpy(weights(y.detach())) for y in outputs if y.is_floating_point()]
        named = dict(module.named_parameters())
        wanted = [named[name] for name in imported.parameters]

        def of(call: Any) -> Callable[[], Any]:
            def one() -> Any:
                found = [x for x in leaves(call(*args, **kwargs)) if isinstance(x, torch.Tensor)]
                floats = [y for y in found if y.is_floating_point()]
                total = sum((y * w).sum() for y, w in zip(floats, scales, strict=True))
                return torch.autograd.grad(total, wanted, allow_unused=True)

            return one

        return {"eager": of(module), "compiled": of(torch.compile(module))}

    return {
        "import": lambda: sg.from_torch(module, args, kwargs),
        "inputs": [x.numpy() for x in leaves((args, kwargs)) if isinstance(x, torch.Tensor)],
        "step": one_step,
        "exact": exact,
        "ways": ways,
    }


def _of_jax(make: Callable[[], Any]) -> dict[str, Any]:
    import jax

    import staticgraph as sg

    function, parameters, inputs = make()
    leaves = jax.tree_util.tree_leaves

    def total(parameters: Any) -> Any:
        outputs = function(*([] if parameters is None else [parameters]), *inputs)
        parts = [
            (y * weights(y)).sum()
            for y in leaves(outputs)
            if jax.numpy.issubdtype(y.dtype, jax.numpy.floating)
        ]
        return sum(parts), outputs

    def one_step(imported: Any, held: Any = parameters) -> tuple[list[Any], dict[str, Any]]:
        if parameters is None:
            return leaves(total(None)[1]), {}
        floats = [x for x in leaves(parameters) if np.asarray(x).dtype.kind == "f"]
        assert len(floats) == len(leaves(parameters)), "parameters are floating-point numbers"
        slopes, outputs = jax.jit(jax.grad(total, has_aux=True))(held)
        return [np.asarray(x) for x in leaves(outputs)], {
            name: np.asarray(g) for name, g in zip(imported.parameters, leaves(slopes), strict=True)
        }

    def exact(imported: Any) -> tuple[list[Any], dict[str, Any]]:
        with jax.enable_x64(True):
            return one_step(imported, jax.tree.map(lambda x: np.asarray(x, "float64"), parameters))

    def ways(imported: Any) -> dict[str, Callable[[], Any]]:
        slopes = total if parameters is None else jax.grad(total, has_aux=True)
        compiled = jax.jit(slopes)
        return {
            "eager": lambda: jax.block_until_ready(slopes(parameters)),
            "compiled": lambda: jax.block_until_ready(compiled(parameters)),
        }

    return {
        "import": lambda: sg.from_jax(function, *inputs, parameters=parameters),
        "inputs": [np.asarray(x) for x in leaves(inputs)],
        "step": one_step,
        "exact": exact,
        "ways": ways,
    }


# timing -------------------------------------------------------------------------------------------


def _timed(imported: Any, made: dict[str, Any]) -> dict[str, Any]:
    """Return seconds of a step of outputs and gradients: medians over blocks that take turns.

    A block is long against the time that the threads of the library before it go on waiting.
    """
    run, feeds = step(imported, made["inputs"], "native")
    ways: dict[str, Callable[[], Any]] = {"here": lambda: run(*feeds), **made["ways"](imported)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for call in ways.values():
        call()
    for _ in range(BLOCKS):
        for name, call in ways.items():
            start, calls = time.perf_counter(), 0
            while not calls or time.perf_counter() - start < BLOCK_SECONDS:
                call()
                calls += 1
            times[name].append((time.perf_counter() - start) / calls)
    return {"step_seconds": {name: float(np.median(each)) for name, each in times.items()}}


# all models ---------------------------------------------------------------------------------------


def path_of(name: str) -> Path:
    """Return where the result of a model lies."""
    return FOUND / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.json"


def preload() -> None:
    """Import what models are made of once; their processes are forked from this one."""
    from bench.published.vision import load_torchvision

    load_torchvision()
    import timm
    import torch
    import transformers

    import staticgraph as sg

    assert timm and transformers
    sg.from_torch(torch.nn.Linear(2, 2), (torch.ones(1, 2),))  # loads what torch.export needs


def run_one(name: str, timed: bool) -> dict[str, Any]:
    """Measure a model in a process of its own; what went wrong there is a result, too."""
    path = path_of(name)
    path.unlink(missing_ok=True)
    start = time.perf_counter()
    process = multiprocessing.get_context("fork").Process(target=_child, args=(name, timed))
    process.start()
    process.join(LIMIT)
    if process.is_alive():
        process.kill()
        process.join()
        write({"name": name, "source": registry()[name][0], "failed": f"no result in {LIMIT} s"})
    elif not path.exists():
        failed = f"the process ended with {process.exitcode}"
        write({"name": name, "source": registry()[name][0], "failed": failed})
    found: dict[str, Any] = json.loads(path.read_text())
    write({**found, "seconds": time.perf_counter() - start})
    return found


def write(found: dict[str, Any]) -> None:
    """Keep what was found of a model."""
    path_of(found["name"]).write_text(json.dumps(found, indent=1))


def _child(name: str, timed: bool) -> None:
    try:
        write(measure(name, timed))
    except Exception:
        said = traceback.format_exc()
        write({"name": name, "source": registry()[name][0], "failed": said[-3000:]})


def results() -> dict[str, dict[str, Any]]:
    """Return what was found of each model, in the order of the registry."""
    found = [json.loads(path.read_text()) for path in FOUND.glob("*.json")]
    by_name = {each["name"]: each for each in found}
    return {name: by_name[name] for name in registry() if name in by_name}


def said(found: dict[str, Any]) -> str:
    """Return one line about a model."""
    if "failed" in found:
        return f"failed: {found['failed'].strip().splitlines()[-1]}"
    if "refused" in found:
        return f"{found['kind']}: {found['refused'].splitlines()[0]}"
    left = ", ".join(sorted({each.partition(":")[0] for each in found["left"]})) or "nothing"
    return (
        f"{found['operations']} operations, outputs {found['outputs']:.0e}, "
        f"gradients {found['gradients']:.0e}, machine code {found['native_gradients']:.0e}, "
        f"left: {left}; {found['import_seconds']:.0f} + {found['build_seconds']:.0f} s"
    )


def main() -> None:
    """Measure what has no result yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="models; all of them by default")
    parser.add_argument("--again", action="store_true", help="also what has a result")
    parser.add_argument("--time", action="store_true", help="time steps, on a quiet machine")
    parser.add_argument("--table", action="store_true", help="only write the table")
    options = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    known = results()
    if not options.table:
        preload()
    for name in [] if options.table else options.names or registry():
        if name not in known or options.again:
            print(f"{name}: {said(run_one(name, options.time))}", flush=True)
    PAGE.write_text(page(results()))


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the page of all results."""
    rows, counts = [], {}
    for name, each in found.items():
        kind = "JAX" if each["source"] not in PYTORCH else "PyTorch"
        count = counts.setdefault(kind, [0, 0, 0])
        count[0] += 1
        if "outputs" not in each:
            said = each.get("refused") or each["failed"].strip().splitlines()[-1]
            rows.append(f"| {name} | {each['source']} | | | | | | {said.splitlines()[0]} |")
            continue
        left = ", ".join(sorted({part.partition(":")[0] for part in each["left"]}))
        count[1] += 1
        count[2] += not left
        numbers = [each[key] for key in ("outputs", "gradients", "native_gradients")]
        shown = " | ".join(f"{number:.0e}" for number in numbers)
        if "native_from_exact" in each:
            pair = [each[key] for key in ("native_from_exact", "source_from_exact")]
            shown += " (here {:.0e}, source {:.0e})".format(*pair)
        rows.append(
            f"| {name} | {each['source']} | {each['operations']} | {each['numbers']:,} | {shown} "
            f"| {left or 'nothing'} |"
        )
    totals = [
        f"{kind}: {done} of {count} import, {whole} of these with nothing left to NumPy."
        for kind, (count, done, whole) in counts.items()
    ]
    listed = "\n".join(f"- {each}" for each in totals)
    return PREFACE.format(totals=listed) + "\n".join([*rows, ""]) + steps_of(found)


def _rounded(microseconds: float) -> str:
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.2g}"


def steps_of(found: dict[str, dict[str, Any]]) -> str:
    """Return the table of what a step takes here and in the source, where it was measured."""
    rows: list[str] = []
    ratios: dict[str, list[tuple[float, float]]] = {}
    for name, each in found.items():
        if "step_seconds" not in each:
            continue
        here, eager, compiled = (each["step_seconds"][way] for way in ("here", "eager", "compiled"))
        kind = "PyTorch" if each["source"] in PYTORCH else "JAX"
        ratios.setdefault(kind, []).append((here / eager, here / compiled))
        shown = " | ".join(_rounded(1e6 * seconds) for seconds in (here, eager, compiled))
        rows.append(
            f"| {name} | {each['source']} | {shown} | {here / eager:.2g} | {here / compiled:.2g} |"
        )
    if not rows:
        return ""
    means = []
    for kind, pairs in ratios.items():
        one, other = np.exp(np.mean(np.log(pairs), axis=0))
        means.append(
            f"- {kind}: over {len(pairs)} programs the geometric mean is {one:.2g} of eager and "
            f"{other:.2g} of compiled."
        )
    return STEPS.format(rows="\n".join(rows), means="\n".join(means))


if __name__ == "__main__":
    main()
