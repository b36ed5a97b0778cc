"""Square brackets: ``x[key]``, and ``x[key] = value`` as a function that returns the new array.

A key is taken apart once, into what only moves along axes (ints, slices, None, Ellipsis), which is
the view `basic_index`, and arrays of indices, which select. Both parts follow NumPy.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from oplibrary.core.batching import Rows
from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import public, register
from oplibrary.core.rules import movement
from oplibrary.messages.errors import ArgumentError, IndexingError, SideBySideError
from oplibrary.ops.arguments import operand_type
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.gather import require_integers, take
from oplibrary.ops.selection import (
    advanced_index,
    advanced_set,
    align_value,
    check_kind,
    check_mask,
    check_value,
)
from oplibrary.values.tree import refuse_depth
from oplibrary.values.types import (
    NUMBERS,
    Array,
    Shape,
    TensorType,
    fit_scalar,
    is_known,
    is_scalar,
    number_kind,
)


class Slice(NamedTuple):
    """A slice as a constant of an op; Python's own is not hashable before 3.12."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


Entry = int | Slice | None
Index = tuple[Entry, ...]
"""One entry an axis: an int drops it, a Slice keeps part of it, None adds one."""

_WHOLE = Slice()
_FAR = 1 << 62
"""No axis is as long."""


# the view -----------------------------------------------------------------------------------------


@lru_cache(maxsize=4096, typed=True)
def _numpy_index(*index: Any) -> tuple[Any, ...]:
    # the Ellipsis keeps the result an array, sharing memory, where every axis is dropped
    return (*(slice(*e) if type(e) is Slice else e for e in index), Ellipsis)


def selected(entry: Slice, n: int) -> range:
    """Return what a slice selects of `n` positions."""
    start, stop = [_within(bound, n) for bound in (entry.start, entry.stop)]
    return range(*slice(start, stop, entry.step).indices(n))


def _within(bound: int | None, n: int) -> int | None:
    """Return a bound beyond every length as an end of `n`, which may not be known yet."""
    if bound is None or abs(bound) < _FAR or not is_known(bound):
        return bound
    return max(bound, n) if bound > 0 else min(bound, -n - 1)


def range_length(numbers: range) -> int:
    """Return how many they are, which may be more than `len` counts to."""
    step = numbers.step
    return max((numbers.stop - numbers.start + step - (1 if step > 0 else -1)) // step, 0)


def _indexed_shape(shape: Shape, index: Index) -> Shape:
    used = sum(entry is not None for entry in index)
    if used > len(shape):
        raise IndexingError(
            f"{used} indices for the {len(shape)} axes of {shape}",
            cause="each int or slice selects along one axis",
            fix="leave out indices, or index a value with more axes",
        )
    result = []
    axis = 0
    for entry in index:
        if entry is None:
            result.append(1)
            continue
        n = shape[axis]
        if isinstance(entry, Slice):
            if entry.step == 0:
                raise ArgumentError(
                    f"the slice of axis {axis} has step 0",
                    cause="a slice moves by its step",
                    fix="use step 1, or -1 to reverse",
                )
            result.append(range_length(selected(entry, n)))
        elif not -n <= entry < n:
            raise IndexingError(
                f"index {entry} is out of bounds for axis {axis} of length {n}",
                cause=f"valid indices are {-n} to {n - 1}" if n else "the axis has no elements",
                fix="check the index against the axis length",
            )
        axis += 1
    return (*result, *shape[axis:])


basic_index: Op = movement(
    "basic_index",
    lambda x, *, index: x[_numpy_index(*index)],
    infer=lambda x, *, index: TensorType(_indexed_shape(x.shape, index), x.dtype),
    vjp=lambda g, _out, x_type, *, index: basic_index_gradient(g, shape=x_type.shape, index=index),
    attrs={"index": ...},
    view=True,
    public=False,
    examples=(
        example((3, 4), index=(1,)),
        example((3, 4), index=(-1, Slice(0, 4, 2))),
        example((3, 4, 2), index=(Slice(), None, Slice(None, None, -1), 0)),
        example((5,), index=(2,)),
        example((), index=(None,)),
        example((3, 4), index=(Slice(3, 1),)),
    ),
    batch=lambda rows: basic_index(rows.operands[0], index=(_WHOLE, *rows.attrs["index"])),
    doc="Move along axes with ints, slices and None, without copying.",
)


def _basic_index_gradient_kernel(
    g: Array, out: Array | None = None, *, shape: Shape, index: Index
) -> Array:
    if out is None:
        out = np.zeros(shape, g.dtype)
    else:
        out.fill(0)
    out[_numpy_index(*index)] = g
    return out


basic_index_gradient: Op = register(
    Op(
        name="basic_index_gradient",
        public=False,
        kind=Kind.INDEXING,
        arity=1,
        kernel=_basic_index_gradient_kernel,
        infer=lambda g, *, shape, index: TensorType(shape, g.dtype),
        vjp=(lambda h, _out, _g, *, shape, index: basic_index(h, index=index),),
        attrs={"shape": ..., "index": ...},
        takes_out=True,
        operand_names=("g",),
        examples=(
            example((4,), shape=(3, 4), index=(1,)),
            example((2,), shape=(3, 4), index=(-1, Slice(0, 4, 2))),
            example((3, 1, 4), shape=(3, 4, 2), index=(Slice(), None, Slice(None, None, -1), 0)),
        ),
        batch=lambda rows: basic_index_gradient(
            rows.operands[0],
            shape=(rows.size, *rows.attrs["shape"]),
            index=(_WHOLE, *rows.attrs["index"]),
        ),
        doc="Put g into zeros of `shape` at `index`: the gradient of basic_index.",
    )
)


# assignment ---------------------------------------------------------------------------------------


def _basic_set_kernel(x: Array, value: Any, out: Array | None = None, *, index: Index) -> Array:
    if x.dtype.kind != "c":
        check_kind("basic_set", x, np.asarray(value))
    if out is None:
        out = np.array(x)
    else:
        out[...] = x
    out[_numpy_index(*index)] = value
    return out


def _basic_set_infer(x: TensorType, value: TensorType, *, index: Index) -> TensorType:
    check_kind("basic_set", x, value)
    check_value("basic_set", value.shape, _indexed_shape(x.shape, index))
    return x


def _set_rows(rows: Rows) -> Any:
    selected = basic_index.infer(rows.types[0], index=rows.attrs["index"]).ndim
    if rows.types[1].ndim > selected:
        return NotImplemented
    index = (_WHOLE, *rows.attrs["index"])
    return basic_set(rows.whole(0), rows.padded(1, selected), index=index)


basic_set: Op = register(
    Op(
        name="basic_set",
        public=False,
        kind=Kind.INDEXING,
        arity=2,
        kernel=_basic_set_kernel,
        infer=_basic_set_infer,
        vjp=(
            lambda g, _out, _x, _value, *, index: basic_set(g, np.zeros((), g.dtype), index=index),
            lambda g, _out, _x, value_type, *, index: align_value(
                basic_index(g, index=index), value_type
            ),
        ),
        attrs={"index": ...},
        takes_out=True,
        operand_names=("x", "value"),
        examples=(
            example((3, 4), (4,), index=(1,)),
            example((3, 4), (), index=(Slice(), 2)),
            example((3, 4), (1, 1), index=(Slice(0, 2), Slice(None, None, 2))),
            example((3, 4), (1, 3, 4), index=()),
        ),
        batch=_set_rows,
        doc="Return a copy of x with the elements that basic_index selects replaced by value.",
    )
)


# keys ---------------------------------------------------------------------------------------------


class _Key(NamedTuple):
    """A key taken apart.

    `arrays` select from the axes `axes` of the array that `basic` leaves, and the selected axes
    stand at `position` of the result.
    """

    basic: Index
    arrays: tuple[Any, ...]
    axes: tuple[int, ...]
    position: int

    @property
    def moves(self) -> bool:
        """Whether the basic part does anything."""
        return any(entry != _WHOLE for entry in self.basic)


def _whole_number(value: Any) -> int | None:
    """Return a bound of a slice; a static value refuses by itself, naming its line."""
    if value is None:
        return None
    try:
        return operator.index(value)
    except TypeError as error:
        if not hasattr(value, "__index__"):
            raise ArgumentError(
                f"a slice bound is {value!r}, a {type(value).__name__}",
                cause="slices count elements, in whole numbers",
                fix="use an int, for example n // 2 and not n / 2",
            ) from None
        raise error


def _selector(item: Any) -> Any:
    """Return one part of a key as an int, a Slice, None, Ellipsis or an array."""
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        return Slice(*map(_whole_number, (item.start, item.stop, item.step)))
    if isinstance(item, (bool, np.bool_)):
        raise ArgumentError(
            f"the index is a single {item}",
            cause="one truth value selects no elements",
            fix="use a mask with one truth value an element, or where",
        )
    if isinstance(item, (int, np.integer)):
        return int(item)
    if isinstance(item, (list, tuple)):
        item = _index_array(item)
    if hasattr(item, "shape") and hasattr(item, "dtype"):
        if item.dtype == np.bool_:
            if not len(item.shape):
                raise ArgumentError(
                    "the key has a single truth value among other indices",
                    cause="one truth value selects no elements",
                    fix="use a mask with one truth value an element, or where",
                )
            return item
        require_integers("index", operand_type("index", item))
        return int(item) if isinstance(item, np.ndarray) and item.ndim == 0 else item
    refuse_depth(item)
    raise ArgumentError(
        f"the index {item!r} is a {type(item).__name__}",
        cause="a key is made of ints, slices, None, ..., integer arrays and masks",
        fix="convert it, for example with int()",
    )


def _index_array(item: Any) -> Any:
    try:
        return np.asarray(item) if len(item) else np.zeros(0, np.int64)
    except SideBySideError:
        raise
    except (ValueError, TypeError) as error:
        refuse_depth(item)
        raise ArgumentError(
            f"the index {item!r} is no array: {error}",
            cause="a list of indices is rectangular and made of ints, or of truth values",
            fix="make its rows of one length",
        ) from None


def _is_array(entry: Any) -> bool:
    return entry is not None and entry is not Ellipsis and not isinstance(entry, (int, Slice))


def _consumed(entry: Any) -> int:
    """Return how many axes an entry stands for."""
    if entry is None or entry is Ellipsis:
        return 0
    return len(entry.shape) if _is_array(entry) and entry.dtype == np.bool_ else 1


def _entries(key: Any, shape: Shape) -> list[Any]:
    """Return the parts of a key, with the Ellipsis written out."""
    entries = [_selector(item) for item in (key if type(key) is tuple else (key,))]
    used = sum(map(_consumed, entries))
    ellipses = [i for i, entry in enumerate(entries) if entry is Ellipsis]
    if used > len(shape):
        raise IndexingError(
            f"{used} indices for the {len(shape)} axes of {shape}",
            cause="each int, slice or index array selects along one axis, a mask along each of its",
            fix="leave out indices, or index a value with more axes",
        )
    if len(ellipses) > 1:
        raise ArgumentError(
            "the key has more than one ...",
            cause="one ... stands for all axes that are not named; a second would be ambiguous",
            fix="write ':' for single axes",
        )
    if ellipses:
        at = ellipses[0]
        entries[at : at + 1] = [_WHOLE] * (len(shape) - used)
    return entries


def _plain_index(key: Any) -> Index | None:
    """Return a key of ints, None and slices of ints as an index; None for any other key."""
    index: list[Entry] = []
    for entry in key if type(key) is tuple else (key,):
        kind = type(entry)
        if kind is slice:
            if not (
                type(entry.start) in _BOUNDS
                and type(entry.stop) in _BOUNDS
                and type(entry.step) in _BOUNDS
            ):
                return None
            index.append(Slice(entry.start, entry.stop, entry.step))
        elif kind is int or entry is None:
            index.append(entry)
        else:
            return None
    return tuple(index)


_BOUNDS = frozenset({int, type(None)})


def _take_apart(key: Any, shape: Shape) -> _Key:
    """Split a key into its basic part and its index arrays, as NumPy understands them."""
    entries = _entries(key, shape)
    if not any(map(_is_array, entries)):
        return _Key(tuple(entries), (), (), 0)
    index: list[Entry] = []
    arrays: list[Any] = []
    axes: list[int] = []
    source = axis = kept = 0  # axes read of x, axes left by the basic part, those not selected from
    places: list[int] = []  # of the ints and arrays: NumPy looks whether they are adjacent
    position = 0
    for place, entry in enumerate(entries):
        if entry is None or isinstance(entry, Slice):
            index.append(entry)
            axis, kept = axis + 1, kept + 1
        else:
            if not places:
                position = kept
            places.append(place)
            if isinstance(entry, int):
                index.append(entry)
            else:
                count = _consumed(entry)
                covered = shape[source : source + count]
                for part, offset in _parts(entry, covered):
                    arrays.append(part)
                    axes.append(axis + offset)
                index += [_WHOLE] * count
                axis += count
        source += _consumed(entry)
    if places[-1] - places[0] != len(places) - 1:
        position = 0
    return _Key(tuple(index), tuple(arrays), tuple(axes), position)


def _parts(entry: Any, covered: Shape) -> list[tuple[Any, int]]:
    """Return an index array with its axis; a known mask becomes the indices it selects."""
    if not (isinstance(entry, np.ndarray) and entry.dtype == np.bool_):
        return [(entry, 0)]
    check_mask(entry.shape, covered)
    return [(part, offset) for offset, part in enumerate(entry.nonzero())]


def _select(x: Any, key: _Key) -> Any:
    if len(key.arrays) == 1 and key.axes[0] == key.position and key.arrays[0].dtype != np.bool_:
        return take(x, key.arrays[0], axis=key.position)
    return advanced_index(x, *key.arrays, axes=key.axes, position=key.position)


def shows(key: Any) -> bool:
    """Tell whether a key of numbers, some known only in a run, selects a view: no array is in it.

    A loop's counter is such a number in the static executor, and an int in the dynamic one.
    """
    entries = key if type(key) is tuple else (key,)
    found = [number_kind(x) is int for x in entries if type(x) in NUMBERS]
    basic = (int, slice, type(None), type(Ellipsis), np.integer, *NUMBERS)
    return bool(found) and all(found) and all(isinstance(x, basic) for x in entries)


def getitem(x: Any, key: Any) -> Any:
    """Return ``x[key]``, as NumPy defines it.

    Parameters
    ----------
    x : array, Tensor or Node
        What to select from.
    key : int, slice, None, Ellipsis, integer array, mask, or a tuple of them
        Lists are read as arrays. Masks that are Tensors work where values are at hand; a static
        graph takes masks that are known while it is declared.

    Returns
    -------
    array
        A view where the key holds no array.

    Raises
    ------
    IndexingError
        If an index lies outside its axis, or there are too many.
    DataDependentShapeError
        If the key holds a mask that is not known yet.

    Examples
    --------
    >>> getitem(np.arange(12).reshape(3, 4), (1, slice(None, None, 2)))
    array([4, 6])
    """
    # the two commonest keys need no taking apart
    if len(x.shape):
        if type(key) is int:
            return basic_index(x, index=(key,))
        dtype = getattr(key, "dtype", None)
        if dtype is not None and dtype.kind in "iu" and key.shape:
            return take(x, key, axis=0)
        index = _plain_index(key)
        if index is not None:
            return basic_index(x, index=index)
    if _is_mask_of(key, ()):  # one truth value keeps the whole array, along a new axis, or nothing
        return getitem(basic_index(x, index=(None,)), key.reshape((1,)))
    parts = _take_apart(key, tuple(x.shape))
    if not parts.arrays:
        return basic_index(x, index=parts.basic)
    return _select(basic_index(x, index=parts.basic) if parts.moves else x, parts)


@public
def set_item(x: Any, key: Any, value: Any) -> Any:
    """Return a copy of `x` with ``x[key]`` replaced by `value`.

    Parameters
    ----------
    x : array
        Stays as it is.
    key : int, slice, None, Ellipsis, integer array, mask, or a tuple of them
        As for ``x[key]``.
    value : array or number
        It broadcasts to the selected elements and is converted to the dtype of `x`.

    Returns
    -------
    array

    Raises
    ------
    IndexingError
        If an index lies outside its axis.
    ShapeError
        If `value` does not broadcast to the selection.

    Notes
    -----
    Where an index array names an element more than once, the last value stays, and it alone gets
    the element's gradient.

    Examples
    --------
    >>> set_item(np.zeros(4), slice(1, 3), 5.0)
    array([0., 5., 5., 0.])
    """
    x_type, value_type = operand_type("set_item", x), operand_type("set_item", value)
    check_kind("set_item", x_type, value_type)
    if not value_type.ndim and _is_mask_of(key, x_type.shape):
        mask = key.reshape(tuple(key.shape) + (1,) * (x_type.ndim - len(key.shape)))
        result = where(mask, value, x)
        return result if result.dtype == x_type.dtype else cast(result, dtype=x_type.dtype)
    if _is_mask_of(key, ()):  # as when it is read: of the whole array, along a new axis
        changed = set_item(basic_index(x, index=(None,)), key.reshape((1,)), value)
        return changed.reshape(tuple(x.shape))
    parts = _take_apart(key, x_type.shape)
    if is_scalar(value):
        value = fit_scalar(value, (x_type.dtype,))
    if not parts.arrays:
        return basic_set(x, value, index=parts.basic)
    if not parts.moves:
        return advanced_set(x, value, *parts.arrays, axes=parts.axes, position=parts.position)
    inner = basic_index(x, index=parts.basic)
    changed = advanced_set(inner, value, *parts.arrays, axes=parts.axes, position=parts.position)
    return basic_set(x, changed, index=parts.basic)


def _is_mask_of(key: Any, shape: Shape) -> bool:
    """Tell whether a key is one mask over the leading axes of an array."""
    if not (hasattr(key, "shape") and hasattr(key, "dtype") and hasattr(key, "reshape")):
        return False
    covered = tuple(key.shape)
    return bool(key.dtype == np.bool_) and covered == shape[: len(covered)]
