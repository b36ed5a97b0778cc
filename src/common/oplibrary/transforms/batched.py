"""The value of a vectorised function: a row for each of many examples, which acts as one row.

Its operations run on all rows at once, by the op's rule (`oplibrary.core.batching`), or row by row
where the op has none. What they run on may again hold rows: of a `vmap` around this one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import numpy as np

from oplibrary.core.batching import Rows, move_axis, rule_of
from oplibrary.core.dispatch import EXECUTORS, LIFTED
from oplibrary.core.op import Op
from oplibrary.core.registry import REGISTRY, lookup
from oplibrary.executors.in_place import install_in_place, one_for_all_examples, require_fit
from oplibrary.executors.numpy.protocols import call_ufunc
from oplibrary.executors.operators import ArrayOperators
from oplibrary.messages.errors import (
    ArgumentError,
    BranchTypeError,
    DataDependentShapeError,
    DTypeError,
    SideBySideError,
    SymbolicBoolError,
    SymbolicValueError,
)
from oplibrary.ops.effects import effect_of_rows, no_effects_in
from oplibrary.ops.indexing import getitem, set_item, shows
from oplibrary.ops.joining import stack
from oplibrary.ops.nested import holds_values, stack_nested
from oplibrary.transforms.reached import reached
from oplibrary.values.dtypes import FLOATING
from oplibrary.values.tree import flatten, unflatten
from oplibrary.values.types import is_scalar, type_of


class Level:
    """One call of a vectorised function.

    Attributes
    ----------
    size : int
        How many examples there are.
    depth : int
        How many such calls are around it.
    lift : callable
        Makes an array of the executor.
    """

    __slots__ = ("depth", "lift", "size")

    def __init__(self, size: int, depth: int, lift: Callable[[Any], Any]) -> None:
        self.size = size
        self.depth = depth
        self.lift = lift


class _Open(threading.local):
    levels: tuple[Level, ...] = ()


_open = _Open()


def open_levels() -> tuple[Level, ...]:
    """Return the calls of vectorised functions that this thread is in, the outermost first."""
    return _open.levels


@contextmanager
def level_of(size: int, lift: Callable[[Any], Any]) -> Iterator[Level]:
    """Open a call for `size` examples."""
    before = _open.levels
    level = Level(size, len(before), lift)
    _open.levels = (*before, level)
    try:
        yield level
    finally:
        _open.levels = before


@contextmanager
def levels_again(levels: tuple[Level, ...]) -> Iterator[None]:
    """Open calls once more, for what ran in them and is run a second time."""
    before, _open.levels = _open.levels, levels
    try:
        yield
    finally:
        _open.levels = before


class Batched(ArrayOperators):
    """A row for each example, with the shape of one: what a function under `vmap` computes with.

    Operators, methods, NumPy's functions and those of the namespace run on all rows.
    """

    __slots__ = ("_level", "_value")
    _level: Level
    _value: Any

    def __init__(self, value: Any, level: Level) -> None:
        self._value = value
        self._level = level

    @property
    def shape(self) -> Any:
        """The lengths of the axes of one row."""
        return self._value.shape[1:]

    @property
    def dtype(self) -> Any:
        """The NumPy dtype of the elements."""
        return self._value.dtype

    def dim(self) -> int:
        """Return the number of axes of one row."""
        return len(self.shape)

    def numel(self) -> Any:
        """Return the number of elements of one row."""
        return self.size

    def detach(self) -> Batched:
        """Return the same values, cut off from what they were computed from."""
        return Batched(self._value.detach(), self._level)

    def clone(self) -> Any:
        """Return a copy."""
        return REGISTRY["clone"](self)

    def contiguous(self) -> Any:
        """Return these rows, or a copy where their elements do not lie in row-major order."""
        return self if self._value.contiguous() is self._value else self.clone()

    def __len__(self) -> int:
        return len(self._value[0])

    def _memory(self) -> Any:
        return self._value._memory()

    def _part(self, copy: Batched) -> Batched:
        return Batched(self._value._part(copy._value), self._level)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self._value.__array_namespace__(api_version=api_version)

    def __repr__(self) -> str:
        return f"Batched({type_of(self)}, {self._level.size} examples)"

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            return call_ufunc(ufunc, inputs)
        from oplibrary.executors.numpy.ufuncs import call_ufunc_with

        return call_ufunc_with(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from oplibrary.executors.numpy.functions import call_function

        return call_function(function, args, kwargs)

    # in place -----------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        if not shows(key):
            return getitem(self, key)
        entries = key if type(key) is tuple else (key,)
        return Batched(self._value[(slice(None), *entries)], self._level)

    def copy_(self, source: Any) -> Batched:
        """Overwrite the elements with those of `source`, which broadcasts."""
        return _write(self, source, "copy_")

    def __setitem__(self, key: Any, value: Any) -> None:
        _write(self, set_item(self, key, value), "x[...] = value")

    def _read_only(self) -> Any:
        return self._value._read_only()

    # what needs one number ----------------------------------------------------------------------

    def __bool__(self) -> NoReturn:
        raise SymbolicBoolError(
            f"a truth value was asked of {self!r}",
            cause="each example has its own, and the function runs once for all of them",
            fix="write where(condition, a, b), which chooses example by example",
        )

    def _refuse(self, asked: str) -> SymbolicValueError:
        return SymbolicValueError(
            f"{asked} was asked of {self!r}",
            cause="each example has its own, and the function runs once for all of them",
            fix="compute with the array itself, and take the numbers from the result of vmap",
        )

    def __int__(self) -> NoReturn:
        raise self._refuse("an int")

    def __index__(self) -> NoReturn:
        raise self._refuse("an index")

    def __float__(self) -> NoReturn:
        raise self._refuse("a float")

    def __complex__(self) -> NoReturn:
        raise self._refuse("a complex number")

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise self._refuse("a NumPy array")

    def item(self) -> NoReturn:
        """Raise: each example has its own number."""
        raise self._refuse("item()")

    def tolist(self) -> NoReturn:
        """Raise: each example has its own numbers."""
        raise self._refuse("tolist()")

    def numpy(self) -> NoReturn:
        """Raise: each example has its own numbers."""
        raise self._refuse("numpy()")

    def backward(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: gradients under vmap are those of functions."""
        raise self._refuse("backward()")


# operations ---------------------------------------------------------------------------------------


def _level_among(operands: Sequence[Any]) -> Level:
    """Return the innermost call that values among `operands` belong to.

    Raises
    ------
    ArgumentError
        If it has ended.
    """
    level = max((x._level for x in operands if type(x) is Batched), key=lambda each: each.depth)
    if level not in _open.levels:
        raise ArgumentError(
            "a value of a vectorised function was used after the function had ended",
            cause="outside of vmap there is no example that it belongs to",
            fix="return the value from the function: vmap stacks what it returns",
        )
    return level


def _operand(x: Any) -> Any:
    if isinstance(x, (list, tuple)):
        return stack_nested(x) if holds_values(x) else np.asarray(x)
    if is_scalar(x) or hasattr(x, "dtype") or not _open.levels:
        return x
    return _open.levels[-1].lift(x)


def apply_batched(op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
    """Run `op` on all rows of its operands: the executor of `Batched`."""
    operands = tuple(map(_operand, operands))
    level = _level_among(operands)
    if op.effect and op.batch is None:
        raise effect_of_rows(op.name, "a function")
    batched = tuple([type(x) is Batched and x._level is level for x in operands])
    rows = Rows(
        op,
        tuple([x._value if own else x for x, own in zip(operands, batched, strict=True)]),
        batched,
        tuple(map(type_of, operands)),
        attrs,
        level.size,
        level.lift,
    )
    rule = rule_of(op)
    try:
        result = NotImplemented if rule is None else rule(rows)
        if result is NotImplemented:
            result = run_each(rows)
    except SideBySideError as error:
        rows.result()  # says what is wrong with one row
        raise error.with_context(op.name) from None
    if isinstance(result, tuple):
        return tuple([Batched(each, level) for each in result])
    return Batched(result, level)


def run_each(rows: Rows) -> Any:
    """Run an op row by row, and stack the results.

    Raises
    ------
    DataDependentShapeError
        If the rows give results of several shapes.
    """
    if not rows.size:
        type_ = rows.result()
        return rows.lift(np.zeros((0, *type_.shape), type_.dtype))
    index_axis = REGISTRY["index_axis"]
    results = []
    for i in range(rows.size):
        operands = [
            index_axis(x, index=i, axis=0) if own else x
            for x, own in zip(rows.operands, rows.batched, strict=True)
        ]
        results.append(rows.op(*operands, **rows.attrs))
    if isinstance(results[0], tuple):
        return tuple([_stacked(rows, column) for column in zip(*results, strict=True)])
    return _stacked(rows, results)


def _stacked(rows: Rows, results: Sequence[Any]) -> Any:
    shapes = {tuple(x.shape) for x in results}
    if len(shapes) > 1:
        raise DataDependentShapeError(
            f"{rows.op.name} gives the examples results of several shapes",
            cause="the results of all examples are one array under vmap",
            fix="use where(mask, x, 0) or padding to keep the shape, or a loop over the examples",
        )
    return stack(list(results))


def _write(target: Batched, result: Any, operation: str) -> Batched:
    """Overwrite the rows of `target` with `result`, which fits into them."""
    require_fit(operation, type_of(result), type_of(target))
    level = target._level
    if type(result) is Batched and result._level.depth > level.depth:
        raise one_for_all_examples(operation)
    if type(result) is Batched and result._level is level:
        rows = result._value
        missing = len(target.shape) - len(result.shape)
        if missing:
            rows = rows.reshape((level.size, *(1,) * missing, *result.shape))
    else:
        rows = result
    target._value[...] = rows
    return target


def _in_place(name: str, spelling: str) -> Callable[..., Any]:
    def method(self: Batched, *args: Any, **kwargs: Any) -> Batched:
        function = _lookup(name)
        return _write(self, function(self, *args, **kwargs), spelling)

    return method


def _lookup(name: str) -> Any:
    function = lookup(name)
    assert function is not None, name
    return function


def any_holds(condition: Any) -> bool:
    """Tell whether a condition holds, for one example at least if each has its own.

    It is of an executor whose values have numbers now.
    """
    while type(condition) is Batched:
        condition = REGISTRY["any"](condition._value, axis=0)
    return bool(condition)


def rows_of(x: Any, axis: int, ndim: int, level: Level) -> Batched:
    """Return an array as one row for each position of an axis."""
    return Batched(move_axis(x, ndim, axis, 0), level)


# values of several calls at once ------------------------------------------------------------------

Levels = tuple[Level, ...]
"""Open calls, the outermost first."""


def levels_of(x: Any) -> Levels:
    """Return the calls whose rows a value has."""
    found: list[Level] = []
    while type(x) is Batched:
        found.append(x._level)
        x = x._value
    return tuple(reversed(found))


def union(several: Iterable[Levels]) -> Levels:
    """Return all the calls that occur."""
    found = {level for levels in several for level in levels}
    return tuple(sorted(found, key=lambda level: level.depth))


def bare(x: Any, levels: Levels | None = None) -> Any:
    """Return the array that holds a value, with rows of `levels`, which are at least its own."""
    if levels is not None:
        x = _with_levels(x, levels)
    while type(x) is Batched:
        x = x._value
    return x


def peeled(x: Any, levels: Levels) -> Any:
    """Return the array that holds a value's rows of `levels`, the innermost; it may have others."""
    x = _with_levels(x, union([levels_of(x), levels]))
    for _ in levels:
        x = x._value
    return x


def _with_levels(x: Any, levels: Levels) -> Any:
    if not levels:
        return x
    *outer, level = levels
    if type(x) is Batched and x._level is level:
        value = x._value
    else:
        value = REGISTRY["broadcast_to"](x, shape=(level.size, *type_of(x).shape))
    return Batched(_with_levels(value, tuple(outer)), level)


def held_by(array: Any, levels: Sequence[Level]) -> Any:
    """Return the value that an array holds, with an axis for each of `levels` in front."""
    for level in levels:
        array = Batched(array, level)
    return array


# choices that each example makes for itself -------------------------------------------------------


def require_choice(name: str, condition: Any) -> None:
    """Refuse what does not decide once an example.

    Raises
    ------
    DTypeError
    """
    type = type_of(condition)
    if type.shape or type.dtype.kind not in "biu":
        raise DTypeError(
            f"{name}: the condition of each example is {type}",
            cause="it decides once for the whole example",
            fix="pass one bool, such as any(x > 0); to choose element by element, use where",
        )


@contextmanager
def all_of(
    name: str, branches: Sequence[Callable[..., Any]], operands: tuple[Any, ...]
) -> Iterator[None]:
    """Refuse what branches that all run may not do: effects, and writing to what others read."""
    with no_effects_in(name), ExitStack() as stack:
        for x in reached((operands, branches)):
            stack.enter_context(x._read_only())
        yield


@contextmanager
def side_of(
    name: str, taken: Any, branch: Callable[..., Any], operands: tuple[Any, ...]
) -> Iterator[None]:
    """Let a branch run for all examples, of which only those that take it have its gradient.

    The others give it a gradient of 0, which a rule may make NaN of: that of ``log`` divides by 0
    where another branch was taken for this reason. So what each example has of its own, and the
    branch reads, is cut off from what it was computed from where the branch is not taken.
    """
    rows = [x for x in reached((operands, branch)) if type(x) is Batched]
    apart = [(x, x._value, only_of(taken, x)) for x in rows]
    try:
        for x, _, own in apart:
            if own._level is x._level:  # a value of an outer vmap alone is one for all of these
                x._value = own._value
        with all_of(name, (branch,), operands):
            yield
    finally:
        for x, value, _ in apart:
            x._value = value


def takers(index: Any, count: int) -> list[Any]:
    """Return for each of the branches of a switch which examples take it."""
    if count == 1:
        return [index == index]
    inner = [index == number for number in range(1, count - 1)]
    return [index <= 0, *inner, index >= count - 1]


def only_of(taken: Any, x: Any) -> Any:
    """Return a value of each example's own, which has a gradient where `taken` is true alone."""
    if type(x) is not Batched or x.dtype.kind not in FLOATING:
        return x
    return REGISTRY["where"](taken, x, x.detach())


def chosen(name: str, condition: Any, one: Any, other: Any, array: Callable[[Any], Any]) -> Any:
    """Return for each example what `one` or `other` holds, as its condition is.

    Parameters
    ----------
    name : str
        Of the control flow, for messages.
    condition : array
    one, other : tree of array
    array : callable
        Makes an array of the executor of a value.

    Raises
    ------
    BranchTypeError
        If they are of different types.
    """
    leaves, structure = flatten(one)
    others, other_structure = flatten(other)
    leaves, others = list(map(array, leaves)), list(map(array, others))
    types = [type_of(x) for x in leaves]
    other_types = [type_of(x) for x in others]
    if structure != other_structure or types != other_types:
        raise BranchTypeError(
            f"{name}: one side gives {types} and the other {other_types}",
            cause="under vmap both sides run, and each example takes its value from one of them",
        )
    where = REGISTRY["where"]
    return unflatten(
        structure, [where(condition, x, y) for x, y in zip(leaves, others, strict=True)]
    )


install_in_place(Batched, _in_place, _lookup)
EXECUTORS[Batched] = LIFTED[Batched] = apply_batched
