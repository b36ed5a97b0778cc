"""A function, traced by JAX to a jaxpr, becomes a program here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from oplibrary.messages.errors import (
    ArgumentError,
    ForeignProgramError,
    MissingPackageError,
    UnsupportedOpError,
)
from oplibrary.messages.source import Source
from oplibrary.values.dtypes import REAL_FLOATING
from staticgraph.compiler.compile import compile
from staticgraph.importing.jaxprs import (  # noqa: F401  they fill the table
    algebra,
    flow,
    gathering,
    primitives,
    solving,
    windows,
)
from staticgraph.importing.jaxprs.lengths import (
    axes_of,
    computing,
    is_length,
    reading,
    ref_of,
    traced_as,
)
from staticgraph.importing.jaxprs.refused import REFUSED
from staticgraph.importing.jaxprs.table import TABLE
from staticgraph.importing.shared.block import (
    Block,
    Ref,
    Step,
    not_given,
    simplified,
    unsupported,
)
from staticgraph.importing.shared.checking import (
    Results,
    check,
    compare_where,
    cotangents_for,
)
from staticgraph.importing.shared.imported import Imported, Input, Signature
from staticgraph.importing.shared.lines import line_of_traceback
from staticgraph.importing.shared.namespaces import ON_ARRAYS
from staticgraph.importing.shared.table import Entry

_INLINED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_CALLS = """jit pjit closed_call core_call custom_jvp_call custom_vjp_call custom_vjp_call_jaxpr
remat remat2 checkpoint""".split()


def _function(name: str) -> Entry:
    return Entry(lambda xp, x: getattr(xp, name)(x), frozenset(), {}, frozenset(), False)


_OWN_GRADIENTS = {"relu": _function("relu"), "relu6": _function("relu6")}
"""Functions to which JAX gives gradients at kinks that are not those of their parts."""

_OF_BITS = {"signbit": _function("signbit"), "frexp": _function("frexp")}
"""Functions of JAX that read the bits of a number."""


def read_function(
    function: Callable[..., Any],
    *args: Any,
    parameters: Any = None,
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
) -> Imported:
    """Return a JAX function as a program here; see `sg.from_jax`."""
    try:
        import jax
    except ImportError:
        raise MissingPackageError(
            "from_jax needs JAX", fix="pip install jax", cause="it traces the function"
        ) from None
    if not callable(function):
        raise ArgumentError(
            f"from_jax: a {type(function).__name__} is not a function",
            cause="JAX traces a function of arrays",
            fix="pass the function first, then its example inputs",
        )
    if not isinstance(dynamic, (Mapping, type(None))):
        raise ArgumentError(
            f"from_jax: dynamic is a {type(dynamic).__name__}",
            cause="it maps names of arguments to axes, and these to names of lengths",
            fix='write dynamic={"x": {0: "batch"}}',
        )
    return _Reader(jax, function, args, parameters, dynamic or {}).read()


class _Reader:
    """Reads one function."""

    def __init__(
        self,
        jax: Any,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        parameters: Any,
        dynamic: Mapping[str, Mapping[int, str]],
    ) -> None:
        self.jax, self.tree = jax, jax.tree_util
        self.has_parameters = parameters is not None
        self.name = f"JAX: {getattr(function, '__name__', type(function).__name__)}"
        self.function, self.parameters, self.args = function, parameters, args
        self.dynamic = dynamic
        self.numbers = count()

    def read(self) -> Imported:
        named, _ = self.tree.tree_flatten_with_path(self.parameters)
        with_paths, self.in_tree = self.tree.tree_flatten_with_path(self.args)
        self._refuse_keys([*named, *with_paths])
        held = self._held(named)
        self.leaves = [self._leaf(path, value) for path, value in with_paths]
        ways = [_path(path) for path, _ in with_paths]
        self.axes = axes_of(
            self.dynamic,
            self.function,
            int(self.has_parameters),
            [
                (f"x{way}", tuple(way.split(".")), x)
                for way, x in zip(ways, self.leaves, strict=True)
            ],
        )
        self.names = sorted({length for each in self.axes for length in each.values()})
        inputs = [
            Input(
                f"x{way}" + "_" * (f"x{way}" in held),
                tuple([axes.get(axis, n) for axis, n in enumerate(value.shape)]),
                value.dtype,
            )
            for way, value, axes in zip(ways, self.leaves, self.axes, strict=True)
        ]
        closed, shapes = self._traced()
        self.out_tree = self.tree.tree_structure(shapes)
        block = self._block(closed)
        block.steps[:0] = reading(block.inputs[len(held) :], self.axes)
        signature = Signature(held, {}, inputs, [], self._flat, self._arranged, len(self.args))
        imported = Imported(self.name, simplified(block, ON_ARRAYS), signature)
        self._check(imported)
        return imported

    def _leaf(self, path: Any, value: Any) -> Any:
        try:
            return np.asarray(self.jax.numpy.asarray(value))
        except TypeError:
            raise ArgumentError(
                f"from_jax: the argument {_path(path)} is {value!r}, which is no array",
                cause="JAX traces a function of arrays, in trees",
                fix="let the function have it: functools.partial(function, name=value)",
            ) from None

    def _refuse_keys(self, leaves: list[tuple[Any, Any]]) -> None:
        for path, value in leaves:
            dtype = getattr(value, "dtype", None)
            if dtype is not None and self.jax.dtypes.issubdtype(dtype, self.jax.dtypes.prng_key):
                cause, rewriting = REFUSED["random_wrap"]
                what = f"{_path(path) or 'an argument'} is a key of JAX"
                raise UnsupportedOpError(what, cause=cause, fix=rewriting)

    def _held(self, named: list[tuple[Any, Any]]) -> dict[str, Any]:
        """Return the parameters by name; two ways to a leaf may be written alike."""
        held: dict[str, Any] = {}
        for path, value in named:
            name = _path(path)
            if name in held:
                raise ArgumentError(
                    f"two parameters are called {name!r}",
                    cause="a parameter is named by the keys on the way to it, with dots between",
                    fix="use keys without dots",
                )
            held[name] = np.array(value)
        return held

    def _call(self, parameters: Any, args: Any) -> Any:
        return self.function(parameters, *args) if self.has_parameters else self.function(*args)

    def _traced(self) -> Any:
        args = self.args
        if self.names:
            leaves = self.tree.tree_leaves(self.args)
            args = self.tree.tree_unflatten(self.in_tree, traced_as(self.jax, leaves, self.axes))
        try:
            return self.jax.make_jaxpr(self._call, return_shape=True)(self.parameters, args)
        except Exception as error:
            raise self._not_traced(error) from error

    def _not_traced(self, error: Exception) -> ForeignProgramError:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        line = line_of_traceback(error, "jax")
        return not_given("jax.make_jaxpr", self.name.partition(" ")[2], first[:300], line)

    # reading --------------------------------------------------------------------------------------

    def _block(self, closed: Any, around: Sequence[str] = ()) -> Block:
        """Return a jaxpr as a block; those inside others are told the lengths `around` them."""
        jaxpr = getattr(closed, "jaxpr", closed)
        values: dict[Any, Any] = {}
        constants: dict[str, Any] = {}
        inputs = tuple([self._new(values, var).name for var in jaxpr.invars])
        for var, value in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=True):
            constants[self._new(values, var).name] = np.asarray(value)
        steps: list[Step] = []
        self._read(jaxpr, values, constants, steps, None)
        outputs = [self._value(values, constants, var) for var in jaxpr.outvars]
        return Block((*around, *inputs), steps, outputs, constants, tuple(around))

    def _new(self, values: dict[Any, Any], var: Any) -> Ref:
        values[var] = new = Ref(f"v{next(self.numbers)}")
        return new

    def _value(self, values: dict[Any, Any], constants: dict[str, Any], var: Any) -> Any:
        if hasattr(var, "val"):  # a literal
            name = f"v{next(self.numbers)}"
            constants[name] = np.asarray(var.val, var.aval.dtype)
            return Ref(name)
        return values[var]

    def _read(
        self,
        jaxpr: Any,
        values: dict[Any, Any],
        constants: dict[str, Any],
        steps: list[Step],
        outer: Source | None,
    ) -> None:
        """Append the steps of a jaxpr; calls of others, at the line `outer`, become their steps."""
        for equation in _needed(jaxpr):
            line = self._line(equation) or outer
            operands = [self._value(values, constants, var) for var in equation.invars]
            name = equation.primitive.name
            inner = next(
                (equation.params[key] for key in _INLINED if equation.params.get(key) is not None),
                None,
            )
            ours = {"custom_jvp_call": _OWN_GRADIENTS, "jit": _OF_BITS, "pjit": _OF_BITS}.get(name)
            own = ours.get(_called(inner)) if ours and _is_of_jax(inner) else None
            if name in _CALLS and own is None:
                self._inline(inner, operands, equation.outvars, values, constants, steps, line)
                continue
            entry, arguments = self._entry(equation, line, steps) if own is None else (own, {})
            results = tuple([self._new(values, var).name for var in equation.outvars])
            steps.append(
                Step(
                    name,
                    entry,
                    results,
                    tuple(operands),
                    arguments,
                    line,
                    tuple([_dtype(var.aval, name) for var in equation.outvars]),
                    several=(
                        equation.primitive.multiple_results
                        if own is None
                        else len(equation.outvars) > 1
                    ),
                )
            )

    def _inline(
        self,
        inner: Any,
        operands: Sequence[Any],
        outvars: Sequence[Any],
        values: dict[Any, Any],
        constants: dict[str, Any],
        steps: list[Step],
        line: Source | None,
    ) -> None:
        jaxpr = getattr(inner, "jaxpr", inner)
        within: dict[Any, Any] = dict(zip(jaxpr.invars, operands, strict=True))
        for var, value in zip(jaxpr.constvars, getattr(inner, "consts", ()), strict=True):
            constants[self._new(within, var).name] = np.asarray(value)
        self._read(jaxpr, within, constants, steps, line)
        for var, result in zip(outvars, jaxpr.outvars, strict=True):
            values[var] = self._value(within, constants, result)

    def _entry(
        self, equation: Any, line: Source | None, steps: list[Step]
    ) -> tuple[Entry, dict[str, Any]]:
        name = equation.primitive.name
        entry = TABLE.get(name)
        if entry is None:
            cause, rewriting = REFUSED.get(name, ("", ""))
            raise unsupported(name, line, rewriting, cause)
        given = {key: self._argument(value, steps, line) for key, value in equation.params.items()}
        return entry, entry.accepted(name, given, line)

    def _argument(self, value: Any, steps: list[Step], line: Source | None) -> Any:
        if is_length(value):
            steps.append(computing(value, f"v{next(self.numbers)}", line))
            return Ref(steps[-1].names[0])
        if hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns"):
            return self._block(value, [ref_of(name).name for name in self.names])
        if hasattr(getattr(value, "solve", None), "jaxpr"):  # the functions of a linear system
            return {
                name: self._argument(each, steps, line) for name, each in value._asdict().items()
            }
        if isinstance(value, tuple) and value and not hasattr(value, "_fields"):
            return tuple([self._argument(each, steps, line) for each in value])
        return value

    def _line(self, equation: Any) -> Source | None:
        try:
            from jax._src import source_info_util

            frame: Any = source_info_util.user_frame(equation.source_info.traceback)
            return Source(frame.file_name, frame.start_line, frame.function_name)
        except Exception:  # private to JAX, and other in other versions
            return None

    # calls ----------------------------------------------------------------------------------------

    def _flat(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sequence[Any]:
        leaves, found = self.tree.tree_flatten(args)
        if found != self.in_tree or kwargs:
            raise ArgumentError(
                f"{self.name}: the inputs are arranged as {found}",
                cause=f"the program was imported with {self.in_tree}",
                fix="arrange them as in the call of from_jax, without names",
            )
        return leaves  # type: ignore[no-any-return]

    def _arranged(self, results: Sequence[Any]) -> Any:
        return self.tree.tree_unflatten(self.out_tree, results)

    # checking -------------------------------------------------------------------------------------

    def _check(self, imported: Imported) -> None:
        leaves, _ = self.tree.tree_flatten((self.parameters, self.args))
        names = [*imported.parameters, *imported.signature.called]
        values = [self.jax.numpy.asarray(x) for x in leaves]
        source, self._cotangents = self._of_source(imported, names, values, None)
        # what JAX has no gradient for may have none here
        cotangents = self._cotangents if source.gradients else [None] * len(source.outputs)
        exact = partial(self._in_double, imported, names, leaves)
        check(imported, self.leaves, cotangents, {}, source, exact)
        if self.names:
            self._check_lengths(imported, source.outputs)

    def _check_lengths(self, imported: Imported, outputs: Sequence[Any]) -> None:
        """Compare the results of the graph for all lengths, at the example's and at others."""
        run = compile(imported.graph.outputs, imported.graph.inputs, backend="numpy")
        known = {
            name: x.shape[axis]
            for x, axes in zip(self.leaves, self.axes, strict=True)
            for axis, name in axes.items()
        }
        other = {name: n + 2 + i for i, (name, n) in enumerate(sorted(known.items()))}
        resized = [
            np.resize(x, [other.get(axes.get(axis, ""), n) for axis, n in enumerate(x.shape)])
            for x, axes in zip(self.leaves, self.axes, strict=True)
        ]
        arrays = [self.jax.numpy.asarray(x) for x in resized]
        try:
            given = self.tree.tree_unflatten(self.in_tree, arrays)
            theirs = self.tree.tree_leaves(self.jax.jit(self._call)(self.parameters, given))
        except Exception as error:
            raise self._not_traced(error) from error
        for inputs, expected, lengths in (
            (self.leaves, outputs, known),
            (resized, theirs, other),
        ):
            said = ", ".join(f"{name} is {n}" for name, n in lengths.items())
            for i, (x, y) in enumerate(zip(run(*inputs), expected, strict=True)):
                compare_where(imported, i, said, x, np.asarray(y))

    def _of_source(
        self, imported: Imported, names: Sequence[str], values: Sequence[Any], cotangents: Any
    ) -> tuple[Results, list[Any]]:
        structure = self.tree.tree_structure((self.parameters, self.args))
        positions = [i for i, x in enumerate(values) if np.asarray(x).dtype.kind in REAL_FLOATING]

        def of(*moving: Any) -> Any:
            whole = list(values)
            for i, x in zip(positions, moving, strict=True):
                whole[i] = x
            parameters, args = self.tree.tree_unflatten(structure, whole)
            return self.tree.tree_leaves(self._call(parameters, args))

        moving = [values[i] for i in positions]
        # compiled whole: one after another, each of JAX's ops is compiled when it is first called
        outputs = [np.asarray(x) for x in self.jax.jit(of)(*moving)]
        cotangents = cotangents or cotangents_for(outputs)

        def weighed(*moving: Any) -> Any:
            pairs = zip(of(*moving), cotangents, strict=True)
            return sum((self.jax.numpy.sum(y * c) for y, c in pairs if c is not None), start=0.0)

        gradients: Mapping[str, Any] = {}
        if positions and any(c is not None for c in cotangents):
            try:
                slope = self.jax.grad(weighed, argnums=tuple(range(len(positions))))
                slopes = self.jax.jit(slope)(*moving)
                gradients = {
                    names[i]: np.asarray(g) for i, g in zip(positions, slopes, strict=True)
                }
            except Exception as error:
                note = f"JAX has no gradient: {str(error).splitlines()[0][:120]}"
                if note not in imported.notes:
                    imported.notes.append(note)
        return Results(outputs, {}, dict(gradients)), cotangents

    def _in_double(
        self, imported: Imported, names: Sequence[str], leaves: Sequence[Any]
    ) -> Results | None:
        try:
            with self.jax.enable_x64(True):
                wide = [
                    self.jax.numpy.asarray(
                        np.asarray(x).astype("float64")
                        if np.asarray(x).dtype.kind in REAL_FLOATING
                        else x
                    )
                    for x in leaves
                ]
                return self._of_source(imported, names, wide, self._cotangents)[0]
        except Exception:  # whatever a function does that has dtypes of its own
            return None


def _needed(jaxpr: Any) -> list[Any]:
    """Return the equations that the results need: others may be what nothing here reads."""
    wanted = {var for var in jaxpr.outvars if not hasattr(var, "val")}
    kept = []
    for equation in reversed(jaxpr.eqns):
        if equation.effects or wanted.intersection(equation.outvars):
            wanted.update(var for var in equation.invars if not hasattr(var, "val"))
            kept.append(equation)
    return kept[::-1]


def _called(inner: Any) -> str:
    """Return the name of the function that a jaxpr was traced from."""
    info = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
    return str(getattr(info, "func_name", ""))


def _is_of_jax(inner: Any) -> bool:
    """Tell whether JAX itself defines the function that a jaxpr was traced from."""
    info = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
    _, _, place = str(getattr(info, "func_src_info", "")).partition(" at ")
    return "/jax/_src/" in place.replace("\\", "/")


def _path(path: Any) -> str:
    """Return the way to a leaf, as ``layer.w`` or ``0.1``."""
    parts = [getattr(p, "key", getattr(p, "idx", getattr(p, "name", p))) for p in path]
    return ".".join(map(str, parts))


def _dtype(aval: Any, name: str) -> Any:
    try:
        return np.dtype(aval.dtype)
    except TypeError:
        cause, fix = REFUSED["random_bits"]
        raise UnsupportedOpError(f"{name}: values of type {aval}", cause=cause, fix=fix) from None
