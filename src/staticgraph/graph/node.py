"""Node: one value of a declared graph, not known before the graph runs."""

from __future__ import annotations

import operator
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NoReturn

import numpy as np

from oplibrary.executors.numpy.protocols import call_on_numbers, call_ufunc
from oplibrary.executors.operators import NUMBER_OPERATORS, ArrayOperators
from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.movement import clone
from oplibrary.ops.numbers import number_array
from oplibrary.values.data import to_dlpack
from oplibrary.values.types import NUMBERS, Array, number_kind
from staticgraph.graph import symbolic
from staticgraph.graph.declaration import Declaration
from staticgraph.graph.dimension import symbolic_shape
from staticgraph.graph.graph_ops import CONSTANT, STOP_GRADIENT, VARIABLE
from staticgraph.graph.number_ranges import require_number
from staticgraph.program.polynomial import is_symbolic
from staticgraph.program.program import Variable
from staticgraph.program.upcall import Upcall

declare_assign: Upcall[[Node, Any], Node] = Upcall("staticgraph.declare.build")
"""Declare that a run leaves a value in a variable."""

load_variable: Upcall[[Node, Any], None] = Upcall("staticgraph.declare.build")
"""Set what a variable holds from now on."""

lies_in_order: Upcall[[Node], bool | None] = Upcall("staticgraph.declare.node_layouts")
"""Tell whether the elements lie in row-major order in the dynamic executor; None if unknown."""


class Node(Declaration, ArrayOperators):
    """Stand for one value of a graph: the result of an op, or an input, a constant, a variable.

    Nodes are made by declaring: `placeholder`, `variable`, `constant` and every op and function of
    the library. Operators, methods and NumPy's functions on nodes declare further nodes. A node
    has a shape and a dtype, and no number before the graph runs: whatever asks for one raises an
    error with the user's line and the rewrite.

    Its attributes are those of a `Declaration`.
    """

    __slots__ = ()

    operands: tuple[Node, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes; a `Dim` for one that each run chooses."""
        shape = self.type.shape
        return symbolic_shape(shape) if is_symbolic(shape) else shape

    @property
    def value(self) -> Array:
        """What a variable holds now, or the elements of a constant; read-only.

        Raises
        ------
        SymbolicValueError
            If the node is neither.
        """
        if self.op is VARIABLE:
            value: Array = self.attrs["variable"].stored.view()
            value.flags.writeable = False
            return value
        if self.op is CONSTANT:
            return self.attrs["value"]  # type: ignore[no-any-return]
        raise symbolic.no_value(self, "value")

    @value.setter
    def value(self, value: Any) -> None:
        load_variable(self, value)

    @property
    def variable(self) -> Variable | None:
        """The state behind a variable node; None for any other."""
        return self.attrs["variable"] if self.op is VARIABLE else None

    def __format__(self, spec: str) -> str:
        if spec:
            raise symbolic.no_value(self, f"format(..., {spec!r})")
        return repr(self)

    # what needs the graph only ------------------------------------------------------------------

    def assign(self, value: Any) -> Node:
        """Declare that a run which computes the returned node leaves `value` in this variable."""
        return declare_assign(self, value)

    def detach(self) -> Node:
        """Return the same value, cut off from what it was computed from; see `stop_gradient`."""
        node: Node = STOP_GRADIENT(self)
        return node

    def clone(self) -> Node:
        """Return a copy, which no in-place change of this node reaches."""
        node: Node = clone(self)
        return node

    def contiguous(self) -> Node:
        """Return this node, or a copy where its elements do not lie in row-major order."""
        in_order = lies_in_order(self)
        if in_order:
            return self
        copy = self.clone()
        if in_order is None:
            copy.graph.shared[copy] = "it may be the array itself, if that lies in row-major order"
        return copy

    def _part(self, copy: Node) -> Node:
        if self in self.graph.weak:  # a number's part is one
            self.graph.weak.add(copy)
            return copy
        copy.graph.shared[copy] = "it is a copy of a part of numbers that would not change"
        return copy

    def __round__(self, ndigits: Any = None) -> Any:
        kind = number_kind(self)
        if kind is not float:
            return super().__round__(ndigits) if kind is None or ndigits is not None else +self
        if ndigits is not None:
            raise ArgumentError(
                f"round({self.name}, {ndigits}) of a Python number",
                cause="Python rounds its decimal digits, which no array of binary digits has",
                fix="round an array of it: NumPy's round takes the digits, too",
            )
        usual = super().__round__
        return _number_of(round, (self,), lambda: number_array(usual(), np.int64))

    def __len__(self) -> int:
        if not self.type.shape or is_symbolic(self.type.shape[0]):
            raise symbolic.no_length(self)
        return self.type.shape[0]

    def __iter__(self) -> Any:
        if not self.type.shape or is_symbolic(self.type.shape[0]):
            raise symbolic.no_length(self)
        return super().__iter__()

    def __reduce__(self) -> Any:
        return _node_of, (self.graph, self.name)

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        return self

    # NumPy's functions --------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            if all(type(x) is not Node or _is_number(x) for x in inputs):
                return call_on_numbers(ufunc, inputs)
            return call_ufunc(ufunc, inputs)
        from oplibrary.executors.numpy.ufuncs import call_ufunc_with

        for out in kwargs.get("out", ()):
            if isinstance(out, np.ndarray):
                raise symbolic.no_out(self, f"numpy.{ufunc.__name__}")
        return call_ufunc_with(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from oplibrary.executors.numpy.functions import call_function

        return call_function(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise symbolic.no_array(self)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if self.op is not CONSTANT:
            raise symbolic.no_array(self)
        array: Array = self.attrs["value"]
        return to_dlpack(
            array, stream=stream, max_version=max_version, dl_device=dl_device, copy=copy
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        if self.op is not CONSTANT:
            raise symbolic.no_array(self)
        return self.attrs["value"].__dlpack_device__()  # type: ignore[no-any-return]

    # what needs a number ------------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        raise symbolic.no_truth(self)

    def __int__(self) -> NoReturn:
        raise symbolic.no_number(self, "int")

    def __index__(self) -> NoReturn:
        if self.type.shape:
            raise symbolic.no_index(self)
        raise symbolic.no_number(self, "index")

    def __float__(self) -> NoReturn:
        raise symbolic.no_number(self, "float")

    def __complex__(self) -> NoReturn:
        raise symbolic.no_number(self, "complex")

    def __contains__(self, value: Any) -> NoReturn:
        raise symbolic.no_membership(self)

    def item(self, *_index: Any) -> NoReturn:
        """Raise: there is no number yet."""
        raise symbolic.no_value(self, "item()")

    def tolist(self) -> NoReturn:
        """Raise: there are no numbers yet."""
        raise symbolic.no_value(self, "tolist()")

    def numpy(self) -> NoReturn:
        """Raise: there are no numbers yet."""
        raise symbolic.no_value(self, "numpy()")

    def backward(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: gradients are declared with `gradients`."""
        raise symbolic.no_backward(self)

    def __getattr__(self, name: str) -> NoReturn:
        raise symbolic.no_attribute(self, name)


def _node_of(graph: Any, name: str) -> Any:
    return graph.node(name)


def _identity_for_networkx(op_method: Any, same: bool) -> Any:
    def method(self: Node, other: Any) -> Any:
        if symbolic.asked_by_networkx():
            return (self is other) is same
        return op_method(self, other)

    method.__name__ = op_method.__name__
    method.__doc__ = op_method.__doc__
    return method


def _is_number(x: Node) -> bool:
    """Tell whether `x` acts as a Python number; what is made of lengths alone is to stay one."""
    return x in x.graph.weak and x not in x.graph.lengths


_KINDS: dict[str, type] = {"b": bool, "i": int, "f": float, "c": complex}


def _number_kind(x: Node) -> type | None:
    return _KINDS[x.dtype.kind] if x in x.graph.weak else None


NUMBERS[Node] = _number_kind


_OF_TRUTH_VALUES = frozenset({f"__{r}{name}__" for name in ("and", "or", "xor") for r in ("", "r")})
"""The operators of which Python makes a truth value of two."""


def _operator(name: str) -> Any:
    """Return an operator that makes a number of numbers, as Python's do, and an array of others."""
    reflected = name.startswith("__r") and name != "__rshift__"
    plain = f"__{name[3:]}" if reflected else name
    python = _conjugate if name == "conjugate" else getattr(operator, plain)

    def method(self: Node, *others: Any) -> Any:
        usual = getattr(ArrayOperators, name)
        if self not in self.graph.weak:
            return usual(self, *others)
        kinds = {number_kind(x) for x in (self, *others)}
        if None in kinds or len(others) > 1:
            return usual(self, *others)

        def declare() -> Any:
            if kinds == {bool} and name not in _OF_TRUTH_VALUES:  # True + True is 2
                return usual(number_array(self, np.int64), *others)
            if name == "__pow__" and type(others[0]) is int and others[0] < 0:  # a float of an int
                return usual(number_array(self, np.result_type(self.dtype, np.float64)), *others)
            return usual(self, *others)

        return _number_of(python, (*others, self) if reflected else (self, *others), declare)

    method.__name__ = name
    method.__qualname__ = f"Node.{name}"
    return method


def _conjugate(x: Any) -> Any:
    return x.conjugate()


def _number_of(
    python: Callable[..., Any], operands: tuple[Any, ...], declare: Callable[[], Any]
) -> Any:
    """Return what `declare` makes of numbers as a number, and note what Python makes of them.

    It is declared where the numbers are, around a branch or a loop that computes with them.
    """
    graphs = [x.graph for x in operands if type(x) is Node]
    owner = graphs[0].innermost_around(graphs)
    with owner or nullcontext():
        result = declare()
        require_number(python, operands, _KINDS[result.dtype.kind])
    result.graph.weak.add(result)
    if all(x is not result for x in operands):
        result.graph.made_of_numbers[result] = (python, operands)
    return result


for _name in NUMBER_OPERATORS:
    setattr(Node, _name, _operator(_name))
# graph algorithms compare nodes with ==, and mean identity
Node.__eq__ = _identity_for_networkx(Node.__eq__, True)  # type: ignore[method-assign]
Node.__ne__ = _identity_for_networkx(Node.__ne__, False)  # type: ignore[method-assign]
Node.__hash__ = object.__hash__  # type: ignore[method-assign]
