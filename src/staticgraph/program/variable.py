"""Variable: state that is kept between runs."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import numpy as np

from oplibrary.core.dispatch import HELD
from oplibrary.messages.errors import ArgumentError, DTypeError, ShapeError
from oplibrary.values.data import copy_of, has_dtype, to_numbers
from oplibrary.values.dtypes import BREADTH
from oplibrary.values.types import Array, TensorType


class Variable:
    """State that is kept between runs: the array behind a variable node.

    Parameters
    ----------
    name : str
    array : numpy.ndarray
        The first value, which nobody else writes to; its type is the variable's.

    Attributes
    ----------
    name : str
    type : TensorType
        Of every value that it holds.
    stored : numpy.ndarray
        The current value, for what runs programs: a run reads it when it starts and replaces it
        when it ends; the array itself is never written to. Nothing is checked here.
    """

    __slots__ = ("name", "stored", "type")

    def __init__(self, name: str, array: Array) -> None:
        self.name = name
        self.type = TensorType(array.shape, array.dtype)
        self.stored = array

    @property
    def value(self) -> Array:
        """The current value. What is assigned is checked and copied.

        Python numbers and lists take the variable's dtype; an array must have its shape and dtype.

        Raises
        ------
        ShapeError, DTypeError
            If another value is assigned.
        ArgumentError
            If it is deleted.
        """
        return self.stored

    @value.setter
    def value(self, value: Any) -> None:
        array = to_numbers(value, None, "variable's value")
        weak = isinstance(value, (int, float, complex, list, tuple)) and not has_dtype(value)
        if weak and BREADTH[array.dtype.kind] <= BREADTH[self.type.dtype.kind]:
            array = to_numbers(value, self.type.dtype, "variable's value")
        check_replaced(self.type, TensorType(array.shape, array.dtype))
        array = copy_of(array, "variable", self.type.dtype)
        array.flags.writeable = False
        self.stored = array

    @value.deleter
    def value(self) -> None:
        raise ArgumentError(
            f"the value of the variable {self.name!r} was deleted",
            cause="every run reads it",
            fix="assign another value of the same shape and dtype",
        )

    def in_order(self) -> Array:
        """Return the current value, row-major and aligned, for what reads it by its address.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            If something else was put in its place, or its own shape or dtype were set.
        """
        array = getattr(self, "stored", None)
        if not isinstance(array, np.ndarray):
            raise ArgumentError(
                f"the variable {self.name!r} holds a {type(array).__name__}",
                cause="its value was replaced by something that is no array",
                fix="assign an array to the variable's value",
            )
        check_replaced(self.type, TensorType(array.shape, array.dtype))
        return np.require(array, requirements=("C_CONTIGUOUS", "ALIGNED"))

    def __reduce__(self) -> Any:
        return _variable_of, (self.name, self.stored)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        return Variable(self.name, self.stored)  # an array of state is replaced, never written to

    def __repr__(self) -> str:
        return f"Variable({self.name!r})"


def _variable_of(name: str, array: Array) -> Variable:
    array.flags.writeable = False
    return Variable(name, array)


def check_replaced(held: TensorType, given: TensorType) -> None:
    """Refuse a value of the type `given` in place of one of the type `held`.

    Raises
    ------
    ShapeError, DTypeError
    """
    if held.shape != given.shape:
        raise ShapeError(
            f"a value of shape {given.shape} cannot replace one of shape {held.shape}",
            cause="a variable keeps its shape from run to run",
            fix="reshape or reduce the value to the variable's shape",
        )
    if held.dtype != given.dtype:
        raise DTypeError(
            f"a value of dtype {given.dtype} cannot replace one of dtype {held.dtype}",
            cause="a variable keeps its dtype from run to run",
            fix=f'write value.astype("{held.dtype}")',
        )


HELD[Variable] = attrgetter("stored")
