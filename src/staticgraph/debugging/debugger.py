"""The debugger: run a program and its regions instruction by instruction, and keep every value."""

from __future__ import annotations

import difflib
import threading
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oplibrary.core.op import Kind
from oplibrary.messages.errors import GraphError
from oplibrary.messages.source import Source
from oplibrary.values.types import Array
from staticgraph.backends import interpret
from staticgraph.backends.backend import Runner
from staticgraph.backends.interpret import Hook
from staticgraph.control.region import BoundRegion, Region
from staticgraph.debugging.anomaly import find_anomaly
from staticgraph.debugging.frame import Frame, call_text, locked
from staticgraph.debugging.units import Activation, Unit, node_names
from staticgraph.graph.graph import Graph, leaked
from staticgraph.graph.graph_ops import ASSIGN, TRANSPARENT
from staticgraph.graph.node import Node
from staticgraph.passes.pipeline import Pass, run_passes
from staticgraph.program.program import Instruction, Program, Value

Action = Callable[[Frame], object]


Observer = Callable[[Activation, Instruction, tuple[Any, ...], Any], object]


@dataclass(eq=False)
class Breakpoint:
    """Where a run stops.

    Attributes
    ----------
    target : str
        What it was asked for.
    action : callable
        Called with a `Frame` each time.
    hits : int
        How often it was.
    """

    target: str
    action: Action
    hits: int = 0
    _stops: list[list[Breakpoint]] = field(default_factory=list, repr=False)

    def remove(self) -> None:
        """Let runs go on here."""
        for stop in self._stops:
            stop.remove(self)
        self._stops.clear()


def stop(frame: Frame) -> None:
    """Show `frame` and call `breakpoint()`: the debugger finds it under the name ``frame``."""
    print(frame)
    breakpoint()


class _Carried(BaseException):
    """An error raised by a hook, on its way past the kernels of control flow.

    Those are to explain the errors of instructions, and take no notice of what is no `Exception`.
    """

    def __init__(self, error: Exception) -> None:
        self.error = error


class Debugger:
    """What `compile` uses in place of a backend with ``debug=True``.

    Parameters
    ----------
    graph : Graph
        What is debugged.
    passes : sequence of callable
        That regions go through.
    verify : bool
        Whether regions are proved after each pass.
    lowered : dict of Region to Program, optional
        Where regions are kept before the passes, so that their values stay the same objects.

    Attributes
    ----------
    units : dict of str to Unit
        By path.
    record : dict of str to Activation
        The last run of each unit in the run that started last, by path.
    watching : bool
        Whether a value that is not finite stops a run.
    observers : list of callable
    hooks : list of callable
        As those of `DebugExecutable`.
    """

    def __init__(
        self,
        graph: Graph,
        passes: Sequence[Pass],
        verify: bool = False,
        lowered: dict[Region, Program] | None = None,
    ) -> None:
        self.units: dict[str, Unit] = {}
        self.record: dict[str, Activation] = {}
        self.watching = False
        self.observers: list[Observer] = []
        self.hooks: list[Hook] = []
        self._graph = graph
        self._passes = passes
        self._verify = verify
        self._lowered = {} if lowered is None else lowered
        self._stops: dict[Value, list[Breakpoint]] = {}
        self._local = threading.local()

    # building -------------------------------------------------------------------------------------

    def bind(self, program: Program, path: str = "") -> Program:
        """Return `program` with its regions bound to what runs them here."""
        instructions = [
            replace(
                each,
                attrs={
                    name: self._bind(value, f"{path}{each.output.name or each.op.name}.{name}")
                    for name, value in each.attrs.items()
                },
            )
            if each.op.kind is Kind.CONTROL
            else each
            for each in program.instructions
        ]
        return program.with_instructions(instructions)

    def _bind(self, value: Any, path: str) -> Any:
        if isinstance(value, Region):
            run = self._runner_of(value, path)
            return BoundRegion(value, lambda: run, build_for=lambda _strides: run)
        if isinstance(value, tuple):
            return tuple([self._bind(each, f"{path}[{i}]") for i, each in enumerate(value)])
        return value

    def _runner_of(self, region: Region, path: str) -> Callable[..., tuple[Array, ...]]:
        known = self._lowered.get(region)
        if known is None:
            known = self._lowered[region] = region.lower()
        program = self.bind(run_passes(known, self._passes, self._verify), f"{path}/")
        run = self._build(Unit(path, program, node_names(program), region.graph))
        return lambda *arrays: tuple(run(*arrays))

    def _build(self, unit: Unit) -> Callable[..., list[Array]]:
        self.units[unit.path] = unit
        program = unit.program
        run = interpret.build(program, interpret.plan(program), (self._after,)).call

        def enter(*arrays: Array) -> list[Array]:
            record, stack = self._local.record, self._local.stack
            before = record.get(unit.path)
            values: dict[Value, Any] = dict(zip(program.inputs, arrays, strict=True))
            values.update(program.constants)
            values.update({value: state.value for value, state in program.variables.items()})
            activation = Activation(unit, values, 1 if before is None else before.step + 1)
            record[unit.path] = activation
            stack.append(activation)
            try:
                return run(*arrays)
            finally:
                stack.pop()

        return enter

    def runner(self, program: Program) -> Runner:
        """Return the runner of `program`, which `bind` returned."""
        enter = self._build(Unit("", program, node_names(program), self._graph))
        local = self._local

        def call(*inputs: Array) -> list[Array]:
            around = getattr(local, "record", None), getattr(local, "stack", None)
            local.record, local.stack = {}, []
            self.record = local.record
            # what the caller does with its arrays later does not change what is shown
            arrays = [x.copy() for x in inputs]
            quiet: Any = np.errstate(all="ignore") if self.watching else nullcontext()
            try:
                with quiet:
                    return enter(*arrays)
            except _Carried as carried:
                error = carried.error
            finally:
                local.record, local.stack = around
            raise error

        return Runner(call)

    # running --------------------------------------------------------------------------------------

    def _after(self, instruction: Instruction, operands: tuple[Array, ...], result: Any) -> None:
        stack = self._local.stack
        activation: Activation = stack[-1]
        activation.values[instruction.output] = result
        try:
            for observe in self.observers:
                observe(activation, instruction, operands, result)
            for hook in self.hooks:
                hook(instruction, operands, result)
            if self.watching:
                unit = activation.unit
                error = find_anomaly(instruction, operands, result, unit.names, unit.program)
                if error is not None:
                    error.related += self._around(stack)
                    raise error
            stops = self._stops.get(instruction.output)
            if stops:
                frame = self._frame(stack, instruction, operands, result)
                for each in tuple(stops):
                    each.hits += 1
                    each.action(frame)
        except Exception as error:
            raise _Carried(error) from None

    @staticmethod
    def _around(stack: list[Activation]) -> tuple[tuple[str, Source | None], ...]:
        """Return the lines of the control flow that is running, innermost first."""
        lines = []
        for activation in reversed(stack[:-1]):
            instructions = activation.unit.program.instructions
            running = next(each for each in instructions if each.output not in activation.values)
            lines += [(f"inside {running.op.name}", source) for source in running.sources[:1]]
        return tuple(lines)

    @staticmethod
    def _frame(
        stack: list[Activation], instruction: Instruction, operands: tuple[Any, ...], result: Any
    ) -> Frame:
        activation: Activation = stack[-1]
        names = activation.unit.names
        values: Mapping[str, Array] = ChainMap(*[each.named() for each in reversed(stack)])
        return Frame(
            instruction,
            names[instruction.output],
            call_text(instruction, names),
            instruction.sources[0] if instruction.sources else None,
            tuple(map(locked, operands)),
            locked(result),
            values,
            activation.unit.path,
            activation.step,
        )

    # finding --------------------------------------------------------------------------------------

    def add_breakpoint(self, target: Node | str, action: Action | None) -> Breakpoint:
        """Stop at every instruction that `target` means.

        Raises
        ------
        GraphError
            If there is none.
        """
        found = self._instructions(target)
        if not found:
            raise self._nowhere(target)
        shown = target if isinstance(target, str) else target.name
        added = Breakpoint(shown, stop if action is None else action)
        for each in found:
            stops = self._stops.setdefault(each.output, [])
            stops.append(added)
            added._stops.append(stops)
        return added

    def _instructions(self, target: Node | str) -> list[Instruction]:
        if isinstance(target, str):
            return [
                each
                for unit in self.units.values()
                for each in unit.program.instructions
                if target in (each.op.name, *each.op.alias, unit.names[each.output])
                or target == unit.full_name(each.output)
                or any(target == source.place for source in each.sources)
            ]
        node = self._resolve(target)
        return [
            each
            for unit in self.units.values()
            if unit.graph is node.graph
            for each in unit.program.instructions
            if each.output.name == node.name
        ]

    def _resolve(self, node: Node) -> Node:
        """Return the node that computes the value of `node`, of this program."""
        if not isinstance(node, Node):
            raise GraphError(
                f"a {type(node).__name__} was passed where a node or a name is expected",
                cause="values of a program are named, as their nodes are",
                fix='pass the node, its name, or an op\'s name such as "log"',
            )
        if not any(unit.graph is node.graph for unit in self.units.values()):
            raise leaked(node, self._graph)
        while node.op in TRANSPARENT or node.op is ASSIGN:
            node = node.operands[-1] if node.op is ASSIGN else node.operands[0]
        return node

    def _nowhere(self, target: Node | str) -> GraphError:
        name = target if isinstance(target, str) else target.name
        given = {
            unit.names[value]
            for unit in self.units.values()
            for value in (*unit.program.inputs, *unit.program.constants, *unit.program.variables)
        }
        if name in given:
            return GraphError(
                f"break_at: {name!r} is computed by no instruction",
                cause="it is an input, a constant or a variable of the program",
                fix="break at what reads it",
            )
        known = {
            text
            for unit in self.units.values()
            for each in unit.program.instructions
            for text in (each.op.name, unit.full_name(each.output), unit.names[each.output])
        }
        return GraphError(
            f"break_at: nothing is called {name!r}",
            cause=_closest(name, known),
            fix="name a value, an op or a line such as 'model.py:12'; print(executable.program) "
            "shows all; what no output needs is not run",
        )

    def values(self) -> dict[str, Array]:
        """Return every array of the last run, by name; those of regions with the path in front."""
        return {
            f"{path}/{name}" if path else name: array
            for path, activation in self.record.items()
            for name, array in activation.named().items()
        }

    def value(self, target: Node | str) -> Array:
        """Return one value of the last run.

        Raises
        ------
        GraphError
            If there is none, or if a name means several.
        """
        if not self.record:
            raise GraphError(
                "inspect: the program has not run yet",
                cause="a value exists once it is computed",
                fix="call the executable first",
            )
        values = self.values()
        if not isinstance(target, str):
            node = self._resolve(target)
            paths = [p for p, each in self.record.items() if each.unit.graph is node.graph]
            names = [f"{path}/{node.name}" if path else node.name for path in paths]
            found = [name for name in names if name in values]
            target = target.name
        elif target in values:
            found = [target]
        else:
            found = [name for name in values if name.endswith(f"/{target}")]
        if len(found) == 1:
            return values[found[0]]
        if found:
            raise GraphError(
                f"inspect: {target!r} means {len(found)} values",
                cause=f"they are {', '.join(found)}",
                fix="pass the whole name",
            )
        raise GraphError(
            f"inspect: the last run computed no {target!r}",
            cause=_closest(target, values),
            fix="what no output needs, and a branch that was not taken, does not run",
        )


def _closest(name: str, names: Any) -> str:
    found = difflib.get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    return f"the closest names are {', '.join(map(repr, found))}" if found else "no name is close"
