"""PyTensor: the program is declared on symbols, compiled by ``pytensor.function``, then called."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor
from pytensor import tensor

from oplibrary.values.tree import flatten, map_tree, unflatten
from sidebyside.measuring.clock import time_once
from sidebyside.modes.conversion import max_pool2d, numbers
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import Loss, program_of
from sidebyside.workloads.workload import Workload

pt: Any = tensor

BACKEND = "NUMBA"
"""PyTensor's backend; the default of its version 3, and it needs no C compiler."""


class Symbol:
    """A variable of PyTensor whose shape is known, as the programs of workloads expect it.

    Parameters
    ----------
    variable : pytensor variable
    """

    __slots__ = ("variable",)
    __hash__ = object.__hash__

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as integers; PyTensor's own is a vector of symbols."""
        return tuple(self.variable.type.shape)

    @property
    def dtype(self) -> Any:
        """The dtype as NumPy has it."""
        return np.dtype(self.variable.type.dtype)

    def __getattr__(self, name: str) -> Any:
        return wrapped(getattr(self.variable, name))

    def __getitem__(self, index: Any) -> Symbol:
        return Symbol(self.variable[_bare(index)])

    def __bool__(self) -> bool:
        raise TypeError(
            "a variable of PyTensor has no truth value while the program is declared; "
            "`if` and `while` on values need pytensor.ifelse or pytensor.scan"
        )


def _bare(tree: Any) -> Any:
    """Return `tree` with the variables of its symbols."""
    return map_tree(lambda leaf: leaf.variable if isinstance(leaf, Symbol) else leaf, tree)


def wrapped(found: Any) -> Any:
    """Return what PyTensor gives as a `Symbol`, or a function that returns such."""
    if isinstance(found, pytensor.graph.basic.Variable):
        return Symbol(found)
    if isinstance(found, (tuple, list)):
        return type(found)(map(wrapped, found))
    if not callable(found) or isinstance(found, type):
        return found

    def call(*arguments: Any, **keywords: Any) -> Any:
        return wrapped(found(*_bare(arguments), **_bare(keywords)))

    return call


def _add_operators() -> None:
    def forward(apply: Callable[..., Any], *operands: Any) -> Symbol:
        return Symbol(apply(*_bare(operands)))

    def backward(apply: Callable[..., Any], right: Any, left: Any) -> Symbol:
        return Symbol(apply(*_bare((left, right))))

    names = "add sub mul truediv floordiv mod pow matmul and_ or_ xor".split()
    for name in names:
        apply, slot = getattr(operator, name), name.strip("_")
        setattr(Symbol, f"__{slot}__", lambda x, y, apply=apply: forward(apply, x, y))
        setattr(Symbol, f"__r{slot}__", lambda x, y, apply=apply: backward(apply, x, y))
    comparisons = {name: getattr(operator, name) for name in ("lt", "le", "gt", "ge")}
    # of these PyTensor makes comparisons of its variables themselves
    comparisons |= {"eq": pt.eq, "ne": pt.neq}
    for name, apply in comparisons.items():
        setattr(Symbol, f"__{name}__", lambda x, y, apply=apply: forward(apply, x, y))
    for name in ("neg", "abs", "invert"):
        apply = getattr(operator, name)
        setattr(Symbol, f"__{name}__", lambda x, apply=apply: forward(apply, x))


_add_operators()


_SPELLED = {"amax": "max", "amin": "min", "concat": "concatenate"}


class PyTensorNamespace:
    """The functions of ``pytensor.tensor``, and those that it does not have."""

    bool, int32, int64, float32, float64 = "bool", "int32", "int64", "float32", "float64"

    def __getattr__(self, name: str) -> Any:
        found = wrapped(getattr(pt, _SPELLED.get(name, name)))
        setattr(self, name, found)
        return found

    @staticmethod
    def relu(x: Any) -> Any:
        """Return `x` where it is positive, and else 0."""
        return NAMESPACE.where(x > 0, x, np.zeros((), x.dtype))

    @staticmethod
    def conv2d(x: Any, weight: Any, stride: int = 1, padding: int = 0) -> Any:
        """Return the convolution of ``(n, c, h, w)`` by ``(d, c, k, l)``.

        One product of matrices a place in the filter: PyTensor has no convolution with channels.
        """
        x, weight = x.variable, weight.variable
        n, _, height, width = x.type.shape
        outward, inward, rows, columns = weight.type.shape
        high = (height + 2 * padding - rows) // stride + 1
        wide = (width + 2 * padding - columns) // stride + 1
        padded = pt.zeros((n, inward, height + 2 * padding, width + 2 * padding), x.dtype)
        inner = padded[:, :, padding : padding + height, padding : padding + width]
        padded = pt.set_subtensor(inner, x)
        total: Any = 0
        for row in range(rows):
            down = slice(row, row + stride * (high - 1) + 1, stride)
            for column in range(columns):
                across = slice(column, column + stride * (wide - 1) + 1, stride)
                part = padded[:, :, down, across]
                matrix = part.transpose(0, 2, 3, 1).reshape((n * high * wide, inward))
                total = total + matrix @ weight[:, :, row, column].T
        return Symbol(total.reshape((n, high, wide, outward)).transpose(0, 3, 1, 2))

    def max_pool2d(self, x: Any, kernel_size: int) -> Any:
        """Return the maximum of each square of ``(n, c, h, w)``."""
        return max_pool2d(self, x, kernel_size)


NAMESPACE = PyTensorNamespace()


def declare(workload: Workload, inputs: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Return the variables of a call of the workload: its inputs, and its results."""
    arrays, structure = flatten(list(inputs))
    leaves = [pt.tensor(dtype=x.dtype.name, shape=x.shape) for x in map(np.asarray, arrays)]
    arguments = unflatten(structure, [Symbol(leaf) for leaf in leaves])
    return leaves, _bare(numbers(program_of(workload, NAMESPACE, _gradient)(*arguments)))


def _gradient(loss: Loss, leaves: list[Any]) -> tuple[Any, list[Any], Sequence[Any]]:
    value, others = loss()
    value = NAMESPACE.sum(value)
    found = pytensor.grad(value.variable, _bare(leaves), disconnected_inputs="ignore")
    return value, others, wrapped(found)


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready; Numba makes machine code at the first call."""
    arrays = [np.asarray(x) for x in flatten(list(inputs))[0]]
    double = any(x.dtype in (np.float64, np.complex128) for x in arrays)
    flags = {"floatX": "float64" if double else "float32", "numba__cache": False}
    # of no concern: Numba calls SciPy's BLAS, and PyTensor chose the layout of its matrices
    warnings.filterwarnings("ignore", "PyTensor could not link to a BLAS")
    warnings.filterwarnings("ignore", r"(?s).*np\.dot\(\) is faster on contiguous arrays")
    # Python's numbers take floatX, and so do not widen those beside them
    with pytensor.config.change_flags(**flags):
        declaring, (leaves, results) = time_once(lambda: declare(workload, inputs))
        compiling, call = time_once(lambda: pytensor.function(leaves, results, mode=BACKEND))
    call.trust_input = True  # the arrays have the dtypes and shapes that were declared
    return Prepared(call, given=arrays, build={"declare": declaring, "compile": compiling})


PYTENSOR = Mode("pytensor", "PyTensor", prepare, namespace=NAMESPACE, counts_memory=True)
