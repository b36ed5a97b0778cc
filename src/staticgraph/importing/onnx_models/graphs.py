"""The graph of a model becomes steps, each an operator of the table with its arguments by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from staticgraph.importing.onnx_models import (  # noqa: F401  they fill the table
    arrays,
    elementwise,
    flow,
    networks,
    reductions,
    sampling,
    sequences,
)
from staticgraph.importing.onnx_models.known import as_live
from staticgraph.importing.onnx_models.loading import array_of, dtype_of
from staticgraph.importing.onnx_models.table import TABLE, Operator
from staticgraph.importing.shared.block import Block, Ref, Step, not_given, refs
from staticgraph.importing.shared.table import Entry

_STANDARD = ("", "ai.onnx")
_DTYPED = ("to", "dtype", "output_datatype")
"""Attributes that are numbers of dtypes."""

_REASONS = {
    "quantised numbers are not supported": """ConvInteger DequantizeLinear DynamicQuantizeLinear
    MatMulInteger QLinearConv QLinearMatMul QuantizeLinear""",
    "the shape of its result depends on values": "NonMaxSuppression NonZero Unique MaxRoiPool",
    "values are arrays of numbers, and no texts": """RegexFullMatch StringConcat StringNormalizer
    StringSplit TfIdfVectorizer""",
    "values are arrays, and no sequences of them or nothing at all": """ConcatFromSequence Optional
    OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty SequenceErase
    SequenceInsert SequenceLength SequenceMap SplitToSequence""",
    "ONNX does not say which numbers it draws, so that nothing could be compared": """Bernoulli
    Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike""",
}
_CAUSES = {name: why for why, names in _REASONS.items() for name in names.split()}
_FIX = "export the model without it, or import a part: onnx.utils.extract_model cuts one out"


class Scope:
    """The values that a graph sees by their names, and those of the graphs around it."""

    def __init__(self, outer: Scope | None = None) -> None:
        self.outer = outer
        self.values: dict[str, Ref] = {}
        self.captured: dict[str, Ref] = {}

    def find(self, name: str, numbers: Any) -> Ref | None:
        """Return a value; one of a graph around this one becomes an input of it."""
        if name in self.values:
            return self.values[name]
        if self.outer is None:
            return None
        around = self.outer.find(name, numbers)
        if around is None:
            return None
        inner = Ref(f"v{next(numbers)}")
        self.values[name] = inner
        self.captured[inner.name] = around
        return inner


class GraphReader:
    """Reads the graphs of one model."""

    def __init__(self, onnx: Any, model: Any, name: str) -> None:
        self.onnx, self.model, self.name = onnx, model, name
        self.numbers = count()
        self.dtypes: dict[str, Any] = {}
        self.types: dict[str, Any] = {}
        self.inferred = _inferred(onnx, model)
        self.needs: dict[str, set[str]] = {}
        self.known: set[str] = set()
        self.functions = {(f.domain, f.name, f.overload): f for f in model.functions}
        self.depth = 0

    def new(self, scope: Scope, name: str, dtype: Any) -> Ref:
        """Return a new value that `scope` calls `name`."""
        made = Ref(f"v{next(self.numbers)}")
        if name:
            scope.values[name] = made
        if name in self.inferred and not self.depth and scope.outer is None:
            self.types[made.name] = self.inferred[name]
        self.dtypes[made.name] = dtype
        return made

    # graphs ---------------------------------------------------------------------------------------

    def steps(
        self, nodes: Iterable[Any], scope: Scope, versions: Mapping[str, int], given: Any
    ) -> list[Step]:
        """Return the steps of nodes; `given` are the attributes of the function around them."""
        found: list[Step] = []
        for node in nodes:
            self._node(node, scope, versions, given, found)
        return found

    def body(self, graph: Any, outer: Scope, versions: Mapping[str, int], given: Any) -> Block:
        """Return the graph of a branch or a loop, which sees what is around it."""
        scope = Scope(outer)
        constants: dict[str, Any] = {}
        held = {each.name for each in graph.initializer}
        if graph.sparse_initializer:
            raise _sparse(self.name)
        inputs = [
            self.new(scope, each.name, self._declared(each))
            for each in graph.input
            if each.name not in held
        ]
        for each in graph.initializer:
            value = array_of(self.onnx, each, each.name)
            constants[self.new(scope, each.name, value.dtype).name] = value
        steps = self.steps(graph.node, scope, versions, given)
        outputs = [self._value(scope, each.name, "a graph") for each in graph.output]
        inner = Block(
            (*scope.captured, *[each.name for each in inputs]),
            steps,
            outputs,
            constants,
            captured=tuple([ref.name for ref in scope.captured.values()]),
        )
        for name, around in scope.captured.items():
            self.needs.setdefault(name, set()).add(around.name)
            self.dtypes[name] = self.dtypes.get(around.name)
        return inner

    def _declared(self, info: Any) -> Any:
        kind = info.type.WhichOneof("value")
        if kind is None:
            return None
        if kind != "tensor_type":
            raise UnsupportedOpError(
                f"{info.name} is of the kind {kind.removesuffix('_type')}",
                cause="values are arrays, and no sequences of them or nothing at all",
                fix=_FIX,
            )
        number = info.type.tensor_type.elem_type
        return dtype_of(self.onnx, number, info.name) if number else None

    def _value(self, scope: Scope, name: str, where: str) -> Ref:
        found = scope.find(name, self.numbers)
        if found is None:
            said = f"{where} reads {name!r}, which nothing computes before it"
            raise not_given("onnx", self.name, said, None)
        return found

    # nodes ----------------------------------------------------------------------------------------

    def _node(
        self, node: Any, scope: Scope, versions: Mapping[str, int], given: Any, steps: list[Step]
    ) -> None:
        domain = "" if node.domain in _STANDARD else node.domain
        name = f"{domain}.{node.op_type}" if domain else node.op_type
        label = f"{name} (node {node.name})" if node.name else name
        attributes = self._own_attributes(node, given)
        local = self.functions.get((node.domain, node.op_type, node.overload))
        if local is not None:
            imports = {each.domain: each.version for each in local.opset_import}
            self._call(local, node, scope, _standard(imports), attributes, steps, label)
            return
        schema = self._schema(domain, node.op_type, versions, label)
        operator = TABLE.get(name)
        if operator is None:
            function = self._function(schema, node, scope, versions, attributes)
            if function is None or node.op_type in _CAUSES:
                raise UnsupportedOpError(
                    f"{label} is not in the table of operations that are read",
                    cause=_CAUSES.get(node.op_type, "the library has no such operation"),
                    fix=_FIX,
                )
            imports = {each.domain: each.version for each in function.opset_import}
            inner = {**versions, **_standard(imports)}
            self._call(
                function, node, scope, inner, self._with_defaults(schema, attributes), steps, label
            )
            return
        if schema.since_version < operator.since:
            raise UnsupportedOpError(
                f"{label}: version {schema.since_version} of the operator is not supported",
                cause=f"it is read from version {operator.since} on",
                fix="export the model anew, for a later version of the operators",
            )
        steps.append(self._step(node, schema, operator, label, scope, versions, attributes, given))

    def _schema(self, domain: str, kind: str, versions: Mapping[str, int], label: str) -> Any:
        version = versions.get(domain)
        try:
            if version is None:
                raise LookupError(
                    f"the model imports no version of the domain {domain or 'ai.onnx'}"
                )
            return self.onnx.defs.get_schema(kind, version, domain)
        except Exception as error:
            raise UnsupportedOpError(
                f"{label} is an operator of no version that is known",
                cause=str(error).splitlines()[0][:200],
                fix=_FIX,
            ) from None

    def _step(
        self,
        node: Any,
        schema: Any,
        operator: Operator,
        label: str,
        scope: Scope,
        versions: Mapping[str, int],
        attributes: Mapping[str, Any],
        given: Any,
    ) -> Step:
        arguments, types = self._inputs(node, schema, scope, label)
        for name, value in self._with_defaults(schema, attributes).items():
            arguments[name] = self._attribute(value, name, label, scope, versions, given)
        accepted = operator.accepted(label, arguments, None)
        results, dtypes = self._outputs(node, schema, types, attributes, scope)
        facts = {
            "version": schema.since_version,
            "outputs": len(results),
            "endless": _keeps_going(accepted.get("body")),
        }
        bound = operator.bound(label, dtypes, facts)
        self._depend(operator, accepted, results)
        several = len(schema.outputs) > 1 or _variadic(schema.outputs)
        return Step(
            label,
            bound,
            tuple([each.name for each in results]) if several else (results[0].name,),
            (),
            accepted,
            several=several,
        )

    def _inputs(
        self, node: Any, schema: Any, scope: Scope, label: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the inputs by their names in the schema, and the dtypes of its type parameters."""
        arguments: dict[str, Any] = {}
        types: dict[str, Any] = {}
        values = [self._value(scope, each, label) if each else None for each in node.input]
        for i, formal in enumerate(schema.inputs):
            if _is_variadic(formal):
                arguments[formal.name] = values[i:]
            elif i < len(values) and values[i] is not None:
                arguments[formal.name] = values[i]
            part = values[i:] if _is_variadic(formal) else values[i : i + 1]
            for value in part:
                dtype = None if value is None else self.dtypes.get(value.name)
                if dtype is not None:
                    types.setdefault(formal.type_str, dtype)
        return arguments, types

    def _outputs(
        self,
        node: Any,
        schema: Any,
        types: Mapping[str, Any],
        attributes: Mapping[str, Any],
        scope: Scope,
    ) -> tuple[list[Ref], list[Any]]:
        allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
        free = {
            each.type_str
            for each in schema.outputs
            if _is_variadic(each) and not each.is_homogeneous
        }
        results, dtypes = [], []
        for i, name in enumerate(node.output):
            formal = schema.outputs[min(i, len(schema.outputs) - 1)]
            dtype = types.get(formal.type_str) if formal.type_str not in free else None
            told = next((attributes[n] for n in _DTYPED if n in attributes), None)
            only = allowed.get(formal.type_str, [formal.type_str])
            if dtype is None and told is not None and formal.type_str not in types:
                dtype = dtype_of(self.onnx, told.i, node.op_type)
            elif dtype is None and len(only) == 1:
                dtype = _named_dtype(only[0])
            results.append(self.new(scope, name, dtype))
            dtypes.append(dtype)
        return results, dtypes

    def _depend(
        self, operator: Operator, arguments: Mapping[str, Any], results: Sequence[Ref]
    ) -> None:
        """Note which values must be known, and what each is computed from."""
        read: set[str] = set()
        if len(results) > len(arguments.get("v_initial", results)):
            # a loop that collects results: how many is a length
            self.known.update(_names([arguments.get("M"), arguments.get("cond")]))
        for name, value in arguments.items():
            names = _names(value)
            called = (operator.renamed or {}).get(name, name)
            if called in operator.known:
                self.known.update(names)
            elif called not in operator.typed:
                read.update(names)
        for each in results:
            self.needs.setdefault(each.name, set()).update(read)

    # functions ------------------------------------------------------------------------------------

    def _function(
        self,
        schema: Any,
        node: Any,
        scope: Scope,
        versions: Mapping[str, int],
        attributes: Mapping[str, Any],
    ) -> Any | None:
        """Return what an operator is made of, as its schema says it, or None."""
        onnx, version = self.onnx, versions[schema.domain]
        named = type(node)()
        named.CopyFrom(node)
        del named.attribute[:]
        for name, each in attributes.items():
            named.attribute.append(each)
            named.attribute[-1].name = name
            named.attribute[-1].ref_attr_name = ""
        try:
            if schema.has_function:
                fits = [v for v in schema.function_opset_versions if v <= version]
                text = schema.get_function_with_opset_version(max(fits)) if fits else None
                if text:
                    return onnx.FunctionProto.FromString(text) if isinstance(text, bytes) else text
            if schema.has_context_dependent_function:
                fits = [v for v in schema.context_dependent_function_opset_versions if v <= version]
                types = [self._type_text(scope, each) for each in node.input]
                text = schema.get_context_dependent_function_with_opset_version(
                    max(fits), named.SerializeToString(), types
                )
                function = onnx.FunctionProto.FromString(text)
                return function if function.node else None
        except Exception:  # no function for these types
            return None
        return None

    def _type_text(self, scope: Scope, name: str) -> bytes:
        found = scope.find(name, self.numbers) if name else None
        dtype = None if found is None else self.dtypes.get(found.name)
        if found is not None and found.name in self.types:
            return self.types[found.name].SerializeToString()  # type: ignore[no-any-return]
        if dtype is None:
            return self.onnx.TypeProto().SerializeToString()  # type: ignore[no-any-return]
        number = self.onnx.helper.np_dtype_to_tensor_dtype(dtype)
        made = self.onnx.helper.make_tensor_type_proto(number, None)
        return made.SerializeToString()  # type: ignore[no-any-return]

    def _call(
        self,
        function: Any,
        node: Any,
        scope: Scope,
        versions: Mapping[str, int],
        attributes: Mapping[str, Any],
        steps: list[Step],
        label: str,
    ) -> None:
        """Append the steps of a function in place of its call."""
        if self.depth > 50:
            raise not_given("onnx", self.name, f"{label} calls itself", None)
        inner = Scope()
        for formal, name in zip(function.input, node.input, strict=False):
            if name:
                inner.values[formal] = self._value(scope, name, label)
        defaults = {each.name: each for each in function.attribute_proto}
        # what a call leaves out is nothing in the function, too
        absent = set(function.input) - set(inner.values)
        self.depth += 1
        nodes = [_without(each, absent) for each in function.node]
        steps += self.steps(nodes, inner, versions, {**defaults, **attributes})
        self.depth -= 1
        for formal, name in zip(function.output, node.output, strict=False):
            if name:
                scope.values[name] = self._value(inner, formal, label)

    # attributes -----------------------------------------------------------------------------------

    def _own_attributes(self, node: Any, given: Any) -> dict[str, Any]:
        found = {}
        for each in node.attribute:
            if not each.ref_attr_name:
                found[each.name] = each
            elif given and each.ref_attr_name in given:
                found[each.name] = given[each.ref_attr_name]
        return found

    def _with_defaults(self, schema: Any, attributes: Mapping[str, Any]) -> dict[str, Any]:
        found = {
            name: each.default_value
            for name, each in schema.attributes.items()
            if each.default_value.type
        }
        return {**found, **attributes}

    def _attribute(
        self,
        attribute: Any,
        name: str,
        label: str,
        scope: Scope,
        versions: Mapping[str, int],
        given: Any,
    ) -> Any:
        kinds = self.onnx.AttributeProto
        kind = attribute.type
        if kind == kinds.TENSOR:
            return array_of(self.onnx, attribute.t, label)
        if kind == kinds.GRAPH:
            return self.body(attribute.g, scope, versions, given)
        if kind in (kinds.FLOAT, kinds.FLOATS, kinds.INT, kinds.INTS, kinds.STRING, kinds.STRINGS):
            value = self.onnx.helper.get_attribute_value(attribute)
            if isinstance(value, bytes):
                return value.decode("utf-8", "replace")
            if kind == kinds.STRINGS:
                return [each.decode("utf-8", "replace") for each in value]
            if kind in (kinds.FLOATS, kinds.INTS):
                return list(value)
            return dtype_of(self.onnx, value, label) if name in _DTYPED else value
        raise UnsupportedOpError(
            f"{label}: the attribute {name} is a {kinds.AttributeType.Name(kind).lower()}",
            cause="attributes are numbers, texts, arrays and graphs",
            fix=_FIX,
        )

    # what must be known ---------------------------------------------------------------------------

    def must_be_known(self) -> set[str]:
        """Return the values that decide what must be known when the model is read."""
        found, waiting = set(), list(self.known)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.needs.get(name, ())
        return found


def _inferred(onnx: Any, model: Any) -> dict[str, Any]:
    """Return the types of the values of a model's graph, shapes included, as far as they follow."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # what only some operators ask for
        graph = model.graph
    return {each.name: each.type for each in (*graph.input, *graph.value_info, *graph.output)}


def _keeps_going(body: Any) -> bool:
    """Tell whether the first result of a loop's body is true, or what it was, in every step."""
    if not isinstance(body, Block) or len(body.inputs) < len(body.captured) + 2:
        return False
    name = body.outputs[0].name
    makers = {each: step for step in body.steps for each in step.names}
    while name in makers and makers[name].kwargs.keys() == {"input"}:  # Identity, Cast
        given = makers[name].kwargs["input"]
        if not isinstance(given, Ref):
            return False
        name = given.name
    if name == body.inputs[len(body.captured) + 1]:
        return True
    value = body.constants.get(name)
    if name in makers and not list(refs((makers[name].args, makers[name].kwargs))):
        value = makers[name].kwargs.get("value")
    return value is not None and np.size(value) == 1 and bool(np.all(value))


def _standard(versions: Mapping[str, int]) -> dict[str, int]:
    return {("" if domain in _STANDARD else domain): n for domain, n in versions.items()}


def _named_dtype(text: str) -> Any:
    names = {"float": "float32", "double": "float64", "bool": "bool"}
    inner = text.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(names.get(inner, inner))
    except TypeError:
        return None


def _is_variadic(formal: Any) -> bool:
    return str(formal.option).endswith("Variadic")


def _variadic(formals: Sequence[Any]) -> bool:
    return any(map(_is_variadic, formals))


def _names(value: Any) -> set[str]:
    if isinstance(value, Ref):
        return {value.name}
    if isinstance(value, Block):
        return set(value.captured)
    if isinstance(value, list):
        return {name for each in value for name in _names(each)}
    return set()


def _without(node: Any, absent: set[str]) -> Any:
    if not absent.intersection(node.input):
        return node
    copy = type(node)()
    copy.CopyFrom(node)
    for i, name in enumerate(copy.input):
        if name in absent:
            copy.input[i] = ""
    return copy


def _sparse(name: str) -> UnsupportedOpError:
    return UnsupportedOpError(
        f"{name} holds sparse arrays", cause="values are dense arrays", fix=_FIX
    )


def outputs_step(names: Sequence[str], results: Sequence[str]) -> Step:
    """Return the step that makes values of results that are known."""

    def entry(xp: Any, values: Any) -> Any:
        return [as_live(xp, each) for each in values]

    made = Entry(entry, frozenset(), {}, frozenset({"values"}), False)
    refs = [Ref(name) for name in names]
    return Step("the results", made, tuple(results), (), {"values": refs}, several=True)
