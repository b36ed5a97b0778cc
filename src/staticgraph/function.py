"""function: a Python function that is traced and compiled at its first call."""

from __future__ import annotations

import functools
import inspect
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from common.errors import ArgumentError, GraphError
from common.op import EXECUTORS
from common.source import Source
from common.tree import LEAF, Structure, flatten, unflatten
from common.types import TensorType
from staticgraph.executable import Executable, compile
from staticgraph.explanation import Explanation, RetraceWarning, Trace
from staticgraph.graph import Graph
from staticgraph.guards import BakedValueWarning, Guards, RandomState, watch
from staticgraph.node import Node
from staticgraph.operands import as_array
from staticgraph.trace import MAX_NODES, argument_names, as_placeholder, run_trace, spec_type

_WEAK: dict[type, np.dtype[Any]] = {
    bool: np.dtype(np.bool_),
    int: np.dtype(np.int64),
    float: np.dtype(np.float64),
    complex: np.dtype(np.complex128),
}
"""The dtype in which a Python number reaches the graph; there it acts as a Python number."""

_RETRACES_BEFORE_WARNING = 5
_STATIC = object()
_ndarray = np.ndarray


class _Slot:
    """How one leaf of the arguments reaches the executable.

    Attributes
    ----------
    type : TensorType or None
        Of an array; None for a static leaf, which is part of the signature.
    weak : type or None
        The Python type of a number.
    value : object
        Of a static leaf.
    """

    __slots__ = ("dtype", "shape", "type", "value", "weak")

    def __init__(self, leaf: Any, static: bool) -> None:
        kind = leaf.__class__
        self.weak = None if static or kind not in _WEAK else kind
        if static:
            self.type = None
        else:
            self.type = TensorType((), _WEAK[kind]) if self.weak else spec_type(leaf)
        self.value = leaf if self.type is None else None
        self.shape = None if self.type is None else self.type.shape
        self.dtype = None if self.type is None else self.type.dtype

    @property
    def key(self) -> Any:
        """What tells this slot from others; equal and hashable."""
        if self.type is None:
            return _STATIC, self.value.__class__, self.value
        return self.weak or self.type

    def describe(self, name: str) -> str:
        """Return the slot as the report shows it."""
        if self.type is None:
            return f"{name}={self.value!r} (static)"
        return f"{name}: {self.weak.__name__ if self.weak else self.type}"


class _Entry:
    """What was compiled for one signature and one set of outside values."""

    def __init__(
        self,
        structure: Structure,
        slots: list[_Slot],
        guards: Guards,
        executable: Executable,
        dtypes: list[np.dtype[Any] | None],
        output_tree: Structure,
        record: Trace,
    ) -> None:
        self.structure = structure
        self.slots = slots
        self.guards = guards
        self.executable = executable
        self.output_tree = output_tree
        self.record = record
        # each leaf that is passed on, with the dtype to convert a Python number to
        self._passed = [
            (position, dtype)
            for position, (slot, dtype) in enumerate(zip(slots, dtypes, strict=True))
            if slot.type is not None
        ]
        arrays_only = all(slot.type is not None and slot.weak is None for slot in slots)
        children = structure[2][0][2]
        self.flat = arrays_only and len(slots) == len(children) and not structure[2][1][2]
        self.types = [(slot.shape, slot.dtype) for slot in slots]

    def run(self, leaves: Any) -> Any:
        """Run on the leaves of the arguments and arrange the results as the function did."""
        if not self.flat:
            leaves = [
                leaves[position] if dtype is None else np.asarray(leaves[position], dtype)
                for position, dtype in self._passed
            ]
        self.record.calls += 1
        results = self.executable(*leaves)
        tree = self.output_tree
        if tree is LEAF:
            return results[0]
        return unflatten(tree, results)


class StaticFunction:
    """A function that is traced and compiled once a signature; see `function`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        static_argnums: int | Iterable[int] = (),
        max_signatures: int = 16,
        max_nodes: int = MAX_NODES,
        **options: Any,
    ) -> None:
        if not callable(function):
            raise ArgumentError(
                f"function was given a {type(function).__name__}",
                cause="it traces a Python function",
                fix="write @sg.function above a def, or sg.function(f)",
            )
        self.function = function
        self.__wrapped__ = function
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.__doc__ = function.__doc__
        single = isinstance(static_argnums, int)
        self._static = frozenset((static_argnums,) if single else static_argnums)  # type: ignore[arg-type]
        self._max_signatures = max_signatures
        self._max_nodes = max_nodes
        self._options = options
        self._entries: dict[Any, list[_Entry]] = {}
        self._recent: _Entry | None = None
        self._traces: list[Trace] = []
        self._lock = threading.RLock()
        self._warned = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the compiled function; trace and compile it first where that was not done yet."""
        entry = self._recent
        if entry is not None and entry.flat and not kwargs and len(args) == len(entry.types):
            for x, (shape, dtype) in zip(args, entry.types):  # noqa: B905  checked above; hot path
                if type(x) is not _ndarray or x.shape != shape or x.dtype != dtype:
                    break
            else:
                if entry.guards.failed() is None:
                    return entry.run(args)
        return self._find(args, kwargs)

    def _find(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run on arguments of any kind."""
        leaves, structure = flatten((self._hide_static(args), kwargs))
        if any(type(x) is Node for x in leaves):
            return self.function(*args, **kwargs)  # inside another trace it is part of that graph
        slots = [
            _Slot(x.value, True) if type(x) is _Hidden else _Slot(x, False) for x in leaves
        ]
        leaves = [x.value if type(x) is _Hidden else x for x in leaves]
        key = (structure, *[slot.key for slot in slots])
        try:
            known = self._entries.get(key, [])
        except TypeError:
            raise self._unhashable(structure, slots) from None
        for entry in known:
            if entry.guards.failed() is None:
                self._recent = entry
                return entry.run(leaves)
        with self._lock:
            entry = self._build(key, structure, slots, leaves)
        return entry.run(leaves)

    def _hide_static(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the arguments with those of `static_argnums` as single leaves."""
        if not self._static:
            return args
        count = len(args)
        return tuple(
            [
                _Hidden(x) if i in self._static or i - count in self._static else x
                for i, x in enumerate(args)
            ]
        )

    def _build(
        self, key: Any, structure: Structure, slots: list[_Slot], leaves: list[Any]
    ) -> _Entry:
        """Trace and compile for one signature."""
        names = argument_names(self.function, structure)
        signature = tuple(slot.describe(n) for slot, n in zip(slots, names, strict=True))
        record = Trace(signature, self._reason(key, signature))
        started = time.perf_counter()
        static = {n: s.value for n, s in zip(names, slots, strict=True) if s.type is None}
        watched = watch(self.function, static)
        graph = Graph(name=self.__name__, max_nodes=self._max_nodes)
        inputs = _trace_into(graph, self.function, structure, slots, names)
        traced = time.perf_counter()
        placeholders = [x for x in inputs if isinstance(x, Node)]
        fed = [_feed_of(graph, node) for node in placeholders]
        executable = compile(graph.outputs, inputs=fed, **self._options)
        graph.finalize()
        compiled = time.perf_counter()
        record.nodes = len(graph)
        record.seconds = {"trace": traced - started, "compile": compiled - traced}
        record.guards = list(map(str, watched.guards.guards))
        record.baked = list(map(str, watched.baked))
        record.effects = watched.effects
        given = dict(zip(map(id, placeholders), fed, strict=True))
        dtypes = [
            given[id(node)].dtype if slot.weak is not None or _is_generic(leaf) else None
            for node, slot, leaf in zip(inputs, slots, leaves, strict=True)
        ]
        entry = _Entry(
            structure, slots, watched.guards, executable, dtypes, graph.output_tree, record
        )
        self._remember(key, entry)
        return entry
