"""A function, a layer or a model of TensorFlow becomes a program here."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, SideBySideError
from staticgraph.importing.graphdefs.building import Handle, Scope
from staticgraph.importing.graphdefs.reader import Reader, without_gradients
from staticgraph.importing.graphdefs.source import Session
from staticgraph.importing.shared.block import Block, Ref, simplified
from staticgraph.importing.shared.checking import Results, check, cotangents_for
from staticgraph.importing.shared.dynamic import open_axes
from staticgraph.importing.shared.imported import Imported, Input, Signature, require_same
from staticgraph.importing.shared.namespaces import ON_ARRAYS


class FunctionReader(Reader):
    """Reads what is called with tensors: functions, layers, models, signatures."""

    def __init__(
        self,
        tf: Any,
        program: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        dynamic: Mapping[str, Mapping[int, str]],
    ) -> None:
        name = getattr(program, "__name__", None) or getattr(program, "name", None)
        name = name.decode() if isinstance(name, bytes) else name
        super().__init__(tf, str(name or type(program).__name__))
        self.program, self.args, self.kwargs, self.dynamic = program, args, kwargs, dynamic

    def read(self) -> Imported:
        """Return the program, checked."""
        self._take_inputs()
        self.concrete = self._traced()
        held = self._captured()
        graph = self.concrete.graph
        scope = Scope(dict(self.values), {key: Ref(f"s {key}") for key in held})
        order = self._order_of_inputs()
        for tensor, i in zip(graph.inputs, order, strict=False):
            scope.values[tensor.name] = Ref(f"x {i}")
            self.require_open(self.inputs[i].name, tensor, self.axes[i])
        for tensor, array in self.fixed:
            scope.values[tensor.name] = self.builder.constant(array, scope)
        self.results = list(graph.outputs)  # a tape adds to them what its gradients read
        self.after = self.builder.called.effects(graph)
        self.builder.build(graph, scope, self.results, self.after)
        self.updated = [key for key in held if scope.state[key].name != f"s {key}"]
        parameters = {
            key: v for key, v in held.items() if self.trainable[key] and key not in self.updated
        }
        buffers = {key: v for key, v in held.items() if key not in parameters}
        results = [self.builder._data(x, scope) for x in self.results]
        block = Block(
            (
                *[f"s {key}" for key in (*parameters, *buffers)],
                *[f"x {i}" for i in range(len(self.inputs))],
            ),
            scope.steps,
            [*[scope.state[key] for key in self.updated], *results],
            scope.constants,
        )
        signature = Signature(
            parameters,
            buffers,
            self.inputs,
            self.updated,
            self._flat,
            self._arranged,
            len(self.args),
        )
        imported = Imported(self.name, simplified(block, ON_ARRAYS), signature)
        imported.notes += self.builder.notes
        self._check(imported)
        return imported

    # tracing --------------------------------------------------------------------------------------

    def _take_inputs(self) -> None:
        """Find the arrays among the arguments; everything else belongs to the program."""
        tf = self.tf
        self.leaves = tf.nest.flatten((self.args, self.kwargs))
        self.names = names = self._names(self.args, self.kwargs)
        self.places: list[int | None] = []
        self.inputs: list[Input] = []
        self.examples: list[Any] = []
        self.axes: list[dict[int, str]] = []
        lengths: dict[str, int] = {}
        specs = []
        for leaf, name in zip(self.leaves, names, strict=True):
            if not (tf.is_tensor(leaf) or isinstance(leaf, (np.ndarray, np.generic, tf.Variable))):
                self.places.append(None)
                specs.append(leaf)
                continue
            array = np.asarray(leaf)
            axes = open_axes(
                "from_tensorflow", name, self.dynamic.get(name, {}), array.shape, lengths
            )
            shape = [None if axis in axes else n for axis, n in enumerate(array.shape)]
            self.axes.append(axes)
            specs.append(
                tf.TensorSpec(shape, tf.as_dtype(array.dtype), f"argument_{len(self.inputs)}")
            )
            self.places.append(len(self.inputs))
            self.inputs.append(self.input(name, array, axes))
            self.examples.append(array)
        arrays = [each.name for each in self.inputs]
        unknown = [name for name in self.dynamic if name not in arrays]
        if unknown:
            raise ArgumentError(
                f"from_tensorflow: dynamic names {unknown[0]!r}, which is no array that is passed",
                cause=f"they are {', '.join(arrays) or 'none'}",
                fix=f'write dynamic={{"{(arrays or ["x"])[0]}": {{0: "batch"}}}}',
            )
        self.specs = tf.nest.pack_sequence_as((self.args, self.kwargs), specs)

    def _names(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[str]:
        """Return what the leaves of the arguments are called, by the function's parameters."""
        function = getattr(self.program, "python_function", None)
        function = function or getattr(self.program, "call", None) or self.program
        try:
            bound = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            bound = []
        plain = [p.name for p in bound if p.kind is p.POSITIONAL_OR_KEYWORD]
        of_args = plain[: len(args)]
        for i in range(len(of_args), len(args)):
            of_args.append(_unique(f"x{i}", [*plain, *kwargs]))
        found: list[str] = []
        for name, tree in [*zip(of_args, args, strict=True), *sorted(kwargs.items())]:
            found += _paths(tree, name)
        return found

    def _traced(self) -> Any:
        tf = self.tf
        if hasattr(self.program, "structured_input_signature"):
            return self.program
        args, kwargs = self.specs
        try:
            function = self.program
            if not hasattr(function, "get_concrete_function"):
                function = tf.function(lambda *args, **kwargs: self.program(*args, **kwargs))
            if getattr(function, "input_signature", None) is not None:
                return function.get_concrete_function()
            return function.get_concrete_function(*args, **kwargs)
        except SideBySideError:
            raise
        except Exception as error:
            raise self.not_traced(error) from error

    def _order_of_inputs(self) -> list[int]:
        """Return which input each placeholder of the graph is."""
        graph = self.concrete.graph
        count = len(self.inputs)
        given = [x.op.name for x in graph.inputs[: len(graph.inputs) - self.captures]]
        order = [
            int(name.removeprefix("argument_")) if name.removeprefix("argument_").isdigit() else -1
            for name in given
        ]
        if sorted(order) == list(range(count)):
            return order
        named = {each.name: i for i, each in enumerate(self.inputs)}
        if set(given) == set(named):
            return [named[name] for name in given]
        if len(given) != count:
            raise ArgumentError(
                f"{self.name}: {count} arrays were passed, and it takes {len(given)}",
                cause=f"its arguments are {', '.join(given)}",
                fix="pass an example of each",
            )
        return list(range(count))

    def _captured(self) -> dict[str, Any]:
        """Return the variables of the function, by their names, and note what else it reads."""
        concrete = self.concrete
        self.values: dict[str, Any] = {}
        self.fixed: list[tuple[Any, Any]] = []
        self.trainable: dict[str, bool] = {}
        self.variables: dict[str, Any] = {}
        self.handles: dict[str, str] = {}
        by_handle = {id(v.handle): v for v in concrete.graph.variables}
        captured = list(concrete.captured_inputs)
        self.captures = len(captured)
        inner = concrete.graph.inputs[len(concrete.graph.inputs) - len(captured) :]
        paths = self._paths()
        held: dict[str, Any] = {}
        keys: dict[int, str] = {}
        for outside, tensor in zip(captured, inner, strict=True):
            variable = by_handle.get(id(outside))
            if variable is None and outside.dtype == self.tf.resource:
                variable = next((v for v in concrete.graph.variables if v.handle is outside), None)
            if variable is not None:
                key = keys.get(id(variable))
                if key is None:
                    key = _unique(paths.get(id(variable), variable.name.partition(":")[0]), held)
                    keys[id(variable)] = key
                    held[key] = variable.numpy()
                    self.variables[key] = variable
                    self.trainable[key] = bool(variable.trainable)
                self.values[tensor.name] = Handle(key)
                self.handles[tensor.op.name] = key
            elif self.dtype(outside.dtype) is not None:
                self.fixed.append((tensor, np.asarray(outside)))
            else:
                self.values[tensor.name] = None  # a table, which no entry takes
        return held

    def _paths(self) -> dict[int, str]:
        """Return the paths of a Keras model's variables."""
        found = {}
        for each in getattr(self.program, "variables", None) or ():
            value = getattr(each, "value", None)
            if hasattr(each, "path") and value is not None:
                found[id(value)] = str(each.path)
        return found

    # calls ----------------------------------------------------------------------------------------

    def _flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        leaves = self.tf.nest.flatten((args, kwargs))
        arrays = [each.name for each in self.inputs]
        names = self._names(args, kwargs)
        if (
            not kwargs
            and len(leaves) == len(arrays) != len(self.places)
            and all(hasattr(x, "shape") for x in leaves)
        ):
            names = arrays  # without what belongs to the program
        given = dict(zip(names, leaves, strict=True))
        if not set(arrays) <= given.keys() <= set(self.names):
            raise ArgumentError(
                f"{self.name}: {len(leaves)} values were passed: {', '.join(names) or 'none'}",
                cause=f"the program was imported with {', '.join(self.names) or 'none'}",
                fix=f"pass {len(arrays)} arrays: {', '.join(arrays)}",
            )
        for name, known, at in zip(self.names, self.leaves, self.places, strict=True):
            if at is None and name in given:
                require_same(self.name, name, given[name], known)
        return [given[name] for name in arrays]

    def _arranged(self, results: Sequence[Any]) -> Any:
        return _arrange(self.concrete.structured_outputs, iter(results), self.tf)

    # checking -------------------------------------------------------------------------------------

    def _check(self, imported: Imported) -> None:
        if imported.keys:
            self._called(self.examples, watch=False)
            drawn = self._drawn(imported)
            try:
                source = self._in_session(imported, drawn, widened=False)
            except (ValueError, TypeError, LookupError) as error:
                # a gradient of the user's own belongs to the graph that it was traced in
                self._without_gradients(imported, error)
                source = self._in_session(imported, drawn, widened=False, slopes=False)
        else:
            drawn = {}
            source = self._of_source(imported)
        exact = partial(self._in_double, imported, drawn)
        check(imported, self.examples, self.cotangents, drawn, source, exact)

    def _called(self, examples: Sequence[Any], *, watch: bool) -> tuple[list[Any], Any]:
        """Return the numbers that the program itself gives."""
        tf = self.tf
        tensors = [tf.constant(x) for x in examples]
        leaves = [
            leaf if at is None else tensors[at]
            for leaf, at in zip(self.leaves, self.places, strict=True)
        ]
        args, kwargs = tf.nest.pack_sequence_as((self.args, self.kwargs), leaves)
        call: Any = partial(self.program, *args, **kwargs)
        if not hasattr(self.program, "structured_input_signature"):
            flat = [tensors[i] for i in self._order_of_inputs()]
            call = partial(self.concrete._call_flat, flat, self.concrete.captured_inputs)
        before = {key: self.variables[key].numpy() for key in self.updated}
        try:
            with tf.GradientTape(watch_accessed_variables=watch) as tape:
                for x in tensors:
                    if watch and x.dtype.is_floating:
                        tape.watch(x)
                outputs = self._outputs(call())
                numbers = [x.numpy() for x in outputs]
                self.cotangents = cotangents_for(numbers)
                total = tf.zeros(())
                for y, c in zip(outputs, self.cotangents, strict=True):
                    if c is not None:
                        total += tf.cast(tf.reduce_sum(y * tf.constant(c, y.dtype)), tf.float32)
            self.next = {key: self.variables[key].numpy() for key in self.updated}
            return numbers, (tape, total, tensors)
        finally:
            for key, value in before.items():
                self.variables[key].assign(value)

    def _outputs(self, results: Any) -> list[Any]:
        flat = self.tf.nest.flatten(results, expand_composites=True)
        return [x for x in flat if x is not None]

    def _of_source(self, imported: Imported) -> Results:
        tf = self.tf
        try:
            outputs, (tape, total, tensors) = self._called(self.examples, watch=True)
        except LookupError as error:
            self._without_gradients(imported, error)
            outputs, _ = self._called(self.examples, watch=False)
            return Results(outputs, dict(self.next), {})
        wanted = {
            **{key: self.variables[key] for key in imported.parameters},
            **dict(zip(imported.signature.called, tensors, strict=True)),
        }
        wanted = {name: x for name, x in wanted.items() if x.dtype.is_floating}
        gradients: dict[str, Any] = {}
        if wanted and any(c is not None for c in self.cotangents):
            try:
                found = tape.gradient(total, list(wanted.values()), unconnected_gradients="zero")
                gradients = {
                    name: tf.convert_to_tensor(g).numpy()
                    for name, g in zip(wanted, found, strict=True)
                }
            except Exception as error:
                self._without_gradients(imported, error)
        return Results(outputs, dict(self.next), gradients)

    def _without_gradients(self, imported: Imported, error: Exception) -> None:
        imported.notes.append(without_gradients(error))

    def _drawn(self, imported: Imported) -> dict[str, Any]:
        """Return random numbers that the source draws, one set for both."""
        session = Session(self.tf, self.concrete.graph, self._by_handle(imported))
        names = [self.builder.drawing[key] for key in imported.keys]
        found = session.run(self._feeds(), names, (), (), None, {})
        return dict(zip(imported.keys, found.outputs, strict=True))

    def _by_handle(self, imported: Imported) -> dict[str, Any]:
        held = {**imported.parameters, **imported.buffers}
        return {op: held[key] for op, key in self.handles.items()}

    def _feeds(self) -> dict[str, Any]:
        graph = self.concrete.graph
        order = self._order_of_inputs()
        feeds = {x.name: self.examples[i] for x, i in zip(graph.inputs, order, strict=False)}
        return {**feeds, **{x.name: array for x, array in self.fixed}}

    def _in_session(
        self,
        imported: Imported,
        drawn: Mapping[str, Any],
        *,
        widened: bool,
        slopes: bool = True,
    ) -> Results:
        """Return the results of a copy of the graph, with these random numbers or in float64."""
        graph = self.concrete.graph
        session = Session(self.tf, graph, self._by_handle(imported), widened=widened)
        feeds = {**self._feeds(), **{self.builder.drawing[k]: x for k, x in drawn.items()}}
        holders = {key: f"{op}:0" for op, key in self.handles.items()}
        order = self._order_of_inputs()
        inputs = {self.inputs[i].name: x.name for x, i in zip(graph.inputs, order, strict=False)}
        wanted = {
            name: tensor
            for name, tensor in {
                **{key: holders[key] for key in imported.parameters},
                **inputs,
            }.items()
            if self._is_float(imported, name)
        }
        by_key = {key: op for op, key in self.handles.items()}
        found = session.run(
            feeds,
            [x.name for x in self.results],
            [op.name for op in self.after],
            [by_key[key] for key in self.updated],
            self.cotangents,
            wanted if slopes and any(c is not None for c in self.cotangents) else {},
        )
        found.state = {key: found.state[by_key[key]] for key in self.updated}
        return found

    def _is_float(self, imported: Imported, name: str) -> bool:
        value = imported.parameters.get(name)
        if value is None:
            value = next(
                x for i, x in zip(self.inputs, self.examples, strict=True) if i.name == name
            )
        return bool(value.dtype.kind == "f")

    def _in_double(self, imported: Imported, drawn: Mapping[str, Any]) -> Results | None:
        try:
            return self._in_session(imported, drawn, widened=True)
        except Exception:  # an op that has no float64
            return None


def _paths(tree: Any, name: str) -> list[str]:
    """Return the way to each leaf, in the order of ``tf.nest``."""
    if isinstance(tree, Mapping):
        parts: Any = [(key, tree[key]) for key in sorted(tree)]
    elif isinstance(tree, (list, tuple)):
        parts = enumerate(tree)
    else:
        return [name]
    return [path for key, part in parts for path in _paths(part, f"{name}.{key}")]


def _unique(name: str, taken: Collection[str]) -> str:
    found, i = name, 0
    while found in taken:
        i += 1
        found = f"{name}_{i}"
    return found


def _arrange(structure: Any, results: Any, tf: Any) -> Any:
    """Return results in tuples, lists and dicts, as the function does."""
    if structure is None:
        return None
    if isinstance(structure, Mapping):
        return {key: _arrange(structure[key], results, tf) for key in sorted(structure)}
    if isinstance(structure, (list, tuple)):
        found = [_arrange(each, results, tf) for each in structure]
        return found if isinstance(structure, list) else tuple(found)
    if isinstance(structure, (tf.IndexedSlices, tf.SparseTensor, tf.RaggedTensor)):
        return tuple([next(results) for _ in tf.nest.flatten(structure, expand_composites=True)])
    return next(results)
