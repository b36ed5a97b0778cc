"""Selection by index arrays and masks along several axes at once, its gradient, and assignment."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from oplibrary.core.op import Kind, Op, example
from oplibrary.core.registry import register
from oplibrary.messages.errors import DataDependentShapeError, DTypeError, IndexingError, ShapeError
from oplibrary.ops.elementwise import cast, where
from oplibrary.ops.gather import from_start, raise_out_of_range, require_integers, scatter_rows
from oplibrary.ops.movement import reshape
from oplibrary.values.types import Array, Shape, TensorType, broadcast_shapes

# several arrays, several axes ---------------------------------------------------------------------


def _selectors(
    name: str, shape: Shape, indices: Sequence[Array], axes: Sequence[int]
) -> tuple[list[Array], list[int]]:
    """Return integer index arrays with their axes; a mask becomes one a axis that it covers."""
    arrays: list[Array] = []
    positions: list[int] = []
    for selector, axis in zip(indices, axes):
        selector = np.asarray(selector)
        if selector.dtype == np.bool_:
            check_mask(selector.shape, shape[axis:], f"{name}: ")
            parts = selector.nonzero()
            arrays += parts
            positions += range(axis, axis + len(parts))
        else:
            arrays.append(selector)
            positions.append(axis)
    return arrays, positions


def check_mask(mask: Shape, lengths: Shape, prefix: str = "") -> None:
    """Refuse a mask that selects from axes of other lengths; one without elements selects nothing.

    Parameters
    ----------
    mask : tuple of int
        Its shape.
    lengths : tuple of int
        Those of the axes from the first on that it selects from.
    prefix : str
        What the text of the error begins with.

    Raises
    ------
    IndexingError
        If there are fewer axes, or a length of the mask is neither that of its axis nor 0, as the
        array API standard has it.
    """
    covered = lengths[: len(mask)]
    if len(covered) < len(mask) or any(m not in (n, 0) for m, n in zip(mask, covered)):
        raise IndexingError(
            f"{prefix}a mask of shape {mask} selects from axes of lengths {covered}",
            cause="a mask has one truth value for each element that it may select",
            fix="give the mask the shape of the leading axes, or broadcast_to it first",
        )


def _natural_position(axes: Sequence[int]) -> int:
    """Return where NumPy puts the selected axes among those that remain."""
    adjacent = axes[-1] - axes[0] == len(axes) - 1
    return axes[0] if adjacent else 0


def _numpy_key(ndim: int, arrays: Sequence[Array], axes: Sequence[int]) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * ndim
    for selector, axis in zip(arrays, axes):
        key[axis] = selector
    return tuple(key)


def _move(x: Array, count: int, source: int, target: int) -> Array:
    """Move `count` neighbouring axes of `x` from `source` to `target`."""
    if source == target or not count:
        return x
    return np.moveaxis(x, range(source, source + count), range(target, target + count))


def _advanced_index_kernel(x: Array, *indices: Array, axes: tuple[int, ...], position: int) -> Any:
    arrays, positions = _selectors("advanced_index", x.shape, indices, axes)
    try:
        result = x[_numpy_key(x.ndim, arrays, positions)]
    except IndexError:
        raise_out_of_range("advanced_index", x.shape, arrays, positions)
    count = max(a.ndim for a in arrays)
    return _move(result, count, _natural_position(positions), position)


def _advanced_shape(
    name: str, x: Shape, indices: Sequence[TensorType], axes: Sequence[int], position: int
) -> Shape:
    for selector, axis in zip(indices, axes):
        if selector.dtype == np.bool_:
            check_mask(selector.shape, x[axis:], f"{name}: ")
            raise DataDependentShapeError(
                f"{name}: a mask of shape {selector.shape} selects an unknown number of elements",
                cause="the result's length is known only when the mask is",
                fix="use where(mask, x, 0), which keeps the shape, or sum(where(mask, x, 0)); "
                "or run the program in dyngraph",
            )
        require_integers(name, selector)
    try:
        selected = broadcast_shapes(*(t.shape for t in indices))
    except ShapeError as error:  # of indices, so it is an IndexError, as NumPy's
        raise IndexingError(error.what, cause=error.cause, fix=error.fix) from None
    rest = tuple(n for axis, n in enumerate(x) if axis not in axes)
    return rest[:position] + selected + rest[position:]


def _advanced_index_infer(
    x: TensorType, *indices: TensorType, axes: tuple[int, ...], position: int
) -> TensorType:
    return TensorType(_advanced_shape("advanced_index", x.shape, indices, axes, position), x.dtype)


def _advanced_index_gradient_kernel(
    g: Array, *indices: Array, shape: Shape, axes: tuple[int, ...], position: int
) -> Array:
    arrays, positions = _selectors("advanced_index_gradient", shape, indices, axes)
    lengths = tuple(shape[a] for a in positions)
    valid = [from_start(a, n) for a, n in zip(arrays, lengths)]
    flat = np.ravel_multi_index(np.broadcast_arrays(*valid), lengths) if prod(lengths) else None
    rest = [a for a in range(len(shape)) if a not in positions]
    rows = prod(lengths)
    width = prod(shape[a] for a in rest)
    if flat is None:
        return np.zeros(shape, g.dtype)
    g = _move(g, flat.ndim, position, 0).reshape(flat.size, width)
    result = scatter_rows(g, flat.reshape(-1), rows)
    order = [*positions, *rest]
    result = result.reshape([shape[a] for a in order])
    return np.ascontiguousarray(result.transpose(np.argsort(order)))


def _advanced_index_rule(
    place: int,
    g: Any,
    _out: Any,
    x_type: TensorType,
    *indices: Any,
    axes: tuple[int, ...],
    position: int,
) -> Any:
    if place:
        return None
    return advanced_index_gradient(g, *indices, shape=x_type.shape, axes=axes, position=position)


def _selected(
    ndim: int, indices: Sequence[TensorType], axes: Sequence[int], position: int
) -> tuple[str, list[str], str] | None:
    """Return the subscripts of the operand, the indices and the result; None with a mask."""
    if any(t.dtype == np.bool_ for t in indices):
        return None
    letters = iter(ascii_lowercase)
    whole = "".join(["@" if axis in axes else next(letters) for axis in range(ndim)])
    rest = whole.replace("@", "")
    selected = ascii_uppercase[: max(t.ndim for t in indices)]
    parts = [selected[len(selected) - t.ndim :] for t in indices]
    return whole, parts, rest[:position] + selected + rest[position:]


def _advanced_subscripts(
    x: TensorType, *indices: TensorType, axes: tuple[int, ...], position: int
) -> str:
    found = _selected(x.ndim, indices, axes, position)
    return "" if found is None else f"{found[0]},{','.join(found[1])}->{found[2]}"


def _advanced_gradient_subscripts(
    _g: TensorType, *indices: TensorType, shape: Shape, axes: tuple[int, ...], position: int
) -> str:
    found = _selected(len(shape), indices, axes, position)
    return "" if found is None else f"{found[2]},{','.join(found[1])}->{found[0]}"


def _advanced_set_subscripts(
    x: TensorType,
    value: TensorType,
    *indices: TensorType,
    axes: tuple[int, ...],
    position: int,
) -> str:
    found = _selected(x.ndim, indices, axes, position)
    if found is None or value.ndim > len(found[2]):
        return ""
    placed = found[2][len(found[2]) - value.ndim :]
    return f"{found[0]},{placed},{','.join(found[1])}->{found[0]}"


_ROWS, _COLUMNS = np.array([[0], [2]]), np.array([1, 3, 1])

advanced_index: Op = register(
    Op(
        name="advanced_index",
        public=False,
        kind=Kind.INDEXING,
        arity=None,
        selection=_advanced_subscripts,
        kernel=_advanced_index_kernel,
        infer=_advanced_index_infer,
        vjp=_advanced_index_rule,
        attrs={"axes": ..., "position": ...},
        examples=(
            example((3, 4), _ROWS, _COLUMNS, axes=(0, 1), position=0),
            example((2, 3, 4), _ROWS, _COLUMNS, axes=(1, 2), position=1),
            example((3, 2, 4), _ROWS, _COLUMNS, axes=(0, 2), position=0),
            example((3, 2, 4), _COLUMNS, axes=(2,), position=0),
            example((3, 4), np.array(1), np.array(-1), axes=(0, 1), position=0),
        ),
        doc="Select with index arrays, one an axis of `axes`, that broadcast together; the "
        "selected axes stand at `position` among those that remain. A mask covers several axes.",
    )
)

advanced_index_gradient: Op = register(
    Op(
        name="advanced_index_gradient",
        public=False,
        kind=Kind.INDEXING,
        arity=None,
        selection=_advanced_gradient_subscripts,
        kernel=_advanced_index_gradient_kernel,
        infer=lambda g, *indices, shape, axes, position: TensorType(shape, g.dtype),
        vjp=lambda place, h, _out, _g, *indices, shape, axes, position: (
            None if place else advanced_index(h, *indices, axes=axes, position=position)
        ),
        attrs={"shape": ..., "axes": ..., "position": ...},
        examples=(
            example((2, 3), _ROWS, _COLUMNS, shape=(3, 4), axes=(0, 1), position=0),
            example((2, 2, 3), _ROWS, _COLUMNS, shape=(2, 3, 4), axes=(1, 2), position=1),
        ),
        doc="Add the elements of g into zeros of `shape` where they were selected: the gradient of "
        "advanced_index.",
    )
)


def _advanced_set_kernel(
    x: Array, value: Any, *indices: Array, axes: tuple[int, ...], position: int
) -> Array:
    check_kind("advanced_set", x, np.asarray(value))
    arrays, positions = _selectors("advanced_set", x.shape, indices, axes)
    result = np.array(x)
    natural = _natural_position(positions)
    if natural != position:
        count = max(a.ndim for a in arrays)
        selected = broadcast_shapes(*(a.shape for a in arrays))
        rest = tuple(n for axis, n in enumerate(x.shape) if axis not in positions)
        target = rest[:position] + selected + rest[position:]
        value = _move(np.broadcast_to(value, target), count, position, natural)
    try:
        result[_numpy_key(x.ndim, arrays, positions)] = value
    except IndexError:
        raise_out_of_range("advanced_set", x.shape, arrays, positions)
    return result


def _advanced_set_infer(
    x: TensorType,
    value: TensorType,
    *indices: TensorType,
    axes: tuple[int, ...],
    position: int,
) -> TensorType:
    check_kind("advanced_set", x, value)
    if all(t.dtype != np.bool_ for t in indices):
        target = _advanced_shape("advanced_set", x.shape, indices, axes, position)
        check_value("advanced_set", value.shape, target)
    else:
        for selector, axis in zip(indices, axes):
            if selector.dtype == np.bool_:
                check_mask(selector.shape, x.shape[axis:], "advanced_set: ")
    return x


def check_kind(name: str, x: Any, value: Any) -> None:
    """Refuse complex numbers that are assigned to elements of a real array.

    Parameters
    ----------
    name : str
        What the user called.
    x, value : array or TensorType

    Raises
    ------
    DTypeError
    """
    if value.dtype.kind == "c" and x.dtype.kind != "c":
        raise DTypeError(
            f"{name}: a value of {value.dtype} in an array of {x.dtype}",
            cause="the imaginary part would be lost",
            fix="convert x first, or take real(value)",
        )


def check_value(name: str, value: Shape, target: Shape) -> None:
    """Refuse a value that does not broadcast to the elements it is assigned to.

    Raises
    ------
    ShapeError
    """
    # as in NumPy, the value may have further axes of length 1 on the left
    trimmed = value
    while len(trimmed) > len(target) and trimmed[0] == 1:
        trimmed = trimmed[1:]
    fits = len(trimmed) <= len(target) and all(
        n in (1, m) for n, m in zip(trimmed[::-1], target[::-1])
    )
    if not fits:
        raise ShapeError(
            f"{name}: a value of shape {value} cannot fill a selection of shape {target}",
            cause="the value must broadcast to what the index selects",
            fix="select with an index of the value's shape, or reshape the value",
        )


def align_value(gradient: Any, value_type: TensorType) -> Any:
    """Return the gradient of an assigned value, with the extra axes on the left that it had."""
    extra = value_type.ndim - len(gradient.shape)
    return gradient.reshape((1,) * extra + tuple(gradient.shape)) if extra > 0 else gradient


def _distinct(indices: Sequence[Any]) -> bool:
    """Tell whether it is known that the index arrays name no element twice."""
    if all(index.dtype == np.bool_ for index in indices):
        return True
    if len(indices) > 1 or not isinstance(indices[0], np.ndarray):
        return False
    (index,) = indices
    return bool((index >= 0).all()) and len(np.unique(index)) == index.size


def _of_last(
    gradient: Any, shape: Shape, indices: Sequence[Any], axes: tuple[int, ...], position: int
) -> Any:
    """Return `gradient` with zeros for the values that a later value overwrote."""
    order = np.arange(prod(gradient.shape)).reshape(gradient.shape)
    placed = advanced_set(
        np.zeros(shape, order.dtype), order, *indices, axes=axes, position=position
    )
    stayed = advanced_index(placed, *indices, axes=axes, position=position) == order
    return where(stayed, gradient, np.zeros((), gradient.dtype))


def _advanced_set_rule(
    place: int,
    g: Any,
    _out: Any,
    x_type: TensorType,
    value_type: TensorType,
    *indices: Any,
    axes: tuple[int, ...],
    position: int,
) -> Any:
    if place == 0:
        return advanced_set(g, np.zeros((), g.dtype), *indices, axes=axes, position=position)
    if place == 1:
        gradient = advanced_index(g, *indices, axes=axes, position=position)
        if not _distinct(indices):
            gradient = _of_last(gradient, x_type.shape, indices, axes, position)
        return align_value(gradient, value_type)
    return None


def _where_masked(
    x: Any, value: Any, *indices: Any, axes: tuple[int, ...], position: int
) -> Any | None:
    """Return an assignment to the elements of a mask as a choice; None if it is another one.

    It is one where the value is the same for all elements that the mask may select.
    """
    if len(indices) != 1 or indices[0].dtype != np.bool_:
        return None
    (mask,) = indices
    behind = len(x.shape) - axes[0] - len(mask.shape)
    # the axes of what is selected: those in front, one for the mask, those behind
    lengths = (1,) * (axes[0] + 1 + behind - len(value.shape)) + tuple(value.shape)
    if position != axes[0] or len(lengths) > axes[0] + 1 + behind or lengths[axes[0]] != 1:
        return None
    value = cast(value, dtype=x.dtype) if value.dtype != x.dtype else value
    ones = (1,) * len(mask.shape)
    value = reshape(value, shape=(*lengths[: axes[0]], *ones, *lengths[axes[0] + 1 :]))
    mask = reshape(mask, shape=(*mask.shape, *(1,) * behind))
    return where(mask, value, x)


advanced_set: Op = register(
    Op(
        name="advanced_set",
        public=False,
        kind=Kind.INDEXING,
        arity=None,
        selection=_advanced_set_subscripts,
        lowering=_where_masked,
        kernel=_advanced_set_kernel,
        infer=_advanced_set_infer,
        vjp=_advanced_set_rule,
        attrs={"axes": ..., "position": ...},
        examples=(
            example(
                (3, 4), (2, 2), np.array([[0], [2]]), np.array([1, 3]), axes=(0, 1), position=0
            ),
            example((5, 3), (3,), np.array([0, 4]), axes=(0,), position=0),
            example((3, 2, 4), (2, 1, 2), np.array([1, 3]), axes=(2,), position=0),
        ),
        doc="Return a copy of x with the elements that advanced_index selects replaced by value. "
        "Where an index repeats, the last value stays.",
    )
)
