"""function: a Python function that is traced and compiled at its first call."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, overload

from oplibrary.messages.errors import (
    ArgumentError,
    BakedValueWarning,
    BindingError,
    GraphError,
    RetraceWarning,
    warn,
)
from oplibrary.values.tree import Structure, flatten, unflatten
from oplibrary.values.types import TensorType
from staticgraph.capture.guards import RandomState, watch
from staticgraph.capture.observation import Observation
from staticgraph.capture.reads import Read
from staticgraph.compiler.bound import Bound
from staticgraph.compiler.compile import compile_nodes
from staticgraph.compiler.options import Options, options_from
from staticgraph.declare.build import placeholder
from staticgraph.graph.graph import Graph
from staticgraph.graph.node import Node
from staticgraph.tracing.bound_function import watched
from staticgraph.tracing.entry import Entry
from staticgraph.tracing.explanation import Explanation, Trace
from staticgraph.tracing.number_feeds import NumberFeeds, UnfitNumbers
from staticgraph.tracing.pickling import reduced_function
from staticgraph.tracing.signature import Slot, Static
from staticgraph.tracing.trace import (
    MAX_NODES,
    argument_names,
    declared_at,
    definition_of,
    run_trace,
)

_TRACES_BEFORE_WARNING = 5


class StaticFunction:
    """A Python function with what was compiled of it; see `function`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        static_argnums: int | Iterable[int] = (),
        max_signatures: int = 16,
        max_nodes: int = MAX_NODES,
        specs: Mapping[str, TensorType] | None = None,
        **options: Any,
    ) -> None:
        if not callable(function):
            raise ArgumentError(
                f"function was given a {type(function).__name__}",
                cause="it traces a Python function",
                fix="write @sg.function above a def, or sg.function(f)",
            )
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = function.__doc__
        self.__module__ = getattr(function, "__module__", None) or __name__
        self.__qualname__ = getattr(function, "__qualname__", self.__name__)
        numbers = (static_argnums,) if isinstance(static_argnums, int) else static_argnums
        self._static = frozenset(numbers)
        self._max_signatures = max_signatures
        self._max_nodes = max_nodes
        self._specs = _checked_specs(specs or {})
        self._options = options_from("function", options)
        self._entries: dict[Any, list[Entry]] = {}
        self._recent: Entry | None = None
        self._traces: list[Trace] = []
        self._lock = threading.RLock()
        self._warned = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function; trace and compile it first where that was not done yet."""
        entry = self._recent
        if entry is not None:
            arrays = entry.match(args, kwargs)
            if arrays is not None and entry.guards.failed() is None:
                entry.record.calls += 1
                return entry.call(*arrays)
        return self._find(args, kwargs)

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run on arguments of any kind."""
        if self._static:
            args = self._mark_static(args)
        leaves, structure = flatten((args, kwargs))
        if any(isinstance(x, Node) for x in leaves):
            # inside another trace it is part of that graph
            args, kwargs = unflatten(structure, map(_plain, leaves))
            return self.__wrapped__(*args, **kwargs)
        return self._with_entry(leaves, structure, Entry.run)

    def _with_entry(
        self, leaves: list[Any], structure: Structure, use: Callable[[Entry, list[Any]], Any]
    ) -> Any:
        """Return what `use` makes of what was compiled; a number that does not fit is static."""
        try:
            return use(self._entry_for(leaves, structure), leaves)
        except UnfitNumbers as unfit:
            positions = unfit.positions
        leaves = [Static(x) if i in positions else x for i, x in enumerate(leaves)]
        return self._with_entry(leaves, structure, use)

    def _entry_for(self, leaves: list[Any], structure: Structure) -> Entry:
        """Return what was compiled for such arguments; compile it if nothing was."""
        slots = self._slots(leaves, structure)
        key = (structure, *[slot.key for slot in slots])
        if not all(slot.hashable for slot in slots if slot.type is None):
            raise self._unhashable(structure, slots)
        with self._lock:
            entry = self._known(key) or self._build(key, structure, slots)
            self._recent = entry
        return entry

    def bind(self, /, *args: Any, out: Any = None, **kwargs: Any) -> Bound:
        """Return the function bound to arrays, as `Executable.bind` does for their signature.

        Parameters
        ----------
        *args, **kwargs
            Those of a call. Arrays are read in place at each call of what is returned; numbers and
            static values stay what they are.
        out : numpy.ndarray, or a tree of them, optional
            What to write the results into, in the structure that the function returns.

        Returns
        -------
        Bound
            Where the function reads values from outside, each call looks whether one has changed.

        Raises
        ------
        BindingError
            If an array cannot be read or written in place; or at a call, if a value from outside
            has changed.
        """
        if self._static:
            args = self._mark_static(args)
        leaves, structure = flatten((args, kwargs))
        if any(isinstance(x, Node) for x in leaves):
            raise BindingError(
                f"{self.__name__}: bind was passed a value of a graph",
                cause="it binds a program to arrays, and such a value has none before a run",
                fix="call the function, which then becomes a part of that graph",
            )

        def bound(entry: Entry, leaves: list[Any]) -> Bound:
            return watched(entry.bind(leaves, out), entry.guards, self.__name__)

        result: Bound = self._with_entry(leaves, structure, bound)
        return result

    def _slots(self, leaves: list[Any], structure: Structure) -> list[Slot]:
        if not self._specs:
            return list(map(Slot, leaves))
        names = argument_names(self.__wrapped__, structure)
        return [Slot(x, self._specs.get(name)) for x, name in zip(leaves, names, strict=True)]

    def _known(self, key: Any) -> Entry | None:
        for entry in self._entries.get(key, ()):
            if entry.guards.failed() is None:
                return entry
        return None

    def _mark_static(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        static = {i % len(args) for i in self._static if -len(args) <= i < len(args)}
        return tuple([Static(x) if i in static else x for i, x in enumerate(args)])

    def _unhashable(self, structure: Structure, slots: list[Slot]) -> ArgumentError:
        names = argument_names(self.__wrapped__, structure)
        name, slot = next(each for each in zip(names, slots, strict=True) if not each[1].hashable)
        return ArgumentError(
            f"{self.__name__}: argument {name} is a {type(slot.value).__name__}, "
            "which cannot be hashed",
            cause="an argument that is neither an array nor a number is static: a part of the "
            "signature that selects what was compiled",
            fix="pass arrays and numbers, or a tuple in place of a list where the value is static",
        )

    def _build(self, key: Any, structure: Structure, slots: list[Slot]) -> Entry:
        """Trace and compile for one signature."""
        names = argument_names(self.__wrapped__, structure)
        described = tuple(slot.describe(name) for slot, name in zip(slots, names, strict=True))
        record = Trace(described, self._reason(key, described))
        started = time.perf_counter()
        static = {n: slot.value for n, slot in zip(names, slots, strict=True) if slot.type is None}
        observation = Observation()
        graph, values = self._trace(structure, slots, names, record, observation, static)
        watched = watch(observation)
        traced = time.perf_counter()
        arrays = [x for x, slot in zip(values, slots) if slot.type and not slot.weak]
        numbers = NumberFeeds(graph, {x: i for i, x in enumerate(values) if slots[i].weak})
        outputs = unflatten(graph.output_tree, graph.outputs)
        executable = compile_nodes(outputs, [*arrays, *numbers.nodes], self._options)
        record.seconds = {"trace": traced - started, "compile": time.perf_counter() - traced}
        record.nodes = len(graph)
        record.guards = list(map(str, watched.guards.guards))
        record.baked += map(str, watched.baked)
        record.effects = watched.effects
        for each in watched.baked:
            warn(
                BakedValueWarning(
                    f"{self.__name__}: {each.what} is fixed in the graph, and is not watched",
                    cause=each.why,
                    fix=f"{each.fix}; {self.__name__}.explain() lists all",
                    source=each.source,
                )
            )
        entry = Entry(structure, slots, watched.guards, executable, numbers, record)
        self._remember(key, entry)
        return entry

    def _trace(
        self,
        structure: Structure,
        slots: list[Slot],
        names: list[str],
        record: Trace,
        observation: Observation,
        static: Mapping[str, Any],
    ) -> tuple[Graph, list[Any]]:
        """Return the graph of one trace, with what was passed for each leaf."""
        graph = Graph(name=self.__name__, max_nodes=self._max_nodes)
        values: list[Any] = []
        with graph, declared_at(graph, definition_of(self.__wrapped__)):
            for slot, name in zip(slots, names, strict=True):
                if slot.type is None:
                    values.append(slot.value)
                    continue
                node = placeholder(name, slot.type.shape, slot.type.dtype)
                if slot.weak:
                    graph.weak.add(node)
                values.append(node)
        args, kwargs = unflatten(structure, values)
        state = RandomState()
        with observation.of(self.__wrapped__, static):
            run_trace(graph, self.__wrapped__, args, kwargs)
        self._check(graph)
        for generator in state.drawn(observation.outside.generators):
            note = f"{generator} was drawn from: its numbers are fixed in the graph"
            record.baked.append(f"baked {note}")
            warn(
                BakedValueWarning(
                    f"{self.__name__}: while tracing, {note}",
                    cause="a generator's state is outside the graph: a later call does not draw",
                    fix="draw with a key, sg.random_key, and pass the key as an argument",
                )
            )
        return graph, values

    def _check(self, graph: Graph) -> None:
        if not graph.outputs:
            raise GraphError(
                f"the function {self.__name__} returned no value",
                cause="only what is computed for a result is compiled, so nothing would run",
                fix="return the values that the call is to give",
            )
        for node in graph.variables:
            raise GraphError(
                f"{self.__name__} declares the variable {node.name!r} while it is traced",
                cause="each trace would make a new one, and the state would be lost in between",
                fix="pass the state as an argument and return its new value, or declare a Graph "
                "and run it in a Session",
                related=((f"{node.name} declared", node.source),),
            )

    def _remember(self, key: Any, entry: Entry) -> None:
        self._traces.append(entry.record)
        self._entries.setdefault(key, []).insert(0, entry)
        if sum(map(len, self._entries.values())) > self._max_signatures:
            oldest = next(iter(self._entries))
            self._entries[oldest].pop()
            if not self._entries[oldest]:
                del self._entries[oldest]
        if len(self._traces) > _TRACES_BEFORE_WARNING and not self._warned:
            self._warned = True
            self._warn()

    def _reason(self, key: Any, described: tuple[str, ...]) -> str:
        """Say why another trace is needed."""
        if not self._traces:
            return "first call"
        known = self._entries.get(key)
        if known:
            guard = known[0].guards.failed()
            change = guard.describe_change() if guard is not None else ""
            return f"a value read from outside changed: {change}"
        last = self._traces[-1].signature
        if len(last) != len(described):
            return f"other arguments: {', '.join(described)} after {', '.join(last)}"
        pairs = [f"{new} after {old}" for old, new in zip(last, described) if old != new]
        return f"other arguments: {'; '.join(pairs) or ', '.join(described)}"

    def _warn(self) -> None:
        spent = sum(trace.total_seconds for trace in self._traces)
        recent = self._traces[-1].reason
        if recent.startswith("a value"):
            fix = "pass the value as an argument"
        elif "(static)" in recent:
            fix = "pass numbers as arrays or plain numbers in place of static values"
        else:
            fix = (
                "pad to a few fixed shapes, or name lengths that vary, specs={...} with sg.dim; "
                "keep dtypes the same from call to call"
            )
        warn(
            RetraceWarning(
                f"{self.__name__} was traced {len(self._traces)} times, which took "
                f"{spent * 1e3:.0f} ms; last because of {recent}",
                fix=f"{fix}; {self.__name__}.explain() lists every trace",
                related=(("defined", definition_of(self.__wrapped__)),),
            )
        )

    def outside_reads(self) -> list[Read]:
        """Return what the traces read from outside, for a trace in which this ran compiled."""
        entries = itertools.chain.from_iterable(self._entries.values())
        return [guard.as_read() for entry in entries for guard in entry.guards.guards]

    # copies: the function and the options, not what was compiled ------------------------------

    def __reduce__(self) -> Any:
        """Return what a pickle holds: its name, or the function and the options.

        Raises
        ------
        PicklingError
            If the function has no name by which another process finds it.
        """
        return reduced_function(self, self.__wrapped__) or (_made_of, self._settings())

    def _settings(self) -> tuple[Any, ...]:
        settings = {
            "static_argnums": tuple(self._static),
            "max_signatures": self._max_signatures,
            "max_nodes": self._max_nodes,
            "specs": self._specs,
        }
        return self.__wrapped__, settings, self._options

    def __copy__(self) -> StaticFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> StaticFunction:
        function = deepcopy(self.__wrapped__, memo)  # a method's object is copied
        if function is self.__wrapped__:
            return self
        return _made_of(function, *self._settings()[1:])

    def explain(self) -> Explanation:
        """Return what was traced, guarded, baked and retraced, why, and what it cost."""
        with self._lock:
            for entry in itertools.chain.from_iterable(self._entries.values()):
                entry.record.checking = entry.guards.seconds()
        return Explanation(self.__name__, definition_of(self.__wrapped__), list(self._traces))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<static function {self.__name__}, {len(self._traces)} traces>"


def _made_of(
    function: Callable[..., Any], settings: Mapping[str, Any], options: Options
) -> StaticFunction:
    made = StaticFunction(function, **settings)
    made._options = options
    return made


def _plain(leaf: Any) -> Any:
    return leaf.value if type(leaf) is Static else leaf


@overload
def function(function: Callable[..., Any], **options: Any) -> StaticFunction: ...


@overload
def function(
    function: None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    max_signatures: int = 16,
    max_nodes: int = MAX_NODES,
    specs: Mapping[str, TensorType] | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], StaticFunction]: ...


def function(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] = (),
    max_signatures: int = 16,
    max_nodes: int = MAX_NODES,
    specs: Mapping[str, TensorType] | None = None,
    **options: Any,
) -> Any:
    """Return a function that is traced and compiled at its first call, once a signature.

    Parameters
    ----------
    function : callable
        It takes arrays, or trees of them, and returns nodes, or a tree of them. Left out, a
        decorator is returned.
    static_argnums : int or iterable of int
        Positional arguments whose values are part of the signature: the function sees them as they
        are, and each new value is traced anew. They must be hashable.
    max_signatures : int
        The most executables that are kept; the oldest is dropped.
    max_nodes : int
        The most nodes that one trace may declare.
    specs : mapping of str to TensorType, optional
        For arguments by name, such as ``"x"`` or ``"params['w']"``, types with symbolic dimensions:
        arrays that fit share one executable, whatever their lengths; see `dim`.
    **options
        Passed to `compile`, such as ``backend="numpy"``.

    Returns
    -------
    StaticFunction
        It takes ndarrays and gives ndarrays, in the structure that `function` returns. Its
        ``explain()`` tells what was traced, guarded and fixed, and why.

    Notes
    -----
    The signature is the shape and dtype of each array, the values of the static arguments, and how
    they are nested. A Python number is an input: it may change from call to call, and acts in the
    graph as a Python number does beside arrays: what is computed of numbers alone is what Python
    computes. One for which that is an error, a number of another type or one that does not fit the
    array beside it is traced as it is, like a static one. Anything else, such as a string, is
    static.

    Numbers, strings, functions and arrays that the function reads from closures, globals, defaults
    and attributes are guarded: when one has changed, the function is traced anew.

    Examples
    --------
    >>> import numpy as np
    >>> import staticgraph as sg
    >>> @sg.function
    ... def scaled(x, factor):
    ...     return sg.sum(x) * factor
    >>> scaled(np.ones(3, "float32"), 2.0)
    array(6., dtype=float32)
    """
    if function is None:
        settings: Mapping[str, Any] = {
            "static_argnums": static_argnums,
            "max_signatures": max_signatures,
            "max_nodes": max_nodes,
            "specs": specs,
            **options,
        }
        return functools.partial(StaticFunction, **settings)
    return StaticFunction(
        function,
        static_argnums=static_argnums,
        max_signatures=max_signatures,
        max_nodes=max_nodes,
        specs=specs,
        **options,
    )


def _checked_specs(specs: Any) -> dict[str, TensorType]:
    if not isinstance(specs, Mapping):
        raise ArgumentError(
            f"function: specs is a {type(specs).__name__}, not a dict",
            cause="a spec belongs to an argument, by its name",
            fix='write specs={"x": sg.TensorType((sg.dim("batch"), 3))}',
        )
    for name, spec in specs.items():
        if not isinstance(spec, TensorType):
            raise ArgumentError(
                f"function: the spec of {name} is a {type(spec).__name__}",
                cause="a spec says what arrays an argument may be",
                fix='write specs={"x": sg.TensorType((sg.dim("batch"), 3))}',
            )
    return dict(specs)
