"""Run an operation now and record it: the hot path, and nothing else.

Operations of one and of two operands have an entry of fixed arity, made once an op: to find
operands in ``*args, **kwargs`` would cost more than everything else here together. What is passed
beyond them is collected for nothing but to be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np

from dyngraph.engine.hooks import pack_saved
from dyngraph.tape.grad_mode import is_anomaly_enabled, is_grad_enabled, recorder, special
from dyngraph.tape.hooks import saved_hooks
from dyngraph.tape.nodes import (
    BinaryGradFn,
    Extra,
    GeneralGradFn,
    GradFn,
    TapeNode,
    UnaryGradFn,
    grad_fn_type,
    tick,
)
from dyngraph.tape.versions import storage_of
from dyngraph.tensors.conversion import numeric, wrap
from dyngraph.tensors.tensor import Tensor, tensor_of
from oplibrary.core.dispatch import ENTRIES, EXECUTORS, HELD, executor_of
from oplibrary.core.op import Kind, Op, OperandRule
from oplibrary.core.refusals import explain, kind_of
from oplibrary.core.registry import REGISTRY, named_as
from oplibrary.executors.kernels import FOLLOWERS
from oplibrary.executors.python_numbers import ints_are_indices
from oplibrary.messages.errors import ArgumentError, DTypeError, SideBySideError
from oplibrary.messages.source import user_source
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.values.dtypes import FLOATING, PLAIN_NUMBERS
from oplibrary.values.types import (
    Array,
    TensorType,
    fit_scalar,
    is_scalar,
    plain_number,
    type_of_array,
)

ndarray = np.ndarray
asarray = np.asarray
_INT64 = np.dtype(np.int64)

_MISSING: Any = object()
"""Stands for an operand that was not passed: a default costs nothing where all are passed."""

_scalars: dict[Any, Array] = {}
_SCALARS_KEPT = 1024


def _scalar(value: Any, dtype: np.dtype[Any]) -> Array:
    """Return Python scalar `value` as the 0-d array it acts as beside `dtype`.

    NumPy needs twice as long for an operation with a Python scalar as with a 0-d array.
    """
    key = (value, type(value), dtype.num)
    array = _scalars.get(key)
    if array is None:
        array = fit_scalar(value, (dtype,))
        if value == 0 or value != value or type(value) is complex:  # 0.0 and -0.0 are one key
            return array
        if len(_scalars) >= _SCALARS_KEPT:
            _scalars.clear()
        _scalars[key] = array
    return array


def _scalar_of_any_size(value: Any, dtype: np.dtype[Any]) -> Array:
    """Return what `_scalar` does, and a wider array where a comparison can take one."""
    try:
        return _scalar(value, dtype)
    except DTypeError:
        return asarray(value)


def _truth_of_any_size(value: Any, dtype: np.dtype[Any]) -> Array:
    """Return what `_scalar` does, and a truth value where the number fits no dtype."""
    try:
        return _scalar(value, dtype)
    except DTypeError:
        return asarray(bool(value))


_BEYOND = 2**70
"""A number that no dtype holds."""


def _for_any_size(op: Op) -> Callable[[Any, np.dtype[Any]], Array]:
    """Return what makes an array of a number of any size beside one of a comparison's operands."""
    try:
        compared = op.kernel(asarray(1), asarray(_BEYOND)).dtype == np.bool_
    except (TypeError, AttributeError):
        compared = False
    return _scalar_of_any_size if compared else _truth_of_any_size


def _compares(op: Op) -> bool:
    """Tell whether the result of `op` is a truth value, so that no operand need fit the other."""
    number = TensorType(())
    try:
        return op.arity == 2 and op.infer(number, number).dtype == np.bool_
    except (SideBySideError, TypeError):
        return False


def annotate(node: GradFn) -> None:
    """Remember the user's line in anomaly mode; enter the node where nodes are collected."""
    if is_anomaly_enabled():
        node.extra = Extra()
        node.extra.source = user_source()
    collected = recorder()
    if collected is not None:
        collected.append(node)
    hooks = saved_hooks()
    if hooks is not None and node.operands is not None:
        pack_saved(node, hooks)


def make_unary(op: Op) -> Callable[[Any], Any]:
    """Return the entry of an elementwise op of one operand."""
    kernel = op.run

    def follow() -> None:
        nonlocal kernel
        kernel = op.run

    FOLLOWERS.append(follow)
    rule = op.rules[0] if op.rules else None
    differentiable = rule is not None
    saves_x = rule is not None and rule.operands[0] == "value"
    saves_out = rule is not None and rule.out == "value"
    assert rule is None or {rule.out, *rule.operands} <= {"", "value"}, op.name
    node_type = grad_fn_type(op, UnaryGradFn)
    nothing = (None,)

    def apply(x: Any = _MISSING, *rest: Any, **named: Any) -> Any:
        if rest or named:
            return misspelled(op, (x, *rest), named)
        if type(x) is not Tensor:
            return lift(op, (x,), {})
        array = x._array
        try:
            result = kernel(array)
        except Exception as error:
            raise explain(op, (x,), {}, error) from None
        if type(result) is not ndarray:
            result = asarray(result)
        out = Tensor()
        out._array = result
        edge = x._node
        if edge is None or not differentiable or (special.count and not is_grad_enabled()):
            out._node = None
            return out
        node = node_type()
        node.edges = (edge,)
        node.out = result if saves_out else None
        node.operands = (array,) if saves_x else nothing
        node.extra = None
        node.sequence = tick()
        if special.count:
            annotate(node)
        out._node = node
        return out

    return named_as(op, apply)  # type: ignore[no-any-return]


def make_binary(op: Op) -> Callable[[Any, Any], Any]:
    """Return the entry of an elementwise op of two operands."""
    kernel = op.run

    def follow() -> None:
        nonlocal kernel
        kernel = op.run

    FOLLOWERS.append(follow)
    rule_x, rule_y = op.rules or (None, None)
    differentiable = rule_x is not None or rule_y is not None
    # what is kept if x, y or both need a gradient: by name, "value", "type" or ""
    needs_x, needs_y, needs_both = _needs(rule_x), _needs(rule_y), _needs(rule_x, rule_y)
    saves_nothing = not any(needs_both)
    saves_both = needs_both == ("", "value", "value")
    node_type = grad_fn_type(op, BinaryGradFn)
    to_array = _for_any_size(op) if _compares(op) else _scalar
    nothing = (None, None)

    def apply(x: Any = _MISSING, y: Any = _MISSING, *rest: Any, **named: Any) -> Any:
        if rest or named:
            return misspelled(op, (x, y, *rest), named)
        weak = False  # whether one operand is a Python number, which no gradient needs fitting for
        if type(x) is Tensor:
            x_array = x._array
            x_edge = x._node
            if type(y) is Tensor:
                y_array = y._array
                y_edge = y._node
            elif type(y) in _WEAK:
                y_array = to_array(y, x_array.dtype)
                y_edge = None
                weak = True
            else:
                return lift(op, (x, y), {})
        elif type(x) in _WEAK and type(y) is Tensor:
            y_array = y._array
            y_edge = y._node
            x_array = to_array(x, y_array.dtype)
            x_edge = None
            weak = True
        else:
            return lift(op, (x, y), {})
        try:
            result = kernel(x_array, y_array)
        except Exception as error:
            raise explain(op, (x, y), {}, error) from None
        if type(result) is not ndarray:
            result = asarray(result)
        out = Tensor()
        out._array = result
        if (
            (x_edge is None and y_edge is None)
            or not differentiable
            or (special.count and not is_grad_enabled())
        ):
            out._node = None
            return out
        node: Any = node_type()
        node.edges = (x_edge, y_edge)
        if saves_nothing:
            node.out = None
            node.operands = nothing
        elif saves_both and x_edge is not None and y_edge is not None:  # a product, say
            node.out = None
            node.operands = (x_array, y_array)
        else:
            need_out, need_x, need_y = (
                needs_x if y_edge is None else needs_y if x_edge is None else needs_both
            )
            node.out = result if need_out else None
            node.operands = (
                x_array if need_x == "value" else type_of_array(x_array) if need_x else None,
                y_array if need_y == "value" else type_of_array(y_array) if need_y else None,
            )
        if weak or (x_array.shape == y_array.shape and x_array.dtype is y_array.dtype):
            node.types = None
        else:
            node.types = (type_of_array(x_array), type_of_array(y_array))
        node.extra = None
        node.sequence = tick()
        if special.count:
            annotate(node)
        out._node = node
        return out

    return named_as(op, apply)  # type: ignore[no-any-return]


def _needs(*rules: OperandRule | None) -> tuple[str, ...]:
    """Return what the rules together read of the result, of x and of y."""
    found = [(rule.out, *rule.operands) for rule in rules if rule is not None]
    return tuple(map(max, zip(*found))) if found else ("", "", "")  # "value" > "type" > ""


_WEAK = frozenset({float, int, bool})
_DIRECT: frozenset[type] = frozenset({*_WEAK, Tensor})


_node_types: dict[Op, type[GradFn]] = {}


def node_type_of(op: Op) -> type[GradFn]:
    """Return the node class of an op whose entry has no fixed arity."""
    node_type = _node_types.get(op)
    if node_type is None:
        node_type = _node_types[op] = grad_fn_type(op, GeneralGradFn)
    return node_type


def make_attributed(op: Op) -> Callable[..., Any]:
    """Return the entry of an op of one operand and some attributes."""
    kernel = op.run

    def follow() -> None:
        nonlocal kernel
        kernel = op.run

    FOLLOWERS.append(follow)
    rule = op.rules[0] if op.rules else None
    (need_out, need_x, *_) = _needs(rule)
    node_type = node_type_of(op)
    bind = op.bind_attrs

    def apply(*args: Any, **kwargs: Any) -> Any:
        if not args or type(args[0]) is not Tensor:
            return call_by_name(op, apply, args, kwargs)
        x = args[0]
        try:
            attrs = bind(args[1:], kwargs)
        except ArgumentError:
            attrs = None
        if attrs is None:
            return call_by_name(op, apply, args, kwargs)
        array = x._array
        try:
            result = kernel(array, **attrs)
        except Exception as error:
            raise explain(op, (x,), attrs, error) from None
        if type(result) is not ndarray:
            result = asarray(result)
        out = Tensor()
        out._array = result
        edge = x._node
        if (
            edge is None
            or rule is None
            or result.dtype.kind not in FLOATING
            or (special.count and not is_grad_enabled())
        ):
            out._node = None
        else:
            node: Any = node_type()
            node.edges = (edge,)
            node.out = _keep(result, need_out)
            node.operands = (_keep(array, need_x),)
            node.types = None
            node.attrs = attrs
            node.extra = None
            node.sequence = tick()
            if special.count:
                annotate(node)
            out._node = node
        if op.view and (result.base is array or _shares(result, array)):
            out._parent = (x, op, attrs)
            x._remember_view(out)
        return out

    return named_as(op, apply)  # type: ignore[no-any-return]


def _shares(result: Array, array: Array) -> bool:
    """Tell whether the result of a view op is one: a reshape may have to copy."""
    return storage_of(result) is storage_of(array)


def apply_general(op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Run an op of any arity with any attributes, and record it."""
    fast = FAST[op]
    if fast is not None:
        kinds = set(map(type, operands))
        if Tensor in kinds and kinds <= _DIRECT:  # else the quick entry would come back here
            return fast(*operands, **attrs)
    arrays, edges, tracked = unwrap(op, operands, attrs)
    try:
        result = op.run(*arrays, **attrs)
    except Exception as error:
        raise explain(op, operands, attrs, error) from None
    if type(result) is tuple:
        return tuple(tensor_of(array) for array in result)
    if type(result) is not ndarray:
        result = asarray(result)
    out = Tensor()
    out._array = result
    out._node = None
    if tracked and op.rules and is_grad_enabled() and result.dtype.kind in FLOATING:
        out._node = record(op, arrays, edges, attrs, result)
    if op.view and type(operands[0]) is Tensor and _shares(result, operands[0]._array):
        out._parent = (operands[0], op, attrs)
        operands[0]._remember_view(out)
    return out


def record(
    op: Op,
    arrays: list[Array],
    edges: list[TapeNode | None],
    attrs: dict[str, Any],
    result: Array,
) -> TapeNode | None:
    """Return the node of an operation that has run, or None if no gradient can flow.

    Only what the rules of the tracked operands read is kept.
    """
    flowing, needs_out, needs = _plan(op, tuple([edge is not None for edge in edges]))
    if not any(flowing):
        return None
    node: Any = node_type_of(op)()
    node.edges = (
        tuple(edges)
        if all(flowing)
        else tuple([edge if flows else None for edge, flows in zip(edges, flowing)])
    )
    node.out = _keep(result, needs_out)
    node.operands = tuple(map(_keep, arrays, needs))
    # the gradient of an only operand has its type already: nothing broadcasts against it
    node.types = None if len(arrays) == 1 else tuple(map(type_of_array, arrays))
    node.attrs = attrs
    node.extra = None
    node.sequence = tick()
    if special.count:
        annotate(node)
    return node  # type: ignore[no-any-return]


@lru_cache(1024)
def _plan(op: Op, tracked: tuple[bool, ...]) -> tuple[tuple[bool, ...], str, tuple[str, ...]]:
    """Return to which operands a gradient flows, and what is kept of the result and of each."""
    flowing = tuple(
        [is_tracked and op.operand_rule(i) is not None for i, is_tracked in enumerate(tracked)]
    )
    needs_out = ""
    needs = [""] * len(tracked)
    for position, flows in enumerate(flowing):
        rule = op.operand_rule(position) if flows else None
        if rule is not None:
            needs_out = max(needs_out, rule.out)  # "value" > "type" > ""
            wanted = rule.needs(position, len(tracked))
            needs = [max(pair) for pair in zip(needs, wanted, strict=True)]
    return flowing, needs_out, tuple(needs)


def _keep(array: Array, need: str) -> Array | TensorType | None:
    if need == "value" or (need == "complex" and array.dtype.kind == "c"):
        return array
    if need == "complex":
        return None
    return type_of_array(array) if need else None


def unwrap(
    op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]
) -> tuple[list[Array], list[TapeNode | None], bool]:
    """Return the operands' arrays, their nodes, and whether any is tracked.

    Raises
    ------
    DTypeError
        If an operand is not an array, a Tensor or a number.
    """
    arrays: list[Any] = []
    edges: list[TapeNode | None] = []
    tracked = False
    weak = False
    for x in operands:
        edge = None
        if type(x) is Tensor:
            edge = x._node
            tracked = tracked or edge is not None
            arrays.append(x._array)
        elif type(x) is ndarray:
            arrays.append(x if x.dtype.kind in PLAIN_NUMBERS else numeric(x))
        elif is_scalar(x):
            weak = True
            arrays.append(x)
        elif isinstance(x, (list, tuple)) and holds_values(x):
            joined = stack_nested(x)
            edge = joined._node
            tracked = tracked or edge is not None
            arrays.append(joined._array)
        elif isinstance(x, (np.generic, ndarray, list, tuple)):
            arrays.append(numeric(x))
        elif is_scalar(number := plain_number(x)):
            weak = True
            arrays.append(number)
        else:
            raise DTypeError(
                f"{op.name}: operand {len(arrays)} is a {kind_of(x)}",
                cause="operands are tensors, arrays or numbers",
                fix="convert it first with dyngraph.tensor(...)",
            )
        edges.append(edge)
    if weak:
        arrays = _fitted(op, arrays, attrs)
    return arrays, edges, tracked


def _fitted(op: Op, operands: list[Any], attrs: dict[str, Any]) -> list[Array]:
    """Return operands with arrays in place of Python numbers.

    They have the dtype that the others ask for; ints that are indices are int64.
    """
    dtypes = [x.dtype for x in operands if type(x) is ndarray]

    def fitted(whole: bool) -> list[Array]:
        return [
            x
            if type(x) is ndarray
            else fit_scalar(x, [_INT64] if whole and type(x) is int else dtypes)
            for x in operands
        ]

    def types(whole: bool) -> list[TensorType]:
        return list(map(type_of_array, fitted(whole)))

    if int in map(type, operands) and ints_are_indices(op, types, attrs):
        return fitted(whole=True)
    try:
        return fitted(whole=False)
    except DTypeError as error:
        if len(operands) == 1 or not _compares(op):
            raise error.with_context(op.name) from None
        return list(map(asarray, operands))


def lift(op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Run an op on operands that may hold no Tensor at all; the result is a Tensor."""
    if operands and operands[-1] is _MISSING:
        return misspelled(op, operands, {})
    apply = executor_of(operands)
    return (apply or apply_general)(op, operands, attrs)


def misspelled(op: Op, operands: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Raise what is wrong with a call that has too few, too many or unknown arguments.

    To collect what there is too much of costs a call about 15 ns. Where they are NumPy's arguments,
    return what its function gives.
    """
    args = tuple([x for x in operands if x is not _MISSING])
    return call_by_name(op, lambda *xs: lift(op, xs, {}), args, named)


def call_by_name(
    op: Op, entry: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Return what an op gives of any operands, and of arguments that may be options or NumPy's.

    `entry` runs the op on what is left once the options are taken.
    """
    try:
        operands, attrs = op.bind_beside_options(args, kwargs)
    except ArgumentError as error:
        from oplibrary.executors.numpy.spelled import call_as_numpy

        return wrap(call_as_numpy(op, args, kwargs, error))
    if op.options.keys().isdisjoint(kwargs):
        return lift(op, operands, attrs)
    return op.call_with_options(entry, args, kwargs)


def _quick_entry(op: Op) -> Callable[..., Any] | None:
    """Return the entry of fixed arity of `op`, or None where only the general one fits."""
    if op.name.startswith("_"):  # those may give several results
        return None
    if op.arity == 1:
        plain = op.kind is Kind.ELEMENTWISE and not op.attrs and not op.view
        reads = {need for rule in op.rules if rule for need in (rule.out, *rule.operands)}
        return make_unary(op) if plain and reads <= {"", "value"} else make_attributed(op)
    if op.arity != 2 or op.attrs or op.view or ints_are_indices(op, _beside_float32, {}):
        return None
    return make_binary(op)


def _beside_float32(whole: bool) -> tuple[TensorType, TensorType]:
    """Return the types of a float32 array and of a Python number beside it."""
    return TensorType((2,), "float32"), TensorType((), "int64" if whole else "float32")


class _QuickEntries(dict[Op, Callable[..., Any] | None]):
    """The entry of fixed arity of each op of the library, made once it is asked for, or None."""

    def __missing__(self, op: Op) -> Callable[..., Any] | None:
        if op.name not in REGISTRY.modules or REGISTRY[op.name] is not op:
            return None  # a user's, which may give anything
        return self.setdefault(op, _quick_entry(op))


FAST = _QuickEntries()

EXECUTORS[Tensor] = apply_general
HELD[Tensor] = attrgetter("_array")
ENTRIES[Tensor] = FAST
