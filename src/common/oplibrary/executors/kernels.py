"""What runs the ops: NumPy's kernels, or machine code that is made of the records.

`Op.run` is what executors call. It is the op's kernel, until `set_kernels` puts there what makes
machine code: a function of the op for the types and layouts of its operands, made when they are
first met, kept, and found again on disk by later processes. Gradient rules that are elementwise
become one function each. Small operands stay with NumPy, and so does what has no machine code;
`kernels_report` says what and why.

Which kernel runs depends on the types and layouts alone, so executors that run op by op give the
same bits in either make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from threading import RLock
from typing import Any, Protocol, Self

import numpy as np
from numpy import ndarray

from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.messages.errors import ArgumentError
from oplibrary.values.keys import exact_key
from oplibrary.values.types import Array, TensorType

LARGE = 4096
"""Elements of the largest operand from which on machine code is made."""
MOST_SIGNATURES = 512
"""How many functions of an op, or rule, are kept at once."""
MAKES = {"numpy": "", "machine": "staticgraph.compiler.machine_kernels"}
"""The makes, and the module of each that makes something; imported when it is first chosen."""

FOLLOWERS: list[Callable[[], None]] = []
"""What executors that hold on to `Op.run` want to be called after each change."""

UNLIKE = "not elementwise"
"""Why a gradient rule is no function of its own: each of the ops in it has one."""

Function = Callable[..., Any]


class Maker(Protocol):
    """What makes functions of a make: ``MAKER`` of its module."""

    def __call__(
        self, function: Function, types: Sequence[TensorType], elementwise: bool
    ) -> Function | str:
        """Return what computes `function` of row-major arrays of these types, or why there is none.

        Parameters
        ----------
        function : callable
            Declares a value, given nodes.
        types : sequence of TensorType
        elementwise : bool
            Whether nothing else is made; the reason is `UNLIKE` then.
        """
        ...

    def require(self) -> None:
        """Raise a `BackendError` if nothing can be made here."""
        ...


class _Choice:
    """The make in force.

    Attributes
    ----------
    name : str
    maker : Maker or None
        None for NumPy's kernels.
    left : dict of str to str
        What was left to NumPy, and why.
    made : int
        How many functions were made.
    """

    def __init__(self) -> None:
        self.name = "numpy"
        self.maker: Maker | None = None
        self.left: dict[str, str] = {}
        self.made = 0
        self.lock = RLock()


choice = _Choice()


class set_kernels:
    """Choose what runs the ops, in this process: at once, and until the end of a ``with`` block.

    Parameters
    ----------
    make : {"numpy", "machine"}
        NumPy's kernels, or machine code for operands of 4,096 elements and more, made of the same
        records when they are first met. Its rounding is that of the native backend. It needs the
        extra ``native``. Static programs run so by ``backend="interpret"``, and by
        ``backend="numpy"`` if they are compiled so, and give the same bits as dyngraph.

    Raises
    ------
    ArgumentError
        If there is no such make.
    BackendError
        If machine code cannot be made here.

    Examples
    --------
    >>> import dyngraph as dg
    >>> x = dg.ones((128, 128))
    >>> with dg.set_kernels("machine"):
    ...     y = dg.sum(x + x)
    >>> y
    tensor(32768.)
    """

    def __init__(self, make: str) -> None:
        if not isinstance(make, str) or make not in MAKES:
            raise ArgumentError(
                f"there are no kernels {make!r}",
                cause=f"the makes are {', '.join(map(repr, MAKES))}",
                fix='choose one of them, for example set_kernels("machine")',
            )
        self._before = choice.name
        _choose(make)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        _choose(self._before)


def _choose(make: str) -> None:
    with choice.lock:
        maker: Maker | None = None
        if MAKES[make]:
            maker = import_module(MAKES[make]).MAKER
            maker.require()
        choice.name, choice.maker = make, maker
        for op in REGISTRY.values():
            run = op.kernel if maker is None or not _may_be_made(op) else _kernel_of(op)
            object.__setattr__(op, "run", run)
        for follow in FOLLOWERS:
            follow()


def kernels_report() -> str:
    """Return as text which kernels are in force, and what was left to NumPy.

    Examples
    --------
    >>> import dyngraph as dg
    >>> print(dg.kernels_report())  # doctest: +SKIP
    kernels    machine; 12 functions were made
    left to NumPy: polygamma float32[100,100]: opaque has no loops here
    """
    lines = [f"kernels    {choice.name}; {choice.made} functions were made"]
    return "\n".join(lines + [f"left to NumPy: {what}: {why}" for what, why in choice.left.items()])


def _may_be_made(op: Op) -> bool:
    """Tell whether `op` computes anything that machine code could compute quicker."""
    computes = op.kind in (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.CONTRACTION, Kind.OPAQUE)
    return computes and not (op.view or op.effect or op.control)


_kernels: dict[Op, Function] = {}
_missing: Any = object()


def _kernel_of(op: Op) -> Function:
    if op not in _kernels:
        _kernels[op] = _machine_kernel(op)
    return _kernels[op]


def _machine_kernel(op: Op) -> Function:
    """Return what runs `op` on arrays by machine code, where there is some."""
    kernel = op.kernel
    contracts = op.kind is Kind.CONTRACTION
    functions: dict[Any, Function | None] = {}

    def run(*operands: Any, **attrs: Any) -> Any:
        for x in operands:
            if type(x) is ndarray and x.size >= LARGE:
                break
        else:
            return kernel(*operands, **attrs)
        given: list[Array] = []
        key: list[Any] = []
        for x in operands:
            if type(x) is not ndarray:
                return kernel(*operands, **attrs)
            array, turned = _in_order(x, contracts)
            if array is None:
                return kernel(*operands, **attrs)
            given.append(array)
            key += (array.shape, array.dtype, turned)
        turns = key[2::3]
        if attrs:
            key.append(exact_key(attrs))
        signature = tuple(key)
        try:
            function = functions.get(signature, _missing)
        except TypeError:  # an attribute that cannot be hashed
            return kernel(*operands, **attrs)
        if function is _missing:
            function = _enter(functions, signature, _made_kernel(op, given, turns, attrs))
        if function is None:
            return kernel(*operands, **attrs)
        try:
            return function(*given)
        except Exception as error:
            result = kernel(*operands, **attrs)  # which says what is wrong with the operands
            functions[signature] = None
            _leave(op.name, [TensorType(x.shape, x.dtype) for x in given], repr(error))
            return result

    if op.attrs or op.arity not in (1, 2):
        return run
    return (
        _quick_unary(kernel, run, functions)
        if op.arity == 1
        else _quick_binary(kernel, run, functions)
    )


def _quick_unary(
    kernel: Function, run: Function, functions: Mapping[Any, Function | None]
) -> Function:
    """Return what does what `run` does with one operand, in less time."""

    def run_unary(x: Any) -> Any:
        if type(x) is not ndarray or x.size < LARGE:
            return kernel(x)
        if x.flags.c_contiguous:
            function = functions.get((x.shape, x.dtype, False))
            if function is not None:
                return function(x)
        return run(x)

    return run_unary


def _quick_binary(
    kernel: Function, run: Function, functions: Mapping[Any, Function | None]
) -> Function:
    """Return what does what `run` does with two operands, in less time."""

    def run_binary(x: Any, y: Any) -> Any:
        if type(x) is not ndarray or type(y) is not ndarray or x.size < LARGE > y.size:
            return kernel(x, y)
        if x.flags.c_contiguous and y.flags.c_contiguous:
            function = functions.get((x.shape, x.dtype, False, y.shape, y.dtype, False))
            if function is not None:
                return function(x, y)
        return run(x, y)

    return run_binary


def _in_order(x: Array, contracts: bool) -> tuple[Array | None, bool]:
    """Return `x` in row-major order, and whether its last two axes changed places for that.

    A slice, or what is spread over an axis, is copied. None is returned where the axes lie in
    another order: NumPy's results then have that order, too, but for a few products of matrices.
    """
    if x.flags.c_contiguous:
        return x, False
    if contracts and x.ndim > 1 and x.mT.flags.c_contiguous:
        return x.mT, True
    if not contracts or x.ndim > 3:
        last = None
        for n, stride in zip(x.shape, x.strides):
            if n != 1 and stride:
                if last is not None and abs(stride) > last:
                    return None, False
                last = abs(stride)
    return np.ascontiguousarray(x), False


def _enter(
    functions: dict[Any, Function | None], signature: Any, function: Function | None
) -> Function | None:
    if len(functions) >= MOST_SIGNATURES:
        functions.clear()
    functions[signature] = function
    return function


def _made_kernel(
    op: Op, arrays: Sequence[Array], turned: Sequence[bool], attrs: Mapping[str, Any]
) -> Function | None:
    def declare(*nodes: Any) -> Any:
        return op(*[x.mT if turn else x for x, turn in zip(nodes, turned, strict=True)], **attrs)

    return _make(op.name, declare, [TensorType(x.shape, x.dtype) for x in arrays])


def _make(
    what: str, declare: Function, types: Sequence[TensorType], elementwise: bool = False
) -> Function | None:
    """Return a function of arrays of these types, or None after entering why there is none."""
    maker = choice.maker
    if maker is None:  # chosen anew meanwhile, by another thread
        return None
    found: Function | str = "no elements"
    if all(type_.size for type_ in types):
        found = maker(declare, types, elementwise)
    if found == UNLIKE:
        return None
    if isinstance(found, str):
        _leave(what, types, found)
        return None
    choice.made += 1
    return found


def _leave(what: str, types: Sequence[TensorType], why: str) -> None:
    """Enter into the report what is left to NumPy."""
    if len(choice.left) < MOST_SIGNATURES:
        choice.left[" ".join([what, *map(repr, types)])] = why


# gradient rules -----------------------------------------------------------------------------------


def meets_large(values: Sequence[Any]) -> bool:
    """Tell whether a rule that reads these arrays and types works on what is large."""
    return any(x.size >= LARGE for x in values if x is not None)


_rules: dict[Any, Function | None] = {}
_unlike: set[tuple[Op, int]] = set()
"""The rules of which some call had no function, which saves the others the look."""


def fused_gradient(
    op: Op,
    position: int,
    g: Array,
    out: Any,
    operands: Sequence[Any],
    attrs: Mapping[str, Any],
) -> Any:
    """Return the gradient of one operand by one function, or None where there is none.

    Parameters
    ----------
    op : Op
    position : int
        Of the operand.
    g, out, operands
        What its rule reads: arrays, types or None.
    attrs : mapping
    """
    if (op, position) in _unlike:
        return None
    given: list[Array] = []
    key: list[Any] = [op, position]
    for x in (g, out, *operands):
        if type(x) is ndarray:
            array, _ = _in_order(x, False)
            if array is None:
                return None
            given.append(array)
            key += (array.shape, array.dtype)
        elif x is None or type(x) is TensorType:
            key.append(x)
        else:
            return None
    if attrs:
        key.append(exact_key(attrs))
    signature = tuple(key)
    try:
        function = _rules.get(signature, _missing)
    except TypeError:
        return None
    if function is _missing:
        function = _made_rule(op, position, (g, out, *operands), attrs)
        if function is None:
            _unlike.add((op, position))
        _enter(_rules, signature, function)
    return None if function is None else function(*given)


def _made_rule(
    op: Op, position: int, values: Sequence[Any], attrs: Mapping[str, Any]
) -> Function | None:
    rule = op.operand_rule(position)
    assert rule is not None
    first = (position,) if op.arity is None else ()

    def declare(*nodes: Any) -> Any:
        rest = iter(nodes)
        return rule.rule(
            *first, *[next(rest) if type(x) is ndarray else x for x in values], **attrs
        )

    types = [TensorType(x.shape, x.dtype) for x in values if type(x) is ndarray]
    return _make(f"gradient of {op.name}", declare, types, elementwise=True)
