"""A model, opened from its file, becomes a program here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, SideBySideError, UnsupportedOpError
from staticgraph.importing.onnx_models.graphs import GraphReader, Scope, outputs_step
from staticgraph.importing.onnx_models.loading import array_of, load, require_onnx
from staticgraph.importing.onnx_models.source import in_double, made_examples, source_outputs
from staticgraph.importing.shared.block import Block, Ref, not_given, simplified
from staticgraph.importing.shared.checking import Results, check
from staticgraph.importing.shared.dynamic import open_axes
from staticgraph.importing.shared.imported import Imported, Input, Signature
from staticgraph.importing.shared.namespaces import ON_ARRAYS

Examples = Sequence[Any] | Mapping[str, Any]


def read_model(
    model: Any,
    inputs: Examples | None = None,
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    constants: Mapping[str, Any] | None = None,
    parameters: Sequence[str] | None = None,
) -> Imported:
    """Return a model in the ONNX format as a program here; see `sg.from_onnx`."""
    onnx = require_onnx()
    loaded, name = load(model)
    reader = _Reader(onnx, loaded, name, inputs, dynamic, dict(constants or {}), parameters)
    try:
        return reader.read()
    except SideBySideError:
        raise
    except (AttributeError, LookupError, TypeError, UnicodeError, ValueError) as error:
        # what the checker of the format lets pass, such as texts that are none
        raise not_given("from_onnx", name, f"it cannot be read: {error}"[:300], None) from error


class _Reader:
    """Reads one model."""

    def __init__(
        self,
        onnx: Any,
        model: Any,
        name: str,
        examples: Examples | None,
        dynamic: Mapping[str, Mapping[int, str]] | None,
        fixed: dict[str, Any],
        parameters: Sequence[str] | None,
    ) -> None:
        self.onnx, self.model, self.name = onnx, model, f"ONNX: {name}"
        self.given, self.dynamic = examples, dynamic
        self.fixed = {each: np.asarray(value) for each, value in fixed.items()}
        self.chosen = parameters
        self.lengths: dict[str, str] = {}

    def read(self) -> Imported:
        graph = self.model.graph
        held = {each.name for each in graph.initializer}
        self.declared = [each for each in graph.input if each.name not in held]
        self._require_names()
        if graph.sparse_initializer:
            raise UnsupportedOpError(
                f"{self.name} holds sparse arrays",
                cause="values are dense arrays",
                fix="store the numbers as dense tensors",
            )
        reader = GraphReader(self.onnx, self.model, self.name)
        scope = Scope()
        self.inputs: list[Input] = []
        refs: list[Ref] = []
        constants: dict[str, Any] = {}
        shown = self._examples_by_name()
        for each in self.declared:
            dtype = reader._declared(each)
            if each.name in self.fixed:
                value = self.fixed[each.name]
                value = value if dtype is None else value.astype(dtype)
                constants[reader.new(scope, each.name, value.dtype).name] = value
                continue
            self.inputs.append(self._input(each, dtype, shown.get(each.name)))
            refs.append(reader.new(scope, each.name, dtype))
        arrays = {each.name: array_of(self.onnx, each, each.name) for each in graph.initializer}
        stored = {n: reader.new(scope, n, x.dtype) for n, x in arrays.items()}
        versions = {
            ("" if each.domain == "ai.onnx" else each.domain): each.version
            for each in self.model.opset_import
        }
        steps = reader.steps(graph.node, scope, versions, {})
        known = reader.must_be_known()
        self._require_known(
            [x.name for x, ref in zip(self.inputs, refs, strict=True) if ref.name in known]
        )
        held_parameters = {
            n: x
            for n, x in arrays.items()
            if stored[n].name not in known and self._is_parameter(n, x)
        }
        constants |= {stored[n].name: x for n, x in arrays.items() if n not in held_parameters}
        results = [reader._value(scope, each.name, "the model").name for each in graph.output]
        final = [f"r{i}" for i in range(len(results))]
        steps.append(outputs_step(results, final))
        block = Block(
            (*[stored[n].name for n in held_parameters], *[each.name for each in refs]),
            steps,
            [Ref(each) for each in final],
            constants,
        )
        signature = Signature(
            held_parameters, {}, self.inputs, [], self._flat, self._arranged, len(self.inputs)
        )
        imported = Imported(self.name, simplified(block, ON_ARRAYS), signature)
        self._check(imported, shown)
        return imported

    # arguments ------------------------------------------------------------------------------------

    def _require_names(self) -> None:
        """Refuse names that the model does not have."""
        inputs = [each.name for each in self.declared]
        held = [each.name for each in self.model.graph.initializer]
        for what, given, known in (
            ("dynamic", self.dynamic or {}, inputs),
            ("constants", self.fixed, inputs),
            ("parameters", self.chosen or (), held),
            ("inputs", self.given if isinstance(self.given, Mapping) else (), inputs),
        ):
            for name in given:
                if name not in known:
                    raise ArgumentError(
                        f"from_onnx: {what} names {name!r}, which the model does not have",
                        cause=f"it has {', '.join(known[:20]) or 'none'}",
                        fix="write the names that the model has; netron.app shows them",
                    )

    def _require_known(self, names: Sequence[str]) -> None:
        """Refuse inputs that decide what the program is, such as shapes that are passed in."""
        if names:
            given = ", ".join(f'"{name}": array' for name in names)
            error = UnsupportedOpError(
                f"{self.name}: shapes, or which operations there are, depend on the values of "
                f"{', '.join(names)}",
                cause="a program is declared before it is run",
                fix=f"pass them as they always are: sg.from_onnx(path, constants={{{given}}})",
            )
            error.inputs = list(names)  # type: ignore[attr-defined]
            raise error

    def _examples_by_name(self) -> dict[str, Any]:
        if self.given is None:
            return {}
        if isinstance(self.given, Mapping):
            return dict(self.given)
        names = [each.name for each in self.declared if each.name not in self.fixed]
        given = list(self.given)
        if len(given) != len(names):
            raise ArgumentError(
                f"from_onnx: {len(given)} example inputs, where the model has {len(names)}",
                cause=f"they are {', '.join(names) or 'none'}",
                fix="pass one array for each, or a dict of those you have",
            )
        return dict(zip(names, given, strict=True))

    def _is_parameter(self, name: str, value: Any) -> bool:
        if self.chosen is not None:
            return name in self.chosen
        return value.dtype.kind in "fcV" and value.ndim > 0

    def _input(self, info: Any, dtype: Any, shown: Any) -> Input:
        kind, shown = info.type.tensor_type, None if shown is None else np.asarray(shown)
        lengths = [each.dim_value for each in kind.shape.dim]
        named = open_axes("from_onnx", info.name, (self.dynamic or {}).get(info.name, {}), lengths)
        if dtype is None:
            dtype = np.dtype("float32") if shown is None else shown.dtype
        if shown is not None and shown.dtype != dtype:
            raise ArgumentError(
                f"from_onnx: the example of {info.name} is {shown.dtype}, and the model takes "
                f"{dtype}",
                cause="a model is read for the types that it declares",
                fix=f'convert it: array.astype("{dtype}")',
            )
        fits = shown is None or (
            shown.ndim == len(lengths)
            and all(
                axis in named or not each.HasField("dim_value") or each.dim_value == n
                for axis, (each, n) in enumerate(zip(kind.shape.dim, shown.shape, strict=True))
            )
        )
        if not fits:
            declared = [str(each.dim_value or each.dim_param or "?") for each in kind.shape.dim]
            raise ArgumentError(
                f"from_onnx: the example of {info.name} has shape {shown.shape}, and the model "
                f"takes ({', '.join(declared)})",
                cause="a model is read for the shapes that it declares",
                fix="pass an example of this shape, or name the axes that differ in dynamic",
            )
        shape: list[int | str] = []
        for axis, each in enumerate(kind.shape.dim):
            if axis in named:
                shape.append(self._named(named[axis]))
            elif each.HasField("dim_value"):
                shape.append(each.dim_value)
            elif self.dynamic is None:
                shape.append(self._named(each.dim_param or f"{info.name}_{axis}"))
            elif shown is not None:
                shape.append(shown.shape[axis])
            else:
                raise ArgumentError(
                    f"from_onnx: the length of axis {axis} of {info.name} is open",
                    cause="dynamic does not name it, and there is no example to take it from",
                    fix=f'pass an example: sg.from_onnx(path, inputs={{"{info.name}": array}})',
                )
        return Input(info.name, tuple(shape), dtype)

    def _named(self, given: str) -> str:
        """Return a length's name as an identifier, another one for each other name."""
        if given not in self.lengths:
            name = re.sub(r"\W", "_", given)
            name = name if name.isidentifier() else f"length_{name}"
            while name in self.lengths.values():
                name += "_"
            self.lengths[given] = name
        return self.lengths[given]

    # calls ----------------------------------------------------------------------------------------

    def _flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        names = [each.name for each in self.inputs]
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if (
            len(args) > len(names)
            or given.keys() != set(names)
            or len(args) + len(kwargs) != len(given)
        ):
            raise ArgumentError(
                f"{self.name}: the inputs are {', '.join(names) or 'none'}",
                cause=f"{len(args)} values were passed"
                + (f", and {', '.join(kwargs)} by name" if kwargs else ""),
                fix=f"pass {len(names)} arrays in this order, or by these names",
            )
        return [given[name] for name in names]

    def _arranged(self, results: Sequence[Any]) -> Any:
        return results[0] if len(results) == 1 else tuple(results)

    # checking -------------------------------------------------------------------------------------

    def _check(self, imported: Imported, shown: dict[str, Any]) -> None:
        made = made_examples(self.inputs)
        examples = [
            np.asarray(shown.get(each.name, value))
            for each, value in zip(self.inputs, made, strict=True)
        ]
        feeds = {each.name: x for each, x in zip(self.inputs, examples, strict=True)}
        for each in self.declared:
            if each.name in self.fixed:
                feeds[each.name] = self.fixed[each.name]
        outputs = source_outputs(self.onnx, self.model, feeds, self.name)
        outputs = [np.asarray(x) for x in outputs]
        source = Results(outputs, {}, {})
        nothing = [None] * len(outputs)
        check(imported, examples, nothing, {}, source, lambda: self._exact(feeds))
        if any(isinstance(n, str) for each in self.inputs for n in each.shape):
            assert imported.graph is not None  # or it is refused here, and not later

    def _exact(self, feeds: dict[str, Any]) -> Results | None:
        found = in_double(self.onnx, self.model, feeds, self.name)
        return None if found is None else Results([np.asarray(x) for x in found], {}, {})
