"""Blocks of a graph's ops: in their order, calls inlined, and variables as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.messages.source import Source
from staticgraph.importing.graphdefs.arguments import arguments_of, gives_list
from staticgraph.importing.graphdefs.called import (
    CALLS,
    FIRST,
    FUNCTIONS,
    SAME,
    Called,
    is_variable,
    root,
)
from staticgraph.importing.graphdefs.lowering import Structure
from staticgraph.importing.graphdefs.ops import (  # noqa: F401  they fill the table
    arrays,
    convolutions,
    drawing,
    elementwise,
    flow,
    images,
    lists,
    mathematics,
    networks,
    selecting,
    state,
)
from staticgraph.importing.graphdefs.ops.table import TABLE, WRITES
from staticgraph.importing.shared.block import Block, Ref, Step, simplified, unsupported
from staticgraph.importing.shared.namespaces import ON_ARRAYS

_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_NONE = ("NoOp", "ControlTrigger", "TensorArrayCloseV3", "VarIsInitializedOp")
_CHECKS = ("Assert", "PrintV2", "Print", "CheckNumerics")
"""What checks or shows values; it is named in the report and left out."""

_BY_VALUES = "write tf.where(mask, x, 0), whose shape does not depend on x"
_GROWING = "take the gradient here: import the function, and differentiate imported.function"
_REWRITINGS = {
    "Where": _BY_VALUES,
    "Unique": "pass the distinct values, or their number, as an argument",
    "UniqueV2": "pass the distinct values, or their number, as an argument",
    "TensorListPushBack": _GROWING,
    "TensorListPopBack": _GROWING,
    "EmptyTensorList": _GROWING,
    "StackPushV2": _GROWING,
    "StackV2": _GROWING,
    "RandomShuffle": "draw the order outside, and pass it as an argument",
    "Multinomial": "draw the random numbers outside, and pass them as an argument",
    "StatelessMultinomial": "draw the random numbers outside, and pass them as an argument",
    "RandomGamma": "draw the random numbers outside, and pass them as an argument",
    "PyFunc": "write it with TensorFlow's ops",
    "EagerPyFunc": "write it with TensorFlow's ops",
}


@dataclass(frozen=True)
class Handle:
    """A variable, by its name in the program."""

    key: str


@dataclass
class Scope:
    """A block that is being built.

    Attributes
    ----------
    values : dict
        What a tensor of the graph is, by its name.
    state : dict
        The value that each variable has so far.
    nested : bool
        Whether it is the body of a branch or loop.
    assigned : set of str
        Variables that have another value than at first: TensorFlow has no gradient from what is
        read of a variable to what was assigned.
    """

    values: dict[str, Any]
    state: dict[str, Ref]
    assigned: set[str] = field(default_factory=set)
    steps: list[Step] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    nested: bool = False
    called: bool = False

    def of_call(self, values: dict[str, Any]) -> Scope:
        """Return the scope of a function that is called here."""
        return Scope(
            values, self.state, self.assigned, self.steps, self.constants, self.nested, True
        )


class Builder:
    """Makes blocks of the ops of one program.

    Parameters
    ----------
    tf : module
    line : callable
        ``line(op)`` is the user's line of an op, or None.
    dtype : callable
        ``dtype(theirs)`` is NumPy's, or None where it has none.
    """

    def __init__(
        self,
        tf: Any,
        line: Callable[[Any], Source | None],
        dtype: Callable[[Any], Any],
    ) -> None:
        self.tf, self.line, self.dtype = tf, line, dtype
        self.numbers = count()
        self.notes: list[str] = []
        self.drawing: dict[str, Any] = {}
        self._structures: dict[int, Structure] = {}
        self.called = Called()

    # graphs ---------------------------------------------------------------------------------------

    def build(self, graph: Any, scope: Scope, targets: Iterable[Any], after: Iterable[Any]) -> None:
        """Append the steps that tensors need, and those of ops that are run beside."""
        structure = self._structure(graph)
        order = self._ordered(structure, scope, [*[x.op for x in targets], *after])
        read = self._read(structure, order, list(targets))
        for op in order:
            if op.name in read:
                self._emit(op, scope, structure)

    def _structure(self, graph: Any) -> Structure:
        found = self._structures.get(id(graph))
        if found is None:
            found = self._structures[id(graph)] = Structure(graph, self.line)
        return found

    def _before(self, structure: Structure, op: Any, *, data: bool = False) -> list[Any]:
        outside = structure.outside(op)
        tensors = op.inputs if outside is None else outside
        found = [x.op for x in tensors]
        return found if data else [*found, *op.control_inputs]

    def _ordered(self, structure: Structure, scope: Scope, starts: Sequence[Any]) -> list[Any]:
        """Return the ops that `starts` need, each after all that it needs."""
        order: list[Any] = []
        seen: set[str] = set()
        stack = [(op, False) for op in reversed(starts)]
        while stack:
            op, done = stack.pop()
            if done:
                order.append(op)
                continue
            if op.name in seen or self._bound(op, scope):
                continue
            seen.add(op.name)
            stack.append((op, True))
            stack.extend((each, False) for each in reversed(self._before(structure, op)))
        return order

    def _bound(self, op: Any, scope: Scope) -> bool:
        return any(x.name in scope.values for x in op.outputs)

    def _read(self, structure: Structure, order: Sequence[Any], targets: Sequence[Any]) -> set[str]:
        """Return the ops whose values are read by the targets, or by ops that assign."""
        read = {x.op.name for x in targets}
        for op in reversed(order):
            if self.called.changed(op):
                read.add(op.name)
            elif op.type in _CHECKS and op.name not in read:
                self._note(f"{op.type} {op.name} is left out")
            if op.name in read:
                read.update(each.name for each in self._before(structure, op, data=True))
        return read

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    # ops ------------------------------------------------------------------------------------------

    def _emit(self, op: Any, scope: Scope, structure: Structure) -> None:
        values = scope.values
        if op.name in structure.of_exit:
            self._loop(structure.of_exit[op.name], op.graph, scope)
        elif structure.is_choice(op):
            self._choice(structure.choice(op), op, scope)
        elif op.type == "Const":
            self._constant(op, scope)
        elif op.type in SAME or (op.type == "PlaceholderWithDefault" and op.inputs):
            values[op.outputs[0].name] = (
                values[op.inputs[0].name]
                if is_variable(op.outputs[0])
                else self._data(op.inputs[0], scope)  # which reads a variable now
            )
        elif op.type in _VARIABLES:
            values[op.outputs[0].name] = Handle(op.name)
        elif op.type in _NONE or (op.type in _CHECKS and not op.outputs):
            pass
        elif op.type in ("Placeholder", "PlaceholderV2"):
            raise UnsupportedOpError(
                f"the placeholder {op.name} has no value",
                cause="every placeholder that the results need is an input",
                fix=f'pass {{"{op.name}": x}} with an example, an array',
                source=self.line(op),
            )
        elif op.type in CALLS or self.called.is_function(op.graph, op.type):
            self._call(op, scope)
        elif op.type in FUNCTIONS:
            self._flow(op, scope)
        else:
            self._step(op, scope)

    def _constant(self, op: Any, scope: Scope) -> None:
        if self.dtype(op.outputs[0].dtype) is None:
            scope.values[op.outputs[0].name] = None  # a string, which no entry takes
            return
        value = self.tf.make_ndarray(op.get_attr("value"))
        scope.values[op.outputs[0].name] = self.constant(value, scope)

    def constant(self, value: Any, scope: Scope) -> Ref:
        """Return the reference of an array that is known."""
        name = self._name()
        scope.constants[name] = np.asarray(value)
        return Ref(name)

    def _name(self) -> str:
        return f"v{next(self.numbers)}"

    def _data(self, tensor: Any, scope: Scope) -> Any:
        """Return what a tensor is; of a variable, the value that it has now."""
        value = scope.values[tensor.name]
        if not isinstance(value, Handle):
            return value
        if value.key not in scope.assigned:
            return scope.state[value.key]
        name = self._name()
        entry = TABLE["StopGradient"]
        held = {"input": scope.state[value.key]}
        scope.steps.append(Step("StopGradient", entry, (name,), (), held))
        return Ref(name)

    def _step(self, op: Any, scope: Scope) -> None:
        line = self.line(op)
        entry = TABLE.get(op.type)
        if entry is None:
            raise unsupported(op.type, line, _REWRITINGS.get(op.type, ""))
        self._require_values(op, line)
        arguments = self._arguments(op, scope)
        kwargs = entry.accepted(op.type, arguments, line)
        if "element" in entry.names():
            kwargs["element"] = self.called.element_shape(op.outputs[-1], set())
        key = ""
        if entry.random:
            key = self._key(op, scope, line)
        changed = (
            [scope.values[x.name] for x in self.called.changed(op)] if op.type in WRITES else []
        )
        if changed:
            if scope.nested and any(x.key not in scope.state for x in changed):
                raise AssertionError(op.name)
            names = tuple([self._name() for _ in changed])
            dtypes: tuple[Any, ...] = ()
        else:
            names = tuple([self._name() for _ in op.outputs])
            dtypes = tuple([self._result_dtype(op, i) for i in range(len(op.outputs))])
        several = len(changed or op.outputs) > 1 or gives_list(op)
        scope.steps.append(Step(op.type, entry, names, (), kwargs, line, dtypes, several, key))
        for handle, name in zip(changed, names, strict=False):
            scope.state[handle.key] = Ref(name)
            scope.assigned.add(handle.key)
        for i, x in enumerate(op.outputs):
            scope.values[x.name] = changed[i] if changed else Ref(names[i])

    def _require_values(self, op: Any, line: Source | None) -> None:
        for x in (*op.inputs, *op.outputs):
            if self.dtype(x.dtype) is None and x.dtype.name not in ("resource", "variant"):
                raise UnsupportedOpError(
                    f"{op.type} {op.name}: values of dtype {x.dtype.name} are not supported",
                    cause="they are not numbers that NumPy has",
                    fix="do this outside, and pass numbers",
                    source=line,
                )

    def _result_dtype(self, op: Any, i: int) -> Any:
        if op.type.startswith("TensorArray") and op.op_def.output_arg[i].name.startswith("flow"):
            return None  # it stands for the array
        return self.dtype(op.outputs[i].dtype)

    def _key(self, op: Any, scope: Scope, line: Source | None) -> str:
        if scope.nested or scope.called:
            raise UnsupportedOpError(
                f"{op.type} {op.name} draws random numbers in a loop, a branch or a function",
                cause="what TensorFlow draws there cannot be replaced by what is drawn here, and "
                "so the program cannot be compared",
                fix="draw the random numbers outside, and pass them as an argument",
                source=line,
            )
        self.drawing[op.name] = op.outputs[0].name
        return str(op.name)

    def _arguments(self, op: Any, scope: Scope) -> dict[str, Any]:
        return arguments_of(
            op,
            lambda tensor: self._data(tensor, scope),
            lambda tensor: tensor.name in scope.values,
            self.dtype,
        )

    # functions ------------------------------------------------------------------------------------

    def _call(self, op: Any, scope: Scope) -> None:
        (graph,) = self.called.functions(op)
        given = [scope.values[x.name] for x in op.inputs]
        inner = scope.of_call({x.name: value for x, value in zip(graph.inputs, given, strict=True)})
        self.build(graph, inner, graph.outputs, self.called.effects(graph))
        for x, y in zip(op.outputs, graph.outputs, strict=True):
            scope.values[x.name] = inner.values[y.name]

    def _block(
        self,
        graph: Any,
        arguments: Sequence[tuple[Any, Any]],
        results: Sequence[Any],
        after: Sequence[Any],
        keys: Sequence[str] = (),
        assigned: Sequence[str] = (),
    ) -> Block:
        """Return a function of tensors.

        Parameters
        ----------
        graph : graph of TensorFlow
        arguments : sequence of (tensor, value)
            The value is what the tensor is outside; that of a variable is an argument, too.
        results : sequence of tensor
        after : sequence of op
            Run beside.
        keys : sequence of str
            Variables whose next values are further results.
        assigned : sequence of str
            Variables that are assigned in it.
        """
        inputs = []
        scope = Scope({}, {}, {*assigned}, nested=True)
        for tensor, value in arguments:
            name = self._name()
            inputs.append(name)
            if isinstance(value, Handle):
                scope.state[value.key] = Ref(name)
                scope.values[tensor.name] = value
            else:
                scope.values[tensor.name] = None if value is None else Ref(name)
        self.build(graph, scope, results, after)
        outputs = [
            scope.state[value.key] if isinstance(value, Handle) else value
            for value in [scope.values[x.name] for x in results]
        ]
        outputs += [scope.state[key] for key in keys]
        block = Block(tuple(inputs), scope.steps, outputs, scope.constants)
        return simplified(block, ON_ARRAYS)

    def _flow(self, op: Any, scope: Scope) -> None:
        """Append a branch or a loop over functions."""
        line = self.line(op)
        entry = TABLE[op.type]
        first = FIRST.get(op.type, 0)
        graphs = self.called.functions(op)
        given = [scope.values[x.name] for x in op.inputs[first:]]
        written = [scope.values[x.name].key for x in self.called.changed(op)]
        keys = list(dict.fromkeys(written))
        loops = "While" in op.type
        blocks = [
            self._block(
                graph,
                list(zip(graph.inputs, given, strict=True)),
                graph.outputs,
                self.called.effects(graph),
                () if loops else keys,
                keys,
            )
            for graph in graphs
        ]
        kwargs = entry.accepted(op.type, self._arguments(op, scope), line)
        if loops:
            kwargs.update(cond=blocks[0], body=blocks[1])
            body = graphs[1]
            moving = [
                value.key in keys if isinstance(value, Handle) else root(y).name != x.name
                for x, y, value in zip(body.inputs, body.outputs, given, strict=True)
            ]
            kwargs["moving"] = tuple(moving)
        elif len(FUNCTIONS[op.type]) == 1:
            kwargs["branches"] = blocks
        else:
            kwargs.update(zip(FUNCTIONS[op.type], blocks, strict=True))
        names = tuple([self._name() for _ in (*op.outputs, *(() if loops else keys))])
        scope.steps.append(Step(op.type, entry, names, (), kwargs, line, (), True))
        for i, x in enumerate(op.outputs):
            if loops and isinstance(given[i], Handle):
                scope.values[x.name] = given[i]
                if moving[i]:
                    scope.state[given[i].key] = Ref(names[i])
                    scope.assigned.add(given[i].key)
            else:
                scope.values[x.name] = Ref(names[i])
        if not loops:
            for key, name in zip(keys, names[len(op.outputs) :], strict=True):
                scope.state[key] = Ref(name)
                scope.assigned.add(key)

    # TensorFlow 1 ---------------------------------------------------------------------------------

    def _loop(self, loop: Any, graph: Any, scope: Scope) -> None:
        """Append the loop of a frame, unless one of its results was asked for before."""
        if any(name + ":0" in scope.values for name in loop.exits):
            return
        given = [scope.values[x.name] for x in loop.outside]
        count_of = len(loop.enters)
        constants = [(op.outputs[0], given[count_of + i]) for i, op in enumerate(loop.constants)]

        def block(first: Sequence[Any], results: Sequence[Any]) -> Block:
            arguments = [*zip(first, given[:count_of], strict=True), *constants]
            made = self._block(graph, arguments, results, ())
            self._require_no_effects(results, made, graph)
            return made

        condition = block([op.outputs[0] for op in loop.merges], [loop.condition])
        body = block([op.outputs[1] for op in loop.switches], loop.next_values)
        body.outputs += [Ref(name) for name in body.inputs[count_of:]]
        line = self.line(loop.merges[0])
        kwargs = {
            "input": [self._data(x, scope) for x in loop.outside],
            "cond": condition,
            "body": body,
            "moving": tuple([i < count_of for i in range(len(given))]),
        }
        names = tuple([self._name() for _ in given])
        scope.steps.append(
            Step(f"the loop {loop.name}", TABLE["While"], names, (), kwargs, line, (), True)
        )
        for name, i in loop.exits.items():
            scope.values[name + ":0"] = Ref(names[i])

    def _choice(self, choice: Any, op: Any, scope: Scope) -> None:
        given = [scope.values[x.op.inputs[0].name] for x in [s.outputs[0] for s in choice.switches]]
        blocks = []
        for side, results in enumerate(choice.branches):
            arguments = [
                (switch.outputs[side], value)
                for switch, value in zip(choice.switches, given, strict=True)
            ]
            made = self._block(op.graph, arguments, results, ())
            self._require_no_effects(results, made, op.graph)
            blocks.append(made)
        kwargs = {
            "cond": self._data(choice.predicate, scope),
            "input": [self._data(s.inputs[0], scope) for s in choice.switches],
            "else_branch": blocks[0],
            "then_branch": blocks[1],
        }
        names = tuple([self._name() for _ in choice.merges])
        scope.steps.append(
            Step(
                f"the branches of {op.name}",
                TABLE["If"],
                names,
                (),
                kwargs,
                self.line(op),
                (),
                True,
            )
        )
        for merge, name in zip(choice.merges, names, strict=True):
            scope.values[merge.outputs[0].name] = Ref(name)

    def _require_no_effects(self, results: Sequence[Any], block: Block, graph: Any) -> None:
        for step in block.steps:
            if step.label in WRITES:
                raise UnsupportedOpError(
                    f"{step.label} in a branch or loop of TensorFlow 1",
                    cause="there it cannot be told when it runs",
                    fix="return the next value from tf.cond or tf.while_loop, and assign that",
                    source=step.line,
                )
