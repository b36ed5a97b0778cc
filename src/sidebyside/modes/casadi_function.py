"""CasADi: the graph that staticgraph declares, gradients included, as one of CasADi's functions.

A value is a column of CasADi's matrix expressions, its elements in row-major order. CasADi counts
in doubles and on one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import casadi
import numpy as np

from oplibrary.core.op import Kind
from oplibrary.messages.errors import BackendError
from oplibrary.values.tree import flatten
from oplibrary.values.types import Array
from sidebyside.measuring.clock import time_once
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.static import trace
from sidebyside.workloads.workload import Workload
from staticgraph.backends.native.definitions.expansion import expand
from staticgraph.declare.lower import lower
from staticgraph.program.program import Instruction, Program

ca: Any = casadi

_LARGEST_EXPANDED = 64
"""A program of no larger values is written out into single numbers, which is then quicker."""

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(ca, name) for name in "acos acosh asin asinh atan atanh cos cosh".split()},
    **{name: getattr(ca, name) for name in "erf exp expm1 log log1p log10 sin sinh".split()},
    **{name: getattr(ca, name) for name in "sqrt tan tanh floor ceil".split()},
    "abs": ca.fabs,
    "real": lambda x: x,
    "imag": lambda _: ca.MX(0),
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": ca.power,
    "negative": lambda x: -x,
    "positive": lambda x: x,
    "floor_divide": lambda x, y: ca.floor(x / y),
    "min": lambda *xs: _folded(ca.fmin, xs),
    "max": lambda *xs: _folded(ca.fmax, xs),
    "equal": ca.eq,
    "not_equal": ca.ne,
    "less": ca.lt,
    "less_equal": ca.le,
    "greater": ca.gt,
    "greater_equal": ca.ge,
    "logical_not": ca.logic_not,
    "logical_and": lambda *xs: _folded(ca.logic_and, xs),
    "logical_or": lambda *xs: _folded(ca.logic_or, xs),
    "where": lambda c, x, y: ca.if_else(c, x, y, False),
}
"""The operators of scalar expressions."""
_OF_TRUTH = {"bitwise_and": ca.logic_and, "bitwise_or": ca.logic_or, "bitwise_xor": ca.ne}
"""What is bit by bit is known for truth values only."""
_COMBINED = {"max": ca.fmax, "min": ca.fmin, "and": ca.logic_and, "or": ca.logic_or}


def _folded(function: Callable[..., Any], parts: Sequence[Any]) -> Any:
    result = parts[0]
    for part in parts[1:]:
        result = function(result, part)
    return result


def function_of(program: Program) -> Any:
    """Return a program as a function of CasADi, of dense columns.

    Raises
    ------
    BackendError
        If an instruction has no form there; it is named.
    """
    program = expand(program)
    columns: dict[Any, Any] = {
        value: ca.DM(np.asarray(array, "float64").reshape(-1))
        for value, array in program.constants.items()
    }
    inputs = [ca.MX.sym(f"x{i}", value.type.size) for i, value in enumerate(program.inputs)]
    columns |= zip(program.inputs, inputs, strict=True)
    largest = max((value.type.size for value in program.inputs), default=0)
    for instruction in program.instructions:
        column = _written(instruction, [ca.MX(columns[value]) for value in instruction.inputs])
        columns[instruction.output] = column
        largest = max(largest, instruction.output.type.size)
    outputs = [ca.densify(ca.MX(columns[value])) for value in program.outputs]
    function = ca.Function("program", inputs, outputs)
    return function.expand() if largest <= _LARGEST_EXPANDED else function


def _written(instruction: Instruction, operands: list[Any]) -> Any:
    """Return the column of an instruction's result."""
    op = instruction.op
    types = [value.type for value in (*instruction.inputs, instruction.output)]
    if any(type_.dtype.kind == "c" for type_ in types):
        _refuse(instruction, "it has no complex numbers")
    if op.kind is Kind.ELEMENTWISE and op.expression is not None:
        return _elementwise(instruction, operands)
    if op.kind is Kind.REDUCTION and op.combine:
        return _reduction(instruction, operands[0])
    if op.contraction is not None:
        return _contraction(instruction, operands)
    if op.kind in (Kind.MOVEMENT, Kind.INDEXING) and op.selection is None:
        return _moved(instruction, operands)
    return _refuse(instruction, "it is not among its operations, nor made of them")


def _refuse(instruction: Instruction, why: str) -> NoReturn:
    raise BackendError(
        f"{instruction.op.name} has no form in CasADi",
        source=instruction.sources[0] if instruction.sources else None,
        cause=why,
        fix="leave the mode out for this program",
    )


def _taken(column: Any, positions: Array) -> Any:
    """Return the elements at those positions, as a column."""
    positions = positions.reshape(-1)
    if np.array_equal(positions, np.arange(column.numel())):
        return column
    return ca.vec(column[positions.tolist()])  # of one element it makes a row


def _positions(shape: Sequence[int]) -> Array:
    return np.arange(int(np.prod(shape))).reshape(tuple(shape))


def _elementwise(instruction: Instruction, operands: list[Any]) -> Any:
    result, expression = instruction.output.type, instruction.op.expression
    assert expression is not None
    wide = [
        column
        if column.numel() in (1, result.size)
        else _taken(column, np.broadcast_to(_positions(value.type.shape), result.shape))
        for column, value in zip(operands, instruction.inputs, strict=True)
    ]
    truths = all(value.type.dtype.kind == "b" for value in instruction.inputs)

    def operation(name: str, parts: Sequence[Any]) -> Any:
        if name == "cast":
            return _cast(parts[0], instruction.inputs[0].type.dtype, result.dtype)
        known = _FUNCTIONS.get(name) or (_OF_TRUTH.get(name) if truths else None)
        if known is None:
            _refuse(instruction, f"it has no {name} of one number")
        return known(*parts)

    column = expression.bind(instruction.attrs).fold(
        wide.__getitem__, lambda number: number, operation
    )
    column = ca.MX(column)
    return ca.repmat(column, result.size, 1) if column.numel() < result.size else column


def _cast(column: Any, given: np.dtype[Any], wanted: np.dtype[Any]) -> Any:
    if wanted.kind == "b":
        return ca.ne(column, 0)
    if given.kind == "f" and wanted.kind in "iu":
        return ca.if_else(ca.lt(column, 0), ca.ceil(column), ca.floor(column), False)
    return column


def _reduction(instruction: Instruction, column: Any) -> Any:
    op, operand = instruction.op, instruction.inputs[0].type
    # which elements become one: those that share a position in the result
    shape = instruction.output.type.shape
    whole = op.infer(operand, **{**instruction.attrs, "keepdims": True}).shape
    inner = [i for i, (n, m) in enumerate(zip(operand.shape, whole, strict=True)) if n != m]
    outer = [i for i in range(operand.ndim) if i not in inner]
    order = _positions(operand.shape).transpose(*outer, *inner)
    size = int(np.prod(shape))
    if not size or not operand.size:
        _refuse(instruction, "nothing is reduced")
    rows = ca.reshape(_taken(column, order), operand.size // size, size)  # a column for each result
    if op.combine == "add":
        return ca.sum1(rows).T
    if op.combine not in _COMBINED:
        _refuse(instruction, f"it has no reduction by {op.combine}")
    return _folded(_COMBINED[op.combine], ca.vertsplit(rows)).T


def _contraction(instruction: Instruction, operands: list[Any]) -> Any:
    """Return products of matrices, one for each place along the axes that all three have."""
    types = [value.type for value in instruction.inputs]
    if len(types) != 2 or instruction.op.contraction is None:
        _refuse(instruction, "it is not a product of two")
    both, made = instruction.op.contraction(*types, **instruction.attrs).split("->")
    left, right = both.split(",")
    lengths = {
        letter: max(
            n for part, t in zip((left, right), types) for k, n in zip(part, t.shape) if k == letter
        )
        for letter in left + right
    }
    shared = [k for k in made if k in left and k in right]
    rows = [k for k in made if k in left and k not in right]
    columns = [k for k in made if k in right and k not in left]
    summed = [k for k in lengths if k not in made]
    if any(k not in left or k not in right for k in summed):
        _refuse(instruction, "it sums over an axis of one operand")
    count, n, m, inner = (
        int(np.prod([lengths[k] for k in part])) for part in (shared, rows, columns, summed)
    )

    def matrices(position: int, letters: str, order: Sequence[str], high: int) -> Any:
        type_ = types[position]
        whole = np.broadcast_to(_positions(type_.shape), [lengths[k] for k in letters])
        axes = [letters.index(k) for k in order]
        column = _taken(operands[position], whole.transpose(axes))
        wide = column.numel() // high
        return ca.horzsplit(ca.reshape(column, high, wide), wide // count)

    # column-major, as CasADi's are: the axis that runs quickest comes down first
    firsts = matrices(0, left, [*shared, *rows, *summed], inner)
    seconds = matrices(1, right, [*shared, *summed, *columns], m)
    products = [
        ca.reshape(ca.mtimes(second, first), n * m, 1)
        for first, second in zip(firsts, seconds, strict=True)
    ]
    found = _positions([lengths[k] for k in (*shared, *rows, *columns)])
    return _taken(
        ca.vertcat(*products), found.transpose([[*shared, *rows, *columns].index(k) for k in made])
    )


def _moved(instruction: Instruction, operands: list[Any]) -> Any:
    """Return elements of the operands at other places, and numbers between them.

    Where each comes from is found by moving positions in place of elements.
    """
    total = sum(column.numel() for column in operands)
    found: list[Array] = []
    for start in (0, total):
        moving, first = [], start
        for value in instruction.inputs:
            moving.append(_positions(value.type.shape) + float(first))
            first += value.type.size
        found.append(np.asarray(instruction.op.kernel(*moving, **instruction.attrs)).reshape(-1))
    moved = found[1] - found[0] == total
    if not np.all(moved | (found[0] == found[1])):
        _refuse(instruction, "it computes while it moves")
    numbers = np.where(moved, 0.0, found[0])
    rest = sorted(set(numbers[~moved].tolist()))
    positions = np.where(moved, found[0], 0).astype("int64")
    positions[~moved] = total + np.searchsorted(rest, numbers[~moved])
    return _taken(ca.vertcat(*operands, *rest), positions)


# calls --------------------------------------------------------------------------------------------


def _declared(workload: Workload, inputs: Sequence[Any]) -> tuple[Any, Program, dict[str, float]]:
    tracing, graph = time_once(lambda: trace(workload, inputs))
    program = lower(graph, graph.outputs, graph.inputs)
    declaring, function = time_once(lambda: function_of(program))
    return function, program, {"trace": tracing, "declare": declaring}


def _columns(inputs: Sequence[Any]) -> list[Array]:
    leaves = flatten(list(inputs))[0]
    return [np.array(leaf, "float64", order="C").reshape(-1) for leaf in leaves]


def _shaped(program: Program, columns: Sequence[Any]) -> list[Array]:
    """Return results in the shapes and dtypes that were declared."""
    return [
        np.asarray(column, "float64").reshape(value.type.shape).astype(value.type.dtype)
        for column, value in zip(columns, program.outputs, strict=True)
    ]


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready for calls with matrices of CasADi's."""
    function, program, build = _declared(workload, inputs)
    given = [[ca.DM(column) for column in _columns(inputs)]]
    return Prepared(function.call, arrays=partial(_shaped, program), given=given, build=build)


def prepare_buffer(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready for calls on memory that stays the same, which are its quickest."""
    function, program, build = _declared(workload, inputs)
    buffer, run = function.buffer()
    columns = _columns(inputs)
    results = [np.zeros(value.type.size) for value in program.outputs]
    for i, column in enumerate(columns):
        buffer.set_arg(i, column.data)
    for i, result in enumerate(results):
        buffer.set_res(i, result.data)
    run.kept = (function, buffer, columns, results)  # it works on their bare addresses
    return Prepared(run, arrays=lambda _: _shaped(program, results), build=build)


CASADI = Mode("casadi", "CasADi", prepare)
CASADI_BUFFER = Mode("casadi:buffer", "CasADi, bound to memory", prepare_buffer)
