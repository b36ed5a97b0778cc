"""A graph of TensorFlow 1 becomes a program here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, UnsupportedOpError
from oplibrary.messages.source import Source
from staticgraph.importing.graphdefs.building import Scope
from staticgraph.importing.graphdefs.called import is_variable
from staticgraph.importing.graphdefs.reader import Reader, without_gradients
from staticgraph.importing.graphdefs.source import Session
from staticgraph.importing.shared.block import Block, Ref, simplified
from staticgraph.importing.shared.checking import Results, check, cotangents_for
from staticgraph.importing.shared.dynamic import open_axes
from staticgraph.importing.shared.imported import Imported, Input, Signature
from staticgraph.importing.shared.namespaces import ON_ARRAYS

_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")


class GraphReader(Reader):
    """Reads a graph, or its definition."""

    def __init__(
        self,
        tf: Any,
        program: Any,
        args: Sequence[Any],
        fetches: Sequence[Any] | None,
        variables: Mapping[str, Any],
        dynamic: Mapping[str, Mapping[int, str]],
    ) -> None:
        super().__init__(tf, "graph")
        self.has_lines = isinstance(program, tf.Graph)
        self.graph = program if self.has_lines else self._imported(program)
        if len(args) > 1 or not all(isinstance(each, Mapping) for each in args):
            raise ArgumentError(
                "from_tensorflow: the inputs of a graph are named",
                cause="its placeholders have no order",
                fix='pass {"x": x} with an example for each placeholder',
            )
        if not fetches:
            raise ArgumentError(
                "from_tensorflow: it is not said what of the graph is wanted",
                cause="a graph has no results of its own",
                fix='pass fetches=["y"] with the names of tensors and of ops that assign',
            )
        given = dict(args[0]) if args else {}
        self.examples = {_plain(name): np.asarray(x) for name, x in given.items()}
        self.fetched = [self._fetch(each) for each in fetches]
        self.given = {_plain(name): np.asarray(x) for name, x in variables.items()}
        self.dynamic = {_plain(name): axes for name, axes in dynamic.items()}

    def _imported(self, definition: Any) -> Any:
        graph = self.tf.Graph()
        with graph.as_default():
            self.tf.import_graph_def(definition, name="")
        return graph

    def line(self, op: Any) -> Source | None:
        """Return the user's line that made an op; a definition has none."""
        return super().line(op) if self.has_lines else None

    def _fetch(self, fetch: Any) -> Any:
        name = fetch if isinstance(fetch, str) else fetch.name
        try:
            found = self.graph.as_graph_element(name)
        except (KeyError, ValueError):
            raise ArgumentError(
                f"from_tensorflow: the graph has no {name!r}",
                cause="fetches are names of its ops and tensors",
                fix="see [op.name for op in graph.get_operations()]",
            ) from None
        if isinstance(found, self.tf.Operation) and len(found.outputs) == 1:
            return found.outputs[0]
        return found

    def read(self) -> Imported:
        """Return the program, checked."""
        builder = self.builder
        tensors = [x for x in self.fetched if not isinstance(x, self.tf.Operation)]
        ops = [x for x in self.fetched if isinstance(x, self.tf.Operation)]
        self.results = [x for x in tensors if not self._assigns(x.op)]
        self.after = [*ops, *[x.op for x in tensors if self._assigns(x.op)]]
        needed = builder._ordered(
            builder._structure(self.graph),
            Scope({}, {}),
            [*[x.op for x in self.results], *self.after],
        )
        self._require_order(needed)
        self.inputs = self._placeholders(needed)
        held = self._values(needed)
        scope = Scope({}, {key: Ref(f"s {key}") for key in held})
        for each in self.inputs:
            scope.values[f"{each.name}:0"] = Ref(f"x {each.name}")
        builder.build(self.graph, scope, self.results, self.after)
        self.updated = [key for key in held if scope.state[key].name != f"s {key}"]
        parameters = {
            key: x for key, x in held.items() if key not in self.updated and x.dtype.kind == "f"
        }
        buffers = {key: x for key, x in held.items() if key not in parameters}
        block = Block(
            (
                *[f"s {key}" for key in (*parameters, *buffers)],
                *[f"x {each.name}" for each in self.inputs],
            ),
            scope.steps,
            [
                *[scope.state[key] for key in self.updated],
                *[builder._data(x, scope) for x in self.results],
            ],
            scope.constants,
        )
        signature = Signature(
            parameters, buffers, self.inputs, self.updated, self._flat, self._arranged, 1
        )
        imported = Imported(self.name, simplified(block, ON_ARRAYS), signature)
        imported.notes += builder.notes
        self._check(imported)
        return imported

    def _assigns(self, op: Any) -> bool:
        return bool(self.builder.called.changed(op))

    def _placeholders(self, needed: Sequence[Any]) -> list[Input]:
        found: list[Input] = []
        lengths: dict[str, int] = {}
        for op in needed:
            known = op.type in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault")
            if known and op.name in self.examples:
                value = self.examples[op.name]
                axes = self.dynamic.get(op.name, {})
                axes = open_axes("from_tensorflow", op.name, axes, value.shape, lengths)
                self.require_open(op.name, op.outputs[0], axes)
                found.append(self.input(op.name, value, axes))
        unknown = {*self.examples, *self.dynamic} - {each.name for each in found}
        if unknown:
            raise ArgumentError(
                f"from_tensorflow: {min(unknown)!r} is no placeholder that the results need",
                cause=f"they need {', '.join(each.name for each in found) or 'none'}",
                fix="leave it out",
            )
        return found

    # variables ------------------------------------------------------------------------------------

    def _values(self, needed: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the variables: those that are given, or those they start with."""
        wanted = [op for op in needed if op.type in _VARIABLES]
        missing = [op for op in wanted if op.name not in self.given]
        if missing:
            self.given.update(self._initial(missing))
        return {op.name: self.given[op.name] for op in wanted}

    def _initial(self, variables: Sequence[Any]) -> dict[str, Any]:
        tf = self.tf
        names = {op.name for op in self.graph.get_operations()}
        for op in variables:
            if f"{op.name}/Assign" not in names:
                raise ArgumentError(
                    f"from_tensorflow: the variable {op.name} has no value",
                    cause=f"the graph has no op {op.name}/Assign that gives it the first one",
                    fix=f'pass variables={{"{op.name}": value}}',
                    source=self.line(op),
                )
        copy = self._imported(self.graph.as_graph_def())
        with copy.as_default(), tf.compat.v1.Session(graph=copy) as session:
            waiting = [op.name for op in variables]
            while waiting:  # a first value may be another's
                left = []
                for name in waiting:
                    try:
                        session.run(copy.get_operation_by_name(f"{name}/Assign"))
                    except tf.errors.FailedPreconditionError:
                        left.append(name)
                if len(left) == len(waiting):
                    raise ArgumentError(
                        f"from_tensorflow: the variable {left[0]} has no value",
                        cause="its first value depends on variables that have none",
                        fix=f'pass variables={{"{left[0]}": value}}',
                    )
                waiting = left
            return {op.name: self._read_in(session, copy, op) for op in variables}

    def _read_in(self, session: Any, graph: Any, op: Any) -> Any:
        tensor = graph.get_tensor_by_name(f"{op.name}:0")
        if tensor.dtype == self.tf.resource:
            tensor = self.tf.raw_ops.ReadVariableOp(resource=tensor, dtype=op.get_attr("dtype"))
        return np.asarray(session.run(tensor))

    def _require_order(self, needed: Sequence[Any]) -> None:
        """Refuse programs whose results depend on which of two ops happens to run first."""
        structure = self.builder._structure(self.graph)
        position: dict[str, int] = {}
        before: dict[str, int] = {}
        uses: dict[str, list[tuple[Any, bool]]] = {}
        for i, op in enumerate(needed):
            position[op.name] = i
            found = 0
            for each in self.builder._before(structure, op):
                if each.name in position:
                    found |= before[each.name] | 1 << position[each.name]
            before[op.name] = found
            changed = {_variable(x) for x in self.builder.called.changed(op)}
            if op.outputs and is_variable(op.outputs[0]) and not changed:
                continue  # hands the variable on
            outside = structure.outside(op)
            for x in op.inputs if outside is None else outside:
                name = _variable(x)
                if name:
                    uses.setdefault(name, []).append((op, name in changed))
        for name, users in uses.items():
            for i, (first, writes) in enumerate(users):
                for second, again in users[i + 1 :]:
                    ordered = before[second.name] >> position[first.name] & 1
                    if (writes or again) and first is not second and not ordered:
                        raise UnsupportedOpError(
                            f"{first.name} and {second.name} use the variable {name} in no order, "
                            "and one of them assigns it",
                            cause="TensorFlow runs them as it happens",
                            fix="put one of them under tf.control_dependencies([other])",
                            source=self.line(second),
                        )

    # calls ----------------------------------------------------------------------------------------

    def _flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        given = dict(kwargs)
        if len(args) == 1 and isinstance(args[0], Mapping):
            given = {**{_plain(name): x for name, x in args[0].items()}, **given}
        elif len(args) == len(self.inputs) and not kwargs:
            return list(args)
        names = [each.name for each in self.inputs]
        if given.keys() != set(names):
            raise ArgumentError(
                f"{self.name}: the inputs are {', '.join(given) or 'none'}",
                cause=f"its placeholders are {', '.join(names) or 'none'}",
                fix="pass a dict with a value for each of them",
            )
        return [given[name] for name in names]

    def _arranged(self, results: Sequence[Any]) -> Any:
        return list(results)

    # checking -------------------------------------------------------------------------------------

    def _check(self, imported: Imported) -> None:
        drawn: dict[str, Any] = {}
        session = self._session(imported)
        feeds = self._feeds()
        if imported.keys:
            names = [self.builder.drawing[key] for key in imported.keys]
            found = session.run(feeds, names, (), (), None, {})
            drawn = dict(zip(imported.keys, found.outputs, strict=True))
            feeds.update({self.builder.drawing[key]: x for key, x in drawn.items()})
        names = [x.name for x in self.results]
        plain = session.run(feeds, names, [op.name for op in self.after], self.updated, None, {})
        cotangents = cotangents_for(plain.outputs)
        source = plain
        if any(c is not None for c in cotangents):
            source.gradients = self._slopes(imported, feeds, cotangents)
        examples = [self.examples[i.name] for i in self.inputs]
        exact = partial(self._in_double, imported, feeds, cotangents)
        check(imported, examples, cotangents, drawn, source, exact)

    def _session(self, imported: Imported, *, widened: bool = False) -> Session:
        held = {**imported.parameters, **imported.buffers}
        return Session(self.tf, self.graph, held, widened=widened)

    def _feeds(self) -> dict[str, Any]:
        return {f"{each.name}:0": self.examples[each.name] for each in self.inputs}

    def _wanted(self, imported: Imported) -> dict[str, str]:
        inputs = {i.name: i.dtype for i in self.inputs}
        kinds = {**{n: x.dtype for n, x in imported.parameters.items()}, **inputs}
        return {name: f"{name}:0" for name, dtype in kinds.items() if dtype.kind == "f"}

    def _slopes(
        self, imported: Imported, feeds: Mapping[str, Any], cotangents: Sequence[Any]
    ) -> dict[str, Any]:
        names = [x.name for x in self.results]
        try:
            session = self._session(imported)
            found = session.run(feeds, names, (), (), cotangents, self._wanted(imported))
        except Exception as error:
            imported.notes.append(without_gradients(error))
            return {}
        return found.gradients

    def _in_double(
        self, imported: Imported, feeds: Mapping[str, Any], cotangents: Sequence[Any]
    ) -> Results | None:
        try:
            session = self._session(imported, widened=True)
            names = [x.name for x in self.results]
            after = [op.name for op in self.after]
            found = session.run(feeds, names, after, self.updated, None, {})
            again = self._session(imported, widened=True)
            found.gradients = again.run(
                feeds, names, (), (), cotangents, self._wanted(imported)
            ).gradients
        except Exception:  # an op that has no float64, or no gradient
            return None
        return found


def _plain(name: str) -> str:
    return name.removesuffix(":0")


def _variable(tensor: Any) -> str:
    """Return the name of the variable that a tensor is, or nothing for a value."""
    ref = is_variable(tensor)
    while ref and tensor.op.type not in _VARIABLES:
        if not tensor.op.inputs:
            return ""
        tensor = tensor.op.inputs[0]
    return str(tensor.op.name) if ref else ""
