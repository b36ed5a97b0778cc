"""Check the compiler on one run: after every pass, and in the backend, every value is the same."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any, NamedTuple

from oplibrary.core.op import Kind
from oplibrary.messages.errors import PassError
from oplibrary.values.tree import flatten
from oplibrary.values.types import Array
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.binding import bind_regions
from staticgraph.compiler.building import build_runner, plan_program
from staticgraph.compiler.declared import graph_of
from staticgraph.compiler.feeds import Feed, convert_feeds
from staticgraph.compiler.run_lengths import measure_lengths
from staticgraph.control.region import Region
from staticgraph.debugging.blame import Found, Key, blamed, result_changed, value_changed
from staticgraph.debugging.debugger import Debugger
from staticgraph.debugging.difference import Digest, differ, digest, same
from staticgraph.debugging.units import Activation
from staticgraph.declare.lower import lower
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.passes.pipeline import DEFAULT_PASSES, Pass, fix_of, pass_name
from staticgraph.program.program import Instruction, Program
from staticgraph.program.verify import verify


class CheckedStage(NamedTuple):
    """The program after one pass, or in the backend, and what was compared.

    Attributes
    ----------
    name : str
    instructions : int
    changed : bool
        Whether the pass changed the program or a region in it.
    compared : int
        Values, those of every step of a loop included, that were there before and after.
    ulps : int
        The largest difference.
    """

    name: str
    instructions: int
    changed: bool
    compared: int
    ulps: int = 0


@dataclass(frozen=True, slots=True)
class PassCheck:
    """The report of `check_passes`; printing it shows it as text.

    Attributes
    ----------
    stages : tuple of CheckedStage
        The program as declared, after each pass, and in the backend.
    """

    stages: tuple[CheckedStage, ...]

    def __str__(self) -> str:
        width = max(len(stage.name) for stage in self.stages)
        lines = [f"{'stage':{width}}  instructions  values compared"]
        for stage in self.stages:
            note = "" if stage.changed else "  unchanged"
            note += f"  up to {stage.ulps:,} ULP" if stage.ulps else ""
            lines.append(
                f"{stage.name:{width}}  {stage.instructions:>12}  {stage.compared:>15}{note}"
            )
        return "\n".join(lines)

    __repr__ = __str__


def check_passes(
    outputs: Any,
    inputs: Iterable[Node | str] | None = None,
    arrays: Sequence[Any] | Mapping[str, Any] = (),
    *,
    backend: str = "numpy",
    passes: Sequence[Pass] | None = None,
    ulps: int = 0,
) -> PassCheck:
    """Run a program after each pass, and in the backend, and compare it with itself as declared.

    Every run is that of the ``interpret`` backend, instruction by instruction. Whatever is computed
    before and after a pass must be the same bits, in branches and at every step of loops too; only
    which NaN it is may change. What prints must go on doing so in the same order; it is shown once.
    The graph does not become final, and variables keep their values.

    Parameters
    ----------
    outputs, inputs
        As `compile` takes them.
    arrays : sequence or mapping of str to array
        What the run is fed.
    backend : str
        What is compared with ``interpret`` in the end.
    passes : sequence of callable, optional
        By default `DEFAULT_PASSES`.
    ulps : int
        How many units in the last place results of the backend may differ.

    Returns
    -------
    PassCheck

    Raises
    ------
    PassError
        At the first pass that changed a value, made a malformed program, or failed: with the
        instruction, the user's line and the largest difference. Likewise for the backend.

    Examples
    --------
    >>> import staticgraph as sg
    >>> with sg.Graph() as graph:
    ...     x = sg.placeholder("x", (2,))
    ...     y = sg.exp(x) * 1.0
    >>> print(sg.check_passes(y, [x], [[0.0, 1.0]], passes=sg.without("fuse_elementwise")[2:3]))
    stage             instructions  values compared
    declared                     2                2
    simplify_algebra             1                1
    backend numpy                1                1
    """
    leaves, _ = flatten(outputs)
    given = None if inputs is None else list(inputs)
    graph = graph_of(leaves, given)
    nodes = [graph.resolve(node) for node in (graph.inputs if given is None else given)]
    feeds = [Feed(node.name, node.type, node.source) for node in nodes]
    named = dict(arrays) if isinstance(arrays, Mapping) else {}
    fed = convert_feeds(feeds, () if named else list(arrays), named)
    check = _Check(graph, lower(graph, leaves, nodes), fed)
    chosen = DEFAULT_PASSES if passes is None else tuple(passes)
    for number in range(len(chosen)):
        check.after_pass(chosen[: number + 1])
    check.in_backend(backend, chosen, ulps)
    return PassCheck(tuple(check.stages))


# one run --------------------------------------------------------------------------------------


class _Record:
    """What one run computed.

    Attributes
    ----------
    digests : dict of Key to Digest
        In the order computed.
    found : Found
    effects : list of (str, Digest)
        What was printed and checked, in order: the op and its operands.
    effective : list of Instruction
        What did so.
    kept : dict of Key to result
        The arrays that were asked for.
    results : list of ndarray
        The outputs, then the new values of variables.
    """

    def __init__(self, keep: Iterable[Key] = ()) -> None:
        self.digests: dict[Key, Digest] = {}
        self.found: Found = {}
        self.effects: list[tuple[str, Digest]] = []
        self.effective: list[Instruction] = []
        self.kept: dict[Key, Any] = {}
        self.results: list[Array] = []
        self._keep = frozenset(keep)

    def __call__(
        self,
        activation: Activation,
        instruction: Instruction,
        operands: tuple[Any, ...],
        result: Any,
    ) -> None:
        unit, output = activation.unit, instruction.output
        key = (unit.path, activation.step, output)
        found = digest(result)
        self.digests[key] = found
        self.found[unit.path, output] = unit, instruction
        if instruction.op.effect:
            self.effects.append((instruction.op.name, tuple(map(digest, operands))))
            self.effective.append(instruction)
        if key in self._keep:
            self.kept[key] = result


@contextmanager
def _variables_kept(program: Program) -> Iterator[None]:
    """Leave the variables as they are when the block ends."""
    before = [(variable, variable.stored) for variable, _ in program.updates]
    try:
        yield
    finally:
        for variable, value in before:
            variable.stored = value


def _runs(program: Program, call: Any, arrays: list[Array]) -> list[Array]:
    """Return the outputs and the new values of variables."""
    with _variables_kept(program):
        outputs = call(*arrays)
        return [*outputs, *[variable.stored for variable, _ in program.updates]]


# the check ------------------------------------------------------------------------------------


class _Check:
    """A program on its way through the passes."""

    def __init__(self, graph: Graph, program: Program, arrays: list[Array]) -> None:
        self.graph = graph
        self.arrays = arrays
        self.program = program
        self.passes: tuple[Pass, ...] = ()
        self.lowered: dict[Region, Program] = {}
        self.record = self.run(program, ())
        self.stages = [
            CheckedStage("declared", len(program.instructions), True, len(self.record.digests))
        ]

    def run(self, program: Program, passes: Sequence[Pass], keep: Iterable[Key] = ()) -> _Record:
        record = _Record(keep)
        debugger = Debugger(self.graph, passes, True, self.lowered)
        debugger.observers.append(record)
        runner = debugger.runner(debugger.bind(program))
        call = measure_lengths(runner, program, _feeds_of(program)).call
        record.results = _runs(program, call, self.arrays)
        return record

    def after_pass(self, passes: tuple[Pass, ...]) -> None:
        """Run the last of `passes`, run the program, and compare it with that before."""
        name = pass_name(passes[-1])
        before, record = self.program, self.record
        with blamed(f"pass {name}", fix_of(passes[-1])):
            self.program = passes[-1](before)
            if self.program is not before:
                verify(self.program, after=name)
            if self.program is not before or _has_regions(before):
                with redirect_stdout(io.StringIO()):
                    self.record = self.run(self.program, passes)
        changed = self._compare(name, passes, before, record)
        self.passes = passes
        common = sum(key in record.digests for key in self.record.digests)
        count = len(self.program.instructions)
        self.stages.append(CheckedStage(name, count, changed, common))

    def _compare(
        self, name: str, passes: tuple[Pass, ...], before: Program, record: _Record
    ) -> bool:
        """Raise if a value changed; return whether the program did."""
        now = self.record
        if now is record:
            return False
        fix = fix_of(passes[-1])
        for key, found in now.digests.items():
            if key in record.digests and not same(record.digests[key], found):
                expected = self._kept(before, self.passes, key)
                result = self._kept(self.program, passes, key)
                difference = differ(expected, result)
                raise value_changed(f"pass {name}", now.found, record.found, key, difference, fix)
        for position, (old, new) in enumerate(zip(record.results, now.results, strict=True)):
            difference = differ(old, new)
            if difference is not None:
                raise result_changed(f"pass {name}", self.program, position, difference, fix)
        if now.effects != record.effects:
            raise self._effects_changed(name, record, fix)
        return self.program is not before or now.digests.keys() != record.digests.keys()

    def _effects_changed(self, name: str, record: _Record, fix: str) -> PassError:
        pairs = zip_longest(record.effects, self.record.effects)
        first = next(i for i, (old, new) in enumerate(pairs) if old != new)
        at = [each.effective[first : first + 1] for each in (record, self.record)]
        old, new = (
            f"{each[0].op.name} of {each[0].inputs[0].name}" if each else "nothing" for each in at
        )
        return PassError(
            f"pass {name} changed what is printed or checked: {new} runs in place of {old}",
            cause="an instruction with an effect runs once each time, in the order declared",
            fix=fix,
            source=next((each[0].sources[0] for each in at if each and each[0].sources), None),
        )

    def _kept(self, program: Program, passes: Sequence[Pass], key: Key) -> Any:
        with redirect_stdout(io.StringIO()):
            return self.run(program, passes, [key]).kept[key]

    def in_backend(self, name: str, passes: Sequence[Pass], ulps: int) -> None:
        """Run the program in a backend and compare the results with those interpreted."""
        what, fix = f"backend {name}", 'compile with backend="interpret", and report it'
        with blamed(what, fix), redirect_stdout(io.StringIO()):
            results = self._in_backend(self.program, name, passes)
        worst = 0
        for position, (old, new) in enumerate(zip(self.record.results, results, strict=True)):
            difference = differ(old, new)
            if difference is None:
                continue
            worst = max(worst, difference.ulps)
            if difference.ulps > ulps:
                with redirect_stdout(io.StringIO()):
                    self._locate(name, passes, ulps, what, fix)
                raise result_changed(what, self.program, position, difference, fix)
        count = len(self.program.instructions)
        self.stages.append(CheckedStage(what, count, True, len(results), worst))

    def _in_backend(self, program: Program, name: str, passes: Sequence[Pass]) -> list[Array]:
        loaded = load_backend(name)
        bound = bind_regions(program, loaded, passes)
        runner = build_runner(loaded, bound, plan_program(loaded, bound))
        call = measure_lengths(runner, bound, _feeds_of(bound)).call
        return _runs(program, call, [array.copy() for array in self.arrays])

    def _locate(self, name: str, passes: Sequence[Pass], ulps: int, what: str, fix: str) -> None:
        """Raise at the first instruction whose value is not the same in the backend.

        It is found by asking for every value; if the backend then computes all of them right,
        nothing is raised.
        """
        instructions = [
            each
            for each in self.program.instructions
            if each.op.kind is not Kind.CONTROL or "index" in each.attrs
        ]
        keys: list[Key] = [("", 1, each.output) for each in instructions]
        record = self.run(self.program, self.passes, keys)
        values = tuple(each.output for each in instructions)
        results = self._in_backend(replace(self.program, outputs=values), name, passes)
        for key, result in zip(keys, results, strict=False):
            difference = differ(record.kept[key], result)
            if difference is not None and difference.ulps > ulps:
                raise value_changed(what, record.found, record.found, key, difference, fix)


def _feeds_of(program: Program) -> list[Feed]:
    return [Feed(value.name, value.type) for value in program.inputs]


def _has_regions(program: Program) -> bool:
    return any(
        each.op.kind is Kind.CONTROL and "index" not in each.attrs for each in program.instructions
    )
