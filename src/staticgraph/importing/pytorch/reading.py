"""A module, exported by PyTorch, becomes a program here."""

from __future__ import annotations

import copy
import inspect
import operator
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from oplibrary.messages.errors import (
    ArgumentError,
    ForeignProgramError,
    MissingPackageError,
    SideBySideError,
    UnsupportedOpError,
)
from oplibrary.messages.source import Source
from oplibrary.values.dtypes import to_dtype
from staticgraph.importing.pytorch import (  # noqa: F401  they fill the table
    arrays,
    drawing,
    elementwise,
    mathematics,
    networks,
    ordering,
    sampling,
)
from staticgraph.importing.pytorch.refused import REFUSED
from staticgraph.importing.pytorch.running import ModuleItself, draws
from staticgraph.importing.pytorch.table import TABLE
from staticgraph.importing.pytorch.tensors import numbers_of
from staticgraph.importing.shared.block import (
    Block,
    Ref,
    Step,
    not_given,
    simplified,
    unsupported,
)
from staticgraph.importing.shared.checking import Results, check, check_length_one
from staticgraph.importing.shared.dynamic import open_axes
from staticgraph.importing.shared.imported import Imported, Input, Signature, require_same
from staticgraph.importing.shared.lines import line_in, line_of_traceback
from staticgraph.importing.shared.namespaces import ON_ARRAYS

_DTYPES = """bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64
complex64 complex128""".split()
_CHECKS = ("_assert_scalar", "_assert_tensor_metadata", "_assert_async", "sym_constrain_range")
"""What checks values and gives none. The library's own operations refuse bad indices."""


def read_module(
    module: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Imported:
    """Return a PyTorch module as a program here; see `sg.from_torch`."""
    try:
        import torch
    except ImportError:
        raise MissingPackageError(
            "from_torch needs PyTorch", fix="pip install torch", cause="it exports the module"
        ) from None
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(
            f"from_torch: a {type(module).__name__} is not a torch.nn.Module",
            cause="a module says what its parameters are called",
            fix="put the function into the forward of a class that derives from torch.nn.Module",
        )
    args = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    return _Reader(torch, module, args, dict(kwargs or {}), dynamic or {}).read()


class _Reader:
    """Reads one module."""

    def __init__(
        self,
        torch: Any,
        module: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        dynamic: Mapping[str, Mapping[int, str]],
    ) -> None:
        self.torch, self.module = torch, module
        self.args, self.kwargs = _with_copies(torch, (args, kwargs))
        self.dynamic = dynamic
        self.name = f"PyTorch: {type(module).__name__}"
        self.axes: dict[str, dict[int, str]] = {}
        self.lengths: dict[str, str] = {}

    def read(self) -> Imported:
        self.program = self._export()
        tied, signature, block = self._taken_apart()
        imported = Imported(self.name, simplified(block, ON_ARRAYS), signature, tied=tied)
        self._check(imported)
        return imported

    # exporting ------------------------------------------------------------------------------------

    def _export(self) -> Any:
        torch = self.torch
        export = torch.export
        try:
            with warnings.catch_warnings(), torch.enable_grad():
                warnings.simplefilter("ignore")  # PyTorch's, about itself
                program = export.export(
                    copy.deepcopy(self.module),
                    self.args,
                    self.kwargs,
                    dynamic_shapes=self._shapes(),
                )
            _detach(torch, program, program.graph_module)
            decompositions = export.default_decompositions()
            drops = any(
                str(node.target) == "aten.scaled_dot_product_attention.default"
                and (list(node.args[4:5]) or [node.kwargs.get("dropout_p", 0.0)])[0]
                for node in program.graph.nodes
            )
            for op in list(decompositions):
                label = str(op)
                if label in TABLE and not (drops and "scaled_dot_product" in label):
                    decompositions.pop(op)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return program.run_decompositions(decompositions)
        except SideBySideError:
            raise
        except Exception as error:
            raise self._not_exported(error) from error

    def _shapes(self) -> Any:
        """Return what ``torch.export`` is told of lengths that change, or None."""
        if not self.dynamic:
            return None
        names = list(inspect.signature(self.module.forward).parameters)
        given = [*names[: len(self.args)], *self.kwargs]
        for name in self.dynamic:
            if name not in given:
                raise ArgumentError(
                    f"from_torch: dynamic names {name!r}, which is no argument of the module",
                    cause=f"its arguments are {', '.join(given)}",
                    fix=f'write dynamic={{"{given[0]}": {{0: "batch"}}}}',
                )
        examples = dict(zip(given, [*self.args, *self.kwargs.values()], strict=False))
        known: dict[str, int] = {}
        for name, axes in self.dynamic.items():
            if not isinstance(examples.get(name), self.torch.Tensor):
                raise ArgumentError(
                    f"from_torch: dynamic names {name!r}, which is no tensor",
                    cause="lengths are those of tensors",
                    fix="pass the tensors of a tuple or a dict as arguments of their own",
                )
            self.axes[name] = open_axes("from_torch", name, axes, examples[name].shape, known)
        made = {length: self.torch.export.Dim(length) for length in known}
        dims = {
            name: {axis: made[length] for axis, length in axes.items()}
            for name, axes in self.axes.items()
        }
        return {name: dims.get(name) for name in given}

    def _not_exported(self, error: Exception) -> ForeignProgramError:
        text = str(error)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        first = lines[0][:300] if lines else type(error).__name__
        if "Constraints violated" in first:  # which lengths, and why, stand below
            below = [x[2:].split(". If you")[0].strip(".") for x in lines if x.startswith("- ")]
            first = f"{first.partition('!')[0]}: {'; '.join(below)}"[:600]
        if "support the deepcopy protocol" in text:
            return ForeignProgramError(
                f"{type(self.module).__name__} cannot be copied: it holds tensors that were "
                "computed of its parameters",
                cause="a copy is exported, so that the module stays as it is",
                fix="compute them in forward; in place of torch.nn.utils.weight_norm, use the one "
                "in torch.nn.utils.parametrizations",
            )
        line = line_in(text, "torch") or line_of_traceback(error, "torch")
        return not_given("torch.export", type(self.module).__name__, first, line)

    # reading --------------------------------------------------------------------------------------

    def _taken_apart(self) -> tuple[dict[str, str], Signature, Block]:
        program, torch = self.program, self.torch
        kinds = torch.export.graph_signature.InputKind
        holders = {n.name: n for n in program.graph.nodes if n.op == "placeholder"}
        parameters: dict[str, Any] = {}
        buffers: dict[str, Any] = {}
        constants: dict[str, Any] = {}
        names: dict[str, str] = {}
        tied: dict[str, str] = {}
        first: dict[int, str] = {}
        own = dict(self.module.named_parameters(remove_duplicate=False))
        self.inputs: list[Input] = []
        self.places: list[int | None] = []
        self.fixed: dict[int, str] = {}
        inputs: list[str] = []
        for spec in program.graph_signature.input_specs:
            name, target = getattr(spec.arg, "name", ""), spec.target
            if spec.kind is kinds.PARAMETER:
                same = first.setdefault(id(own.get(target, target)), target)
                if same != target:
                    tied[target] = same
                else:
                    parameters[target] = self._array(program.state_dict[target])
                names[name] = f"p {same}"
            elif spec.kind is kinds.BUFFER:
                held = program.state_dict if target in program.state_dict else program.constants
                buffers[target] = self._array(held[target])
                names[name] = f"b {target}"
            elif spec.kind is kinds.CONSTANT_TENSOR:
                constants[name] = self._array(program.constants[target])
            elif spec.kind is kinds.USER_INPUT:
                value = holders[name].meta.get("val") if name in holders else None
                if isinstance(value, torch.Tensor):
                    self.places.append(len(inputs))
                    inputs.append(name)
                    self.inputs.append(self._input(name, value))
                else:
                    self.places.append(None)
                    constants[name] = getattr(spec.arg, "value", value)
                    self.fixed[len(self.places) - 1] = name
            else:
                raise UnsupportedOpError(
                    f"{self.name}: an input of kind {spec.kind.name} is not supported",
                    cause="the program orders effects, such as printing, or calls objects of C++",
                    fix="leave them out of forward",
                )
        block = self._block(program.graph_module, names)
        block.inputs = (
            *[f"p {name}" for name in parameters],
            *[f"b {name}" for name in buffers],
            *inputs,
        )
        block.constants.update(constants)
        updated = self._order_outputs(block)
        signature = Signature(
            parameters,
            buffers,
            self.inputs,
            updated,
            self._flat,
            self._arranged,
            len(self.args),
        )
        return tied, signature, block

    def _order_outputs(self, block: Block) -> list[str]:
        """Let a block give the next state first, then the results; return the buffers' names."""
        kinds = self.torch.export.graph_signature.OutputKind
        updated, state, results = [], [], []
        for spec, output in zip(
            self.program.graph_signature.output_specs, block.outputs, strict=True
        ):
            if spec.kind is kinds.BUFFER_MUTATION:
                updated.append(spec.target)
                state.append(output)
            elif spec.kind is kinds.USER_OUTPUT:
                results.append(output)
            else:
                raise UnsupportedOpError(
                    f"{self.name} changes an argument or a parameter in place",
                    cause="what a program changes, besides its buffers, is not followed",
                    fix="compute a new tensor and return it",
                )
        block.outputs = [*state, *results]
        return updated

    def _input(self, name: str, value: Any) -> Input:
        shape: list[int | str] = []
        for axis, n in enumerate(value.shape):
            if isinstance(n, int):
                shape.append(n)
                continue
            given = self.axes.get(name, {}).get(axis, "")
            shape.append(self.lengths.setdefault(str(n), given or f"length_{len(self.lengths)}"))
        return Input(name, tuple(shape), self._dtype(value.dtype))

    def _block(self, graph_module: Any, names: Mapping[str, str]) -> Block:
        torch = self.torch
        steps, outputs, inputs = [], None, []
        constants: dict[str, Any] = {}
        inner: dict[str, Block] = {}
        for node in graph_module.graph.nodes:
            if node.op == "placeholder":
                inputs.append(node.name)
            elif node.op == "get_attr":
                held = getattr(graph_module, node.target)
                if isinstance(held, torch.nn.Module):
                    self._require_no_draws(held.graph)
                    inner[node.name] = self._block(held, {})
                else:
                    constants[node.name] = self._array(held)
            elif node.op == "output":
                outputs = self._tree(node.args[0], names, inner)
            elif not any(check in str(node.target) for check in _CHECKS):
                steps.append(self._step(node, names, inner))
        return Block(tuple(inputs), steps, outputs, constants)

    def _require_no_draws(self, graph: Any) -> None:
        """Refuse branches and loops that draw: each turn would draw the same numbers here."""
        for node in graph.nodes:
            if draws(node):
                raise UnsupportedOpError(
                    f"{node.target} in a branch or a loop is not supported",
                    cause="how often it draws depends on values, and a key is split once a run",
                    fix="draw the random numbers before, and pass them as operands",
                    source=line_in(node.meta.get("stack_trace") or "", "torch"),
                )

    def _step(self, node: Any, names: Mapping[str, str], inner: Mapping[str, Block]) -> Step:
        line = line_in(node.meta.get("stack_trace") or "", "torch")
        label, order = self._label(node.target)
        entry = TABLE.get(label)
        if entry is None:
            cause, rewriting = REFUSED.get(label, ("", ""))
            raise unsupported(label, line, rewriting, cause)
        given = {**dict(zip(order, node.args, strict=False)), **node.kwargs}
        arguments = {name: self._tree(value, names, inner) for name, value in given.items()}
        return Step(
            label,
            entry,
            (node.name,),
            (),
            entry.accepted(label, arguments, line),
            line,
            (self._result_dtype(node, label, line),),
            key=node.name if entry.random else "",
        )

    def _label(self, target: Any) -> tuple[str, list[str]]:
        """Return an operator's name in the table and those of its positional arguments."""
        if isinstance(target, self.torch._ops.OpOverload):
            return str(target), [argument.name for argument in target._schema.arguments]
        if isinstance(target, self.torch._ops.HigherOrderOperator):
            label = f"higher_order.{target.name()}"
            entry = TABLE.get(label)
            order = list(inspect.signature(entry.function).parameters)[1:] if entry else []
            return label, order
        name = getattr(target, "__name__", str(target))
        if getattr(operator, name, None) is target:
            return f"operator.{name}", ["a", "b"]
        return f"{getattr(target, '__module__', '')}.{name}", ["a"]

    def _tree(self, value: Any, names: Mapping[str, str], inner: Mapping[str, Block]) -> Any:
        torch = self.torch
        if isinstance(value, torch.fx.Node):
            found = inner.get(value.name)
            return Ref(names.get(value.name, value.name)) if found is None else found
        if isinstance(value, (tuple, list)):
            return [self._tree(each, names, inner) for each in value]
        if isinstance(value, torch.dtype):
            return self._dtype(value)
        return value

    def _result_dtype(self, node: Any, label: str, line: Source | None) -> Any:
        value = node.meta.get("val")
        if not isinstance(value, self.torch.Tensor):
            return None
        if any(not isinstance(n, int) and "u" in str(n)[:1] for n in value.shape):
            raise UnsupportedOpError(
                f"{label} has a shape that depends on values",
                fix="use torch.where in place of a selection by a mask",
                source=line,
            )
        return self._dtype(value.dtype, label, line)

    def _dtype(self, dtype: Any, label: str = "", line: Source | None = None) -> np.dtype[Any]:
        name = str(dtype).removeprefix("torch.")
        if name not in _DTYPES:
            raise UnsupportedOpError(
                f"{label or self.name}: values of dtype {name} are not supported",
                cause="no dtype of the library has such elements",
                fix="import the module in float32: module.float()",
                source=line,
            )
        return to_dtype(name)

    def _array(self, tensor: Any) -> Any:
        self._dtype(tensor.dtype)
        return np.array(numbers_of(tensor), order="C")

    # calls ----------------------------------------------------------------------------------------

    def _flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        pytree = self.torch.utils._pytree
        leaves, spec = pytree.tree_flatten((args, kwargs))
        if len(leaves) != len(self.places) or spec != self.program.call_spec.in_spec:
            raise ArgumentError(
                f"{self.name}: the inputs are arranged as {_shown(spec)}",
                cause=f"the program was imported with {_shown(self.program.call_spec.in_spec)}",
                fix=f"pass {len(self.inputs)} arrays: {', '.join(x.name for x in self.inputs)}",
            )
        known = pytree.tree_leaves((self.args, self.kwargs))
        for place, name in self.fixed.items():
            require_same(self.name, name, leaves[place], known[place])
        return [x for x, place in zip(leaves, self.places, strict=True) if place is not None]

    def _arranged(self, results: Sequence[Any]) -> Any:
        return _arrange(self.program.call_spec.out_spec, iter(results))

    # checking -------------------------------------------------------------------------------------

    def _check(self, imported: Imported) -> None:
        of_module = ModuleItself(
            self.torch, self.module, self.program, (self.args, self.kwargs), self.places
        )
        try:
            source = of_module.results(imported, widened=False)
        except SideBySideError:
            raise
        except RuntimeError as error:
            if "not differentiable" not in str(error):
                said = f"its gradients cannot be taken: {str(error).splitlines()[0][:300]}"
                line = line_of_traceback(error, "torch")
                raise not_given("PyTorch", type(self.module).__name__, said, line) from error
            of_module.by_inputs = False
            imported.notes.append("gradients by inputs are not compared: PyTorch has none")
            source = of_module.results(imported, widened=False)
        check(
            imported,
            self._examples(),
            of_module.cotangents,
            of_module.drawn,
            source,
            partial(self._in_double, imported, of_module),
        )
        # torch.export takes every open length for 2 or more, and drops what is done for 1
        check_length_one(imported, self._examples(), partial(of_module.outputs, imported))

    def _in_double(self, imported: Imported, of_module: ModuleItself) -> Results | None:
        try:
            return of_module.results(imported, widened=True)
        except Exception:  # whatever a module does that has dtypes of its own
            return None

    def _examples(self) -> list[Any]:
        leaves = self.torch.utils._pytree.tree_leaves((self.args, self.kwargs))
        kept = [x for x, place in zip(leaves, self.places, strict=True) if place is not None]
        return [self._array(x) for x in kept]


def _detach(torch: Any, program: Any, graph_module: Any) -> None:
    """Detach what is computed under ``no_grad``, which the decompositions forget."""
    for child in graph_module.children():
        if hasattr(child, "graph"):
            _detach(torch, program, child)
    graph = graph_module.graph
    for node in graph.nodes:
        if node.target is not torch.ops.higher_order.wrap_with_set_grad_enabled or node.args[0]:
            continue
        for result in [each for each in node.users if each.target is operator.getitem]:
            with graph.inserting_after(result):
                cut = graph.call_function(torch.ops.aten.detach.default, (result,))
            cut.meta = dict(result.meta)
            result.replace_all_uses_with(cut, lambda user, cut=cut: user is not cut)
            program.graph_signature.replace_all_uses(result.name, cut.name)
    graph_module.recompile()


def _with_copies(torch: Any, tree: Any) -> Any:
    """Return arguments in which a tensor that is passed again is another one of the same numbers.

    PyTorch exports a program in which the first stands for both, and the module has two inputs.
    """
    seen: set[int] = set()

    def apart(x: Any) -> Any:
        if id(x) in seen:
            return x.detach().clone()
        seen.add(id(x))
        return x

    return torch.utils._pytree.tree_map_only(torch.Tensor, apart, tree)


def _arrange(spec: Any, leaves: Any) -> Any:
    """Return leaves in tuples, lists and dicts, which stand for whatever PyTorch has, too."""
    if spec.is_leaf():
        return next(leaves)
    children = [_arrange(each, leaves) for each in spec.children()]
    if spec.type in (tuple, list):
        return spec.type(children)
    names = spec.context
    if isinstance(names, list) and len(names) == 2 and isinstance(names[1], list):
        names = names[1]  # behind what a defaultdict makes its values with
    if isinstance(names, list) and len(names) == len(children):
        return dict(zip(names, children, strict=True))
    return tuple(children)


def _shown(spec: Any) -> str:
    """Return how many values each argument has."""
    args, kwargs = spec.children() if len(spec.children()) == 2 else (spec, None)
    parts = [f"{each.num_leaves} value{'s' * (each.num_leaves != 1)}" for each in args.children()]
    named = list(kwargs.context) if kwargs is not None else []
    return "(" + ", ".join([*parts, *named]) + ")"
