"""Comparing an imported program with its source, before it is handed over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from oplibrary.messages.errors import ImportCheckError, NotDifferentiableError, SideBySideError
from oplibrary.values.dtypes import FLOATING, REAL_FLOATING
from staticgraph.compiler.compile import compile
from staticgraph.declare.autodiff import gradients
from staticgraph.declare.build import placeholder
from staticgraph.graph.graph import Graph
from staticgraph.importing.shared.imported import Difference, Imported
from staticgraph.importing.shared.namespaces import DECLARING
from staticgraph.importing.shared.widening import coarsest, wide, widened

NEAR = 1e-5
"""The difference, in parts of the largest number, that needs no further proof in float32."""

_FAR, _FAR_IN_HALVES = 1e-3, 3e-2
"""The difference, in parts of the largest number, that is no rounding, whatever float64 gives."""

_EACH_LENGTH = "imported.function takes every length, and imported.graph cannot be declared for all"
"""What is said of a program that has to be declared for each length."""

_TIMES_AS_FAR = 10.0
"""How many times as far from the source in float64 a value may be as the source itself is."""

_SAME = 1e-6
"""The difference of values in float64 that is none: sources may keep some steps in float32."""

_ULPS = 4
"""Units in the last place of half floats that a value may be off: their casts stay in float64."""

_SMALL = 0.05
"""Gradients below this part of the largest one are compared on its scale: sums that cancel have
no digits of their own. The difference that is left to them, `NEAR` of this part, is four units in
the last place of the largest: a bias before a batch norm, whose gradient is 0, is off by as much
in any order of its sum."""


@dataclass
class Results:
    """What a program gives on the example inputs.

    Attributes
    ----------
    outputs : list of array
    state : dict of str to array
        The next values of the buffers that change.
    gradients : dict of str to array
        Of the sum of the outputs times `cotangents_for` them, by parameters and inputs.
    """

    outputs: list[Any]
    state: dict[str, Any]
    gradients: dict[str, Any]


def cotangents_for(outputs: Sequence[Any]) -> list[Any]:
    """Return what outputs are multiplied with: normal numbers, and None for whole numbers."""
    rng = np.random.default_rng(0)
    return [
        rng.standard_normal(np.shape(x)).astype(x.dtype)
        if np.asarray(x).dtype.kind in REAL_FLOATING
        else None
        for x in outputs
    ]


def run_here(
    imported: Imported, examples: Sequence[Any], cotangents: Sequence[Any], drawn: Mapping[str, Any]
) -> Results:
    """Return the results of the imported program, run by NumPy's kernels.

    Parameters
    ----------
    imported : Imported
    examples : sequence of array
        The inputs.
    cotangents : sequence of array or None
        One an output.
    drawn : mapping of str to array
        The random numbers that the source drew.
    """
    signature = imported.signature
    graph = Graph(name="check")
    feeds: list[Any] = []
    with graph:

        def fed(name: str, value: Any) -> Any:
            feeds.append(value)
            return placeholder(name, np.shape(value), np.asarray(value).dtype)

        parameters = {name: fed(f"p.{name}", x) for name, x in signature.parameters.items()}
        buffers = {name: fed(f"b.{name}", x) for name, x in signature.buffers.items()}
        inputs = [
            fed(f"x.{each.name}", x) for each, x in zip(signature.inputs, examples, strict=True)
        ]
        draws = {name: fed(f"d.{name}", x) for name, x in drawn.items()}
        results, updated = imported._results(
            DECLARING, parameters, buffers, inputs, lambda name, make: draws[name]
        )
        results = [x for x in results if x is not None]
        pairs = [
            (y, fed(f"c.{i}", c))
            for i, (y, c) in enumerate(zip(results, cotangents, strict=True))
            if c is not None
        ]
        named = {
            **parameters,
            **dict(zip(signature.called, inputs, strict=True)),
        }
        wanted = {name: x for name, x in named.items() if x.dtype.kind in REAL_FLOATING}
        found = (
            gradients([y for y, _ in pairs], list(wanted.values()), [c for _, c in pairs], "zero")
            if pairs and wanted
            else []
        )
        fetches = [*results, *updated.values(), *found]
        run = compile(fetches, graph.inputs, backend="numpy")
    values = list(run(*feeds))
    count = len(results)
    outputs, rest = values[:count], values[count:]
    state, slopes = rest[: len(updated)], rest[len(updated) :]
    return Results(
        outputs, dict(zip(updated, state, strict=True)), dict(zip(wanted, slopes, strict=False))
    )


def check(
    imported: Imported,
    examples: Sequence[Any],
    cotangents: Sequence[Any],
    drawn: Mapping[str, Any],
    source: Results,
    exact: Callable[[], Results | None],
) -> None:
    """Compare what a program gives here with what its source gives; `differences` gets how far.

    Parameters
    ----------
    imported : Imported
    examples, cotangents, drawn
        See `run_here`.
    source : Results
    exact : callable
        Gives the results of the source in float64, or None where it has none; asked where a
        difference is larger than `NEAR`.

    Raises
    ------
    ImportCheckError
        If a value differs by more than `NEAR`, is not as near to the source in float64 as the
        source is, and is not the source's where both compute in float64. The last is for elements
        that are 0 but for rounding: on the other side of a kink, such as that of ``relu``, one
        moves gradients by as much as it weighs.
    """
    try:
        here = run_here(imported, examples, cotangents, drawn)
    except NotDifferentiableError as error:  # and says so by name where a gradient is asked for
        said = str(error).splitlines()[0].partition("] ")[2]
        imported.notes.append(f"gradients are not compared, and there are none here: {said}")
        cotangents, source = [None] * len(cotangents), replace(source, gradients={})
        here = run_here(imported, examples, cotangents, drawn)

    def here_exactly() -> Results | None:
        try:
            given = wide(list(examples)), wide(list(cotangents)), wide(dict(drawn))
            return run_here(widened(imported), *given)
        except SideBySideError:  # an operation that has no float64
            return None

    imported.differences = _compared(imported, here, source, cache(exact), cache(here_exactly))
    if any(isinstance(n, str) for each in imported.inputs for n in each.shape):
        _note_closed(imported)


def _note_closed(imported: Imported) -> None:
    """Note a program that has to be declared for each length, though its lengths are open."""
    try:
        assert imported.graph is not None
    except SideBySideError as error:
        said = str(error).splitlines()[0].partition("] ")[2]
        imported.notes.append(f"{_EACH_LENGTH}: {said}")


def check_length_one(
    imported: Imported,
    examples: Sequence[Any],
    source: Callable[[list[Any]], tuple[list[Any], Mapping[str, Any]]],
) -> None:
    """Compare the outputs where each open length is 1, which some sources take for 2 or more.

    Parameters
    ----------
    imported : Imported
    examples : sequence of array
        The inputs, at other lengths.
    source : callable
        ``source(inputs)`` returns the outputs of the source and what it drew for them.

    Raises
    ------
    ImportCheckError
        If the source does something else there than at the example's lengths.
    """
    shapes = [each.shape for each in imported.inputs]
    for name in sorted({n for shape in shapes for n in shape if isinstance(n, str)}):
        inputs = [
            x[tuple([slice(1) if n == name else slice(None) for n in shape])]
            for x, shape in zip(examples, shapes, strict=True)
        ]
        try:
            expected, drawn = source(inputs)
        except Exception as error:  # whatever a module says of a length that it does not take
            said = str(error).splitlines()[0][:120]
            imported.notes.append(f"nothing is compared where {name} is 1: the source says {said}")
            continue
        try:
            results = run_here(imported, inputs, [None] * len(expected), drawn).outputs
        except SideBySideError as error:  # and so does a run that is given such inputs
            said = str(error).splitlines()[0].partition("] ")[2]
            imported.notes.append(f"it does not run where {name} is 1: {said}")
            continue
        for i, (x, y) in enumerate(zip(results, expected, strict=True)):
            compare_where(imported, i, f"{name} is 1", x, y)


def compare_where(imported: Imported, output: int, said: str, ours: Any, theirs: Any) -> None:
    """Compare an output at other lengths than the example's, which are `said`.

    Raises
    ------
    ImportCheckError
        If it differs by more than rounding.
    """
    apart = distance(ours, theirs)
    imported.differences.append(Difference(f"output {output} where {said}", apart))
    if apart > (_FAR if theirs.dtype.itemsize > 2 else _FAR_IN_HALVES):
        raise ImportCheckError(
            f"{imported.source}: output {output}, where {said}, differs by {apart:.1e} of its "
            "largest number",
            cause="a program is handed over for all lengths, and its source does something else "
            "for some of them",
            fix="decide by values in place of lengths, or leave the axis out of dynamic",
        )


def _compared(
    imported: Imported,
    here: Results,
    source: Results,
    exact: Callable[[], Results | None],
    here_exactly: Callable[[], Results | None],
) -> list[Difference]:
    """Return the differences of every value; see `check`."""
    pairs: list[tuple[str, Any, Any, Callable[[Results], Any], float]] = []
    for i, (ours, theirs) in enumerate(zip(here.outputs, source.outputs, strict=True)):
        pairs.append((f"output {i}", ours, theirs, lambda r, i=i: r.outputs[i], 0.0))  # type: ignore[misc]
    for name, theirs in source.state.items():
        pairs.append(
            (f"next {name}", here.state[name], theirs, lambda r, n=name: r.state[n], 0.0)  # type: ignore[misc]
        )
    largest = max((_largest(x) for x in source.gradients.values()), default=0.0)
    for name, theirs in source.gradients.items():
        pairs.append(
            (
                f"gradient by {name}",
                here.gradients[name],
                theirs,
                lambda r, n=name: r.gradients[n],  # type: ignore[misc]
                _SMALL * largest,
            )
        )
    halves = _ULPS * coarsest(imported.block)
    found: list[Difference] = []
    rounded: list[Difference] = []
    for what, ours, theirs, pick, scale in pairs:
        error = distance(ours, theirs, scale)
        found.append(Difference(what, error))
        if error <= NEAR:
            continue
        best = exact()
        own = np.inf if best is None else distance(theirs, pick(best), scale)
        if best is None or not np.isfinite(own):
            raise disagrees(imported.source, what, error)
        if distance(ours, pick(best), scale) <= max(NEAR, _TIMES_AS_FAR * own):
            continue
        again = here_exactly()
        apart = np.inf if again is None else distance(pick(again), pick(best), scale)
        if apart > _SAME and max(apart, error) > halves:
            raise disagrees(imported.source, what, error)
        rounded.append(found[-1])
    if rounded:
        worst = max(rounded, key=lambda each: each.error)
        imported.notes.append(
            f"{worst.what} is {worst.error:.1e} from the source by rounding, and the source's in "
            f"float64{f'; so are {len(rounded) - 1} others' if len(rounded) > 1 else ''}"
        )
    return found


def disagrees(source: str, what: str, error: float) -> ImportCheckError:
    """Return the error of a value that is not the source's."""
    return ImportCheckError(
        f"{source}: {what} differs by {error:.1e} of its largest number",
        cause="a program that computes something else is not handed over",
        fix="import parts of it to find the operation, and write that with others",
    )


def _largest(x: Any) -> float:
    numbers = np.abs(np.asarray(x))
    if numbers.dtype.kind in REAL_FLOATING:
        numbers = numbers.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    return float(finite.max()) if finite.size else 0.0


def _family(x: Any) -> str:
    return "f" if x.dtype.kind in REAL_FLOATING else str(x.dtype.kind)


def distance(ours: Any, theirs: Any, scale: float = 0.0) -> float:
    """Return the largest difference in parts of the largest number; inf for other shapes."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or _family(ours) != _family(theirs):
        return np.inf
    if not theirs.size:
        return 0.0
    if theirs.dtype.kind not in FLOATING:
        return 0.0 if np.array_equal(ours, theirs) else np.inf
    if theirs.dtype.kind in REAL_FLOATING:  # halves have no infinities among complex numbers
        ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    if same.all():
        return 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.where(same, 0, ours - theirs))
    if not np.isfinite(apart).all():
        return np.inf
    return float(apart.max() / max(_largest(theirs), scale, 1e-30))
