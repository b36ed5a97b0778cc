"""Export a program of any kind as an ONNX model, which others run before it is written."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import staticgraph
from oplibrary.messages.errors import ArgumentError, MissingPackageError
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.tree import flatten, unflatten
from sidebyside.measuring.agreement import Difference, check_agreement
from sidebyside.measuring.scrutiny import as_array
from sidebyside.modes import static
from sidebyside.modes.importing import import_program
from sidebyside.results.writing import check_writable
from sidebyside.studies.decision import recognise
from sidebyside.workloads.workload import NAMESPACE, Workload, takes_namespace
from staticgraph.compiler.executable import Executable
from staticgraph.compiler.feeds import convert_feeds
from staticgraph.compiler.run_lengths import lengths_reader
from staticgraph.exporting import write_model
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.importing.shared.imported import Imported
from staticgraph.program.lengths import program_is_symbolic
from staticgraph.program.polynomial import evaluated, symbols_in
from staticgraph.tracing.trace import argument_names

sg: Any = staticgraph

_TOLERANCE = 1e-4
_LENGTHS = (3, 5, 2, 7, 4)


@dataclass(frozen=True)
class Leaving:
    """A program that is to be exported, compiled here.

    Attributes
    ----------
    kind : str
        What it was.
    run : Executable
    arrays : list of ndarray
        Inputs to run it on.
    notes : list of str
        What does not leave with it.
    tolerance : float
    """

    kind: str
    run: Any
    arrays: Sequence[Any]
    notes: Sequence[str] = ()
    tolerance: float = _TOLERANCE


@dataclass(frozen=True)
class Exported:
    """What was written, and what running it came to.

    Attributes
    ----------
    path : Path
    kind : str
        What the program was.
    model : onnx.ModelProto
    runner : str
        What ran the model; empty if nothing did.
    difference : Difference or None
        How far its results are from those of the program.
    notes : tuple of str
    """

    path: Path
    kind: str
    model: Any
    runner: str
    difference: Difference | None
    notes: tuple[str, ...]

    def text(self) -> str:
        """Return it as text."""
        graph = self.model.graph
        constants = sum(each.op_type == "Constant" for each in graph.node)
        lines = [
            f"wrote {self.path}: {self.kind}, {len(graph.node) - constants:,} nodes and "
            f"{len(graph.initializer):,} stored arrays, opset {self.model.opset_import[0].version}",
            *[f"  input {_described(each)}" for each in graph.input],
            *[f"  result {_described(each)}" for each in graph.output],
        ]
        if self.difference is None:
            lines.append("not checked: nothing has run it but this library")
        else:
            apart = f"up to {self.difference.relative:.1e} of the largest number"
            exactly = "to the last bit" if self.difference.ulp == 0 else apart
            is_open = any(
                each.dim_param for x in graph.input for each in x.type.tensor_type.shape.dim
            )
            where = " at two lengths" if is_open else ""
            lines.append(f"checked{where}: {self.runner} computes the same from it, {exactly}")
        return "\n".join([*lines, *[f"note: {each}" for each in self.notes]])


def _described(value: Any) -> str:
    """Return the name and the type of an input or a result of a model."""
    helper: Any = importlib.import_module("onnx.helper")
    kind = value.type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    lengths = [each.dim_param or str(each.dim_value) for each in kind.shape.dim]
    return f"{value.name}: {dtype}[{','.join(lengths)}]"


def export(
    program: Any,
    path: str | os.PathLike[str],
    *inputs: Any,
    size: Any = None,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    check: bool = True,
) -> Exported:
    """Write a program as an ONNX model, once another library computes the same from it.

    Parameters
    ----------
    program : Workload, callable, Imported, Graph, Executable or tree of nodes
        Callables are what `decide` takes: they are traced here, or imported. A workload leaves
        with its gradients.
    path : str or os.PathLike
        It ends in ``.onnx``. What is there is replaced, once the new file is whole.
    *inputs : any
        What the program is called with. A workload, and what is a graph already, have their own.
    size : any, optional
        Of a workload's inputs, in place of its first.
    dynamic : mapping of str to mapping of int to str, optional
        The axes that stay open in the model: by the name of the argument (of an array in a tree
        with the way to it), then by the axis, what the length is called.
    check : bool
        Whether the model is run, at two lengths where some are open. That is done by
        ``onnx.reference``, or by ONNX Runtime where it does not run the model; where neither does,
        the model is written, and the result says so.

    Returns
    -------
    Exported

    Raises
    ------
    ArgumentError
        If it is no program, if its inputs do not fit, or if the path does not end in ``.onnx``.
    BackendError
        If the program has no form in ONNX; the user's line is named.
    FeedError
        If a graph does not take the inputs.
    DisagreementError
        If the model computes something else. Nothing is written.
    OutputError
        If the file cannot be written.
    """
    target = check_target(path)
    leaving = _leaving(program, inputs, size, dynamic or {})
    model = sg.to_onnx(leaving.run)
    notes = list(leaving.notes)
    runner, difference = "", None
    for arrays in _fed_to(leaving) if check else ():
        expected = [np.asarray(x) for x in flatten(leaving.run(*arrays))[0]]
        feeds = dict(zip([each.name for each in model.graph.input], arrays, strict=True))
        runner, found = _run_by_others(model.SerializeToString(), feeds, notes)
        if not runner:
            difference = None  # by none of the lengths, if not by all
            break
        pair = f"the model, run by {runner}, and the program"
        apart = check_agreement(found, expected, pair=pair, tolerance=leaving.tolerance)
        if difference is None or apart.relative >= difference.relative:
            difference = apart
    write_model(model, target)
    return Exported(target, leaving.kind, model, runner, difference, tuple(notes))


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path of a model, or refuse it before any work is done for it.

    Raises
    ------
    ArgumentError
        If it does not end in ``.onnx``: it may be the program, in the place of the file.
    OutputError
        If it cannot be written.
    """
    target = check_writable(path)
    if target.suffix.lower() != ".onnx":
        raise ArgumentError(
            f"{target} does not end in .onnx",
            cause="that is the format which is written, and another file would be replaced",
            fix=f"name the file {target.with_suffix('.onnx').name}",
        )
    if importlib.util.find_spec("onnx") is None:
        raise MissingPackageError(
            "export needs onnx", fix="pip install onnx", cause="it writes the format"
        )
    return target


# what is exported ---------------------------------------------------------------------------------


def _leaving(
    program: Any, inputs: tuple[Any, ...], size: Any, dynamic: Mapping[str, Mapping[int, str]]
) -> Leaving:
    """Return a program that is compiled, with arrays to run it on."""
    if size is not None and not isinstance(program, Workload):
        raise ArgumentError(
            "a size was given for a program that has none",
            cause="sizes are those of a workload's inputs",
            fix="leave it out, and pass inputs of that size",
        )
    declared = isinstance(program, (Imported, Graph, Executable)) or _is_nodes(program)
    if dynamic and declared:
        raise ArgumentError(
            "lengths were to stay open in a program that is declared already",
            cause="it is exported with the lengths that it was declared, or imported, with",
            fix="leave them out here, and name them where the program is made",
        )
    if isinstance(program, Imported):
        return _imported(program, inputs)
    if declared:
        run = program if isinstance(program, Executable) else _compiled(program)
        given = [as_array(leaf) for leaf in flatten(list(inputs))[0]]
        return Leaving("a graph", run, given or _made(run.inputs))
    if isinstance(program, Workload) and size is not None:
        inputs = program.make_inputs(size)
    _require_taken(program, inputs)
    kind, subject = recognise(program, inputs, _TOLERANCE)
    function, inputs = subject.workload.function, subject.inputs
    if kind == "workload":
        run = _compiled(static.trace(subject.workload, _opened(function, inputs, dynamic, 1)))
        named = f"the workload {subject.workload.name}"
        tolerance = max(_TOLERANCE, subject.workload.tolerance)
        return Leaving(named, run, _fed(inputs), _baked(inputs), tolerance)
    if kind == "NumPy":
        run = _compiled(sg.trace(function, *_opened(function, inputs, dynamic)))
        return Leaving("a function", run, _fed(inputs), _baked(inputs))
    return _imported(import_program(kind, function, inputs, dynamic), inputs)


def _opened(
    function: Any, inputs: Sequence[Any], dynamic: Mapping[str, Mapping[int, str]], skipped: int = 0
) -> Sequence[Any]:
    """Return the inputs of a trace, with open lengths where they are named."""
    leaves, structure = flatten(((*(None,) * skipped, *inputs), {}))
    names = argument_names(function, structure)
    arrays = {n: x for n, x in zip(names, leaves, strict=True) if _is_array(x)}
    for name, axes in dynamic.items():
        if name not in arrays or not all(0 <= axis < arrays[name].ndim for axis in axes):
            known = ", ".join(f"{n} with {x.ndim} axes" for n, x in arrays.items())
            raise ArgumentError(
                f"axes {', '.join(map(str, axes))} of {name} were to stay open",
                cause=f"the arrays among the inputs are {known or 'none'}",
                fix="name one of them, and axes that it has, counted from 0",
            )
    opened = []
    for name, x in zip(names, leaves, strict=True):
        axes = dynamic.get(name, {})
        lengths = [sg.dim(axes[a]) if a in axes else n for a, n in enumerate(np.shape(x))]
        opened.append(sg.TensorType(lengths, x.dtype) if axes else x)
    args, _ = unflatten(structure, opened)
    return list(args[skipped:])


def _compiled(program: Any) -> Any:
    if isinstance(program, Graph):
        return sg.compile(program.outputs, program.inputs, backend="numpy")
    return sg.compile(program, backend="numpy")


def _is_nodes(program: Any) -> bool:
    """Tell whether something is a node or a tree of nodes."""
    leaves = flatten(program)[0]
    return bool(leaves) and all(isinstance(each, Node) for each in leaves)


def _require_taken(program: Any, inputs: tuple[Any, ...]) -> None:
    """Refuse inputs that a program cannot be called with."""
    if isinstance(program, Workload) or not callable(program):
        return
    try:
        signature = inspect.signature(getattr(program, "forward", program))
    except (TypeError, ValueError):  # some callables have none
        return
    namespace = (NAMESPACE,) if takes_namespace(program) else ()
    try:
        signature.bind(*namespace, *inputs)
    except TypeError as error:
        name = getattr(program, "__name__", type(program).__name__)
        raise ArgumentError(
            f"{name}{signature} cannot be called with {len(inputs)} inputs: {error}",
            cause="a program is exported as it is called",
            fix="name a tuple of its inputs, or a function that returns one, as --inputs FILE:NAME",
        ) from None


def _imported(program: Imported, inputs: tuple[Any, ...]) -> Leaving:
    """Return an imported program, without what it leaves in its state."""
    notes = []
    if program.signature.updated:
        names = ", ".join(program.signature.updated)
        notes.append(f"a model in the ONNX format keeps no state: no next value of {names}")
    run = _compiled(program.graph)
    if not inputs:
        return Leaving(program.source, run, _made(run.inputs), notes)
    given = zip(program.signature.flat(inputs, {}), run.inputs, strict=True)
    # in the dtype of the import: JAX's own, or one that NumPy does not know
    arrays = [np.asarray(as_array(x)).astype(feed.type.dtype) for x, feed in given]
    return Leaving(program.source, run, arrays, notes)


# what it is run on --------------------------------------------------------------------------------


def _fed_to(leaving: Leaving) -> Iterator[Sequence[Any]]:
    """Yield the arrays that a model is run on, and longer ones where lengths are open."""
    feeds = leaving.run.inputs
    arrays = convert_feeds(feeds, leaving.arrays, {})
    yield arrays
    program = leaving.run.program
    if program_is_symbolic(program):
        lengths = sorted(lengths_reader(program, feeds)(arrays).items())
        longer = {name: n + 2 + i for i, (name, n) in enumerate(lengths)}
        shapes = [evaluated(feed.type.shape, longer) for feed in feeds]
        yield [np.resize(x, shape) for x, shape in zip(arrays, shapes, strict=True)]


def _fed(inputs: Sequence[Any]) -> list[Any]:
    """Return the inputs that are placeholders of a trace: arrays, and no Python numbers."""
    return [np.asarray(each) for each in flatten(list(inputs))[0] if _is_array(each)]


def _baked(inputs: Sequence[Any]) -> list[str]:
    found = [each for each in flatten(list(inputs))[0] if not _is_array(each)]
    return [f"{each!r} was passed, and is part of the model" for each in found]


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic))


def _made(feeds: Sequence[Any]) -> list[Any]:
    """Return inputs for a graph: normal numbers, zeros and ones; open lengths are small."""
    rng = np.random.default_rng(0)
    symbols = sorted({each for feed in feeds for each in symbols_in(feed.type.shape)}, key=str)
    lengths = {
        each.name: max(each.least, _LENGTHS[i % len(_LENGTHS)]) for i, each in enumerate(symbols)
    }
    found = []
    for feed in feeds:
        shape = evaluated(feed.type.shape, lengths)
        floating = feed.type.dtype.kind in FLOATING
        numbers = rng.standard_normal(shape) if floating else rng.integers(0, 2, shape)
        found.append(np.asarray(numbers).astype(feed.type.dtype))
    return found


def _run_by_others(
    model: bytes, feeds: Mapping[str, Any], notes: list[str]
) -> tuple[str, list[Any]]:
    """Return who ran a model and what it gave; why nobody did is noted."""
    runners = {"onnx.reference": _by_reference, "onnxruntime": _by_runtime}
    for module, run in runners.items():
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            continue
        try:
            with np.errstate(all="ignore"):
                return module, [np.asarray(x) for x in run(model, dict(feeds))]
        except Exception as error:  # whatever a library raises on what it does not know
            first = next((line for line in str(error).splitlines() if line.strip()), repr(error))
            notes.append(f"{module} does not run it: {first.strip()[:200]}")
    return "", []


def _by_reference(model: bytes, feeds: dict[str, Any]) -> Any:
    reference: Any = importlib.import_module("onnx.reference")
    return reference.ReferenceEvaluator(model).run(None, feeds)


def _by_runtime(model: bytes, feeds: dict[str, Any]) -> Any:
    ort: Any = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = {each.name for each in session.get_inputs()}  # those that nothing reads are gone
    return session.run(None, {name: x for name, x in feeds.items() if name in wanted})
