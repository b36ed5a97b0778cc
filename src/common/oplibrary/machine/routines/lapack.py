"""Linear systems, inverses and Cholesky factors, by the LAPACK that NumPy brings: its bits.

LAPACK goes down columns: each matrix is copied into a column after the other, as NumPy does it. So
does NumPy compute in double precision, whatever the result is rounded to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from oplibrary.machine.code import Code
from oplibrary.machine.elements import FLOAT32, FLOAT64, Unsupported, element_of
from oplibrary.machine.foreign.functions import declare, lapack
from oplibrary.machine.memory_access import Index, linear_offset
from oplibrary.machine.module import Module
from oplibrary.machine.register import Register
from oplibrary.machine.routines.routine import Routine, each_of, weighed
from oplibrary.machine.target import host_target
from oplibrary.values.types import Shape, TensorType

_NANOSECONDS = 0.3
"""About what a multiplication takes."""
_CALL = 500.0

Types = Sequence[TensorType]
Attrs = Mapping[str, Any]
Turned = tuple[int, ...]
"""Axes that are gone through from their end."""


def solutions(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the solutions of linear systems."""
    return _routine("solutions", types, result, "gesv", _write_solution, ())


def inverses(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of inverse matrices."""
    return _routine("inverses", types, result, "gesv", _write_inverse, ())


def inverses_or_nan(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of inverse matrices, NaN where there is none."""
    return _routine("inverses or NaN", types, result, "gesv", _write_inverse, (), refuses=False)


def triangular_solutions(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of the solutions of triangular systems."""
    words = ("U", "N", "U" if attrs["unit_diagonal"] else "N")
    write = _write_turned if attrs["lower"] else _write_solution
    return _routine(f"{write.__name__} trtrs", types, result, "trtrs", write, words)


def factors(types: Types, result: TensorType, attrs: Attrs) -> Routine:
    """Return the routine of Cholesky factors."""
    words = ("U" if attrs["upper"] else "L",)
    return _routine("factors", types, result, "potrf", _write_factor, words)


class _Problem:
    """One matrix of a batch, with what belongs to it.

    Parameters
    ----------
    code : Code
    element : str
    lengths : (int, int)
        Rows of the matrix, and columns of the result.
    function : str
    words : tuple of str
        Letters that say what is asked for.
    operands : list of Register
        The first elements of the matrices.
    memory : Register
        For copies of the operands by columns, pivots and integers.
    """

    def __init__(
        self,
        code: Code,
        element: str,
        lengths: tuple[int, int],
        function: str,
        words: tuple[str, ...],
        memory: Register,
    ) -> None:
        self.code, self.element, self.function, self.words = code, element, function, words
        self.rows, self.columns = lengths
        self.matrix = memory
        self.right = code.address(memory, self.rows * self.rows, "double")
        self.integers = code.address(self.right, self.rows * self.columns, "double")

    def read(self, source: Register, target: Register, columns: int, turned: Turned = ()) -> None:
        """Write a matrix of rows, of the order of the system, as one of columns."""
        rows, code = self.rows, self.code
        given, taken = _steps((rows, columns), (columns, 1), turned), (0, 1, rows)

        def one(where: Sequence[Index]) -> None:
            value = code.load(self._at(source, given, where, "double"), "double")
            code.store(value, self._at(target, taken, where, "double"))

        self._each(rows, columns, one)

    def write(self, source: Register, target: Register, columns: int, turned: Turned = ()) -> None:
        """Write a matrix of columns, of the order of the system, as the result."""
        rows = self.rows
        taken = _steps((rows, columns), (columns, 1), turned)

        def one(where: Sequence[Index]) -> None:
            value = self.code.load(self._at(source, (0, 1, rows), where, "double"), "double")
            self.store(value, self._at(target, taken, where, self.element))

        self._each(rows, columns, one)

    def store(self, value: Register, address: Register) -> None:
        """Write an element of the result."""
        if self.element == "float":
            value = self.code.cast("fptrunc", value, "float")
        self.code.store(value, address)

    def _at(
        self, base: Register, steps: tuple[int, int, int], where: Sequence[Index], element: str
    ) -> Register:
        start, *rest = steps
        return self.code.address(base, linear_offset(self.code, start, rest, where), element)

    def _each(self, rows: int, columns: int, body: Callable[[Sequence[Index]], None]) -> None:
        each_of(
            self.code,
            rows,
            lambda row: each_of(self.code, columns, lambda column: body((row, column))),
        )

    def fill(
        self, target: Register, element: str, value: Callable[[Index, Index], Register]
    ) -> None:
        """Write a matrix like the result, element by element."""

        def one(where: Sequence[Index]) -> None:
            address = self._at(target, (0, self.columns, 1), where, element)
            found = value(*where)
            if element == found.element:
                self.code.store(found, address)
            else:
                self.store(found, address)

        self._each(self.rows, self.columns, one)

    def call(self) -> Register:
        """Write the call; return whether it found no answer."""
        code = self.code
        info, order, sides = (code.address(self.integers, i, "i64") for i in range(3))
        pivots = code.address(self.integers, 3, "i64")
        for place, value in ((info, 0), (order, self.rows), (sides, self.columns)):
            code.store(code.constant(value, "i64"), place)
        letters = []
        for number, word in enumerate(self.words):
            place = code.address(self.integers, 8 * (3 + self.rows) + number, "i8")
            code.store(code.constant(ord(word), "i8"), place)
            letters.append(place)
        a, b = self.matrix, self.right
        arguments = {
            "gesv": [order, sides, a, order, pivots, b, order, info],
            "trtrs": [*letters, order, sides, a, order, b, order, info],
            "potrf": [*letters, order, a, order, info],
        }[self.function]
        listed = ", ".join(f"ptr {each.ref}" for each in arguments)
        code.statement(f"call void @{lapack('d' + self.function)}({listed})")
        # of 32 or of 64 bits, as LAPACK was built; both were 0
        return code.cast("trunc", code.load(info, "i64"), "i32").differs(0)


Write = Callable[[_Problem, Sequence[Register], Register], Register]


def _write_solution(problem: _Problem, operands: Sequence[Register], target: Register) -> Register:
    problem.read(operands[0], problem.matrix, problem.rows)
    problem.read(operands[1], problem.right, problem.columns)
    failed = problem.call()
    problem.write(problem.right, target, problem.columns)
    return failed


def _write_turned(problem: _Problem, operands: Sequence[Register], target: Register) -> Register:
    """Write a lower triangular system as an upper one, rows and columns turned, as the kernel."""
    problem.read(operands[0], problem.matrix, problem.rows, (0, 1))
    problem.read(operands[1], problem.right, problem.columns, (0,))
    failed = problem.call()
    problem.write(problem.right, target, problem.columns, (0,))
    return failed


def _write_inverse(problem: _Problem, operands: Sequence[Register], target: Register) -> Register:
    code = problem.code
    problem.read(operands[0], problem.matrix, problem.rows)

    def one(row: Index, column: Index) -> Register:
        return code.cast("uitofp", _equal(code, row, column), "double")

    problem.fill(problem.right, "double", one)
    failed = problem.call()
    problem.write(problem.right, target, problem.rows)
    return failed


def _write_factor(problem: _Problem, operands: Sequence[Register], target: Register) -> Register:
    code = problem.code
    problem.read(operands[0], problem.matrix, problem.rows)
    failed = problem.call()
    zero = code.constant(0.0, "double")

    def one(row: Index, column: Index) -> Register:
        at = linear_offset(code, 0, (1, problem.rows), (row, column))
        value = code.load(code.address(problem.matrix, at, "double"), "double")
        first, last = (row, column) if problem.words == ("L",) else (column, row)
        return code.select(_less(code, first, last), zero, value)

    problem.fill(target, problem.element, one)
    return failed


def _steps(lengths: Sequence[int], steps: Sequence[int], turned: Turned) -> tuple[int, int, int]:
    """Return where the first element is and the steps between elements, some axes turned."""
    start = sum((lengths[axis] - 1) * steps[axis] for axis in turned)
    first, second = (-step if axis in turned else step for axis, step in enumerate(steps))
    return start, first, second


def _register(code: Code, index: Index) -> Register:
    return index if isinstance(index, Register) else code.constant(index, "i64")


def _equal(code: Code, x: Index, y: Index) -> Register:
    return _register(code, x).equals(_register(code, y))


def _less(code: Code, x: Index, y: Index) -> Register:
    return _register(code, x).less(_register(code, y))


def _routine(
    name: str,
    types: Types,
    result: TensorType,
    function: str,
    write_one: Write,
    words: tuple[str, ...],
    refuses: bool = True,
) -> Routine:
    """Return the routine that goes through the matrices of a batch."""
    dtype, batch = result.dtype, result.shape[:-2]
    if dtype not in (FLOAT32, FLOAT64):
        raise Unsupported(f"{dtype} matrices")
    declare(Module(host_target()), lapack("d" + function))  # refuses what is not there
    rows, columns = result.shape[-2:]
    steps = [_batch_steps(each.shape, batch) for each in types]

    def write(code: Code, target: Register, operands: Sequence[Register]) -> None:
        element = element_of(dtype)
        *given, memory = operands[: len(types) + 1]
        declare(code.module, lapack("d" + function))
        loops = [code.begin_loop(0, n, 1, []) for n in batch]
        where = [loop.index for loop in loops]
        starts = [
            code.address(base, linear_offset(code, 0, each, where), "double")
            for base, each in zip(given, steps, strict=True)
        ]
        offset = linear_offset(code, 0, _batch_steps(result.shape, batch), where)
        into = code.address(target, offset, element)
        problem = _Problem(code, element, (rows, columns), function, words, memory)
        failed = write_one(problem, starts, into)
        yes, done = code.new_label(), code.new_label()
        code.branch(failed, yes, done)
        mark = code.mark()
        code.begin_block(yes)
        if refuses:
            code.store(code.constant(1, "i64"), operands[-1])
        else:
            nan = code.constant(float("nan"), element)
            problem.fill(into, element, lambda *_: nan)
        code.jump(done)
        code.forget(mark)
        code.begin_block(done)
        for loop in reversed(loops):
            code.end_loop(loop, [])

    key = (name, function, words, dtype, result.shape, tuple([each.shape for each in types]))
    multiplications = weighed(rows * rows * (rows + columns))
    work = weighed(prod(batch)) * (_CALL + _NANOSECONDS * multiplications)
    scratch = 8 * (rows * (rows + columns) + rows + 4)
    return Routine(key, (FLOAT64,) * len(types), write, 1, work, scratch=scratch, may_fail=refuses)


def _batch_steps(shape: Shape, batch: Shape) -> tuple[int, ...]:
    """Return how many elements apart the matrices along each axis of a batch are."""
    steps, step = [], prod(shape[-2:])
    for n in reversed(shape[:-2]):
        steps.append(0 if n == 1 else step)
        step *= n
    return (0,) * (len(batch) - len(steps)) + tuple(reversed(steps))
