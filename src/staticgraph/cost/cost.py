"""What a program costs: the arithmetic that it does and the bytes that it moves.

The model reads op records only, and counts in the manner of XLA's cost analysis:

- ``+ - * /``, a comparison, a choice, ``min``, ``max``, ``abs`` and rounding are one operation an
  element, whatever the dtype; so a multiplication and an addition are two, and an operation on
  complex numbers is one. Conversions are none.
- Functions that are approximated (``exp``, ``tanh``, ``sqrt``, ``**``, ...) are counted apart, as
  *transcendentals*: how many operations one of them takes depends on the machine.
- A sum of products over n places is ``2 n``, a reduction as many as its operand has elements. An
  einsum of several operands is contracted in pairs, the cheapest first, as its kernel does.
- An op that has a lowering costs what the simpler ops cost that it is made of: a convolution is its
  products, those with zeros that it is padded with included; a mean is a sum and a division.
- Moving elements is no arithmetic. Each operand is read once and each result written once; a view
  moves nothing, and reading one moves what lies below it: a row that is broadcast is read as a row.
  Gathering reads what it selects. What a group of fused instructions only passes on among its own
  is not moved. Caches are not modelled.
- A loop costs its length times what a step costs, one step where the length is not known; a choice
  costs its dearest branch. Of an op that says nothing about its arithmetic, such as a sort, only
  bytes are counted. Where something is missing, the cost says that it is a lower bound.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from oplibrary.core.op import Kind
from oplibrary.messages.errors import ArgumentError
from oplibrary.messages.source import Source
from oplibrary.values.types import TensorType
from staticgraph.control.flow import Choice
from staticgraph.cost.arithmetic import Arithmetic, arithmetic_of, subscripts_of
from staticgraph.program.lengths import program_at, program_is_symbolic, program_symbols
from staticgraph.program.program import Instruction, Program, Value
from staticgraph.program.tuple_values import TupleType


@dataclass(frozen=True, slots=True)
class InstructionCost:
    """What one instruction costs in a run.

    Attributes
    ----------
    op : str
    type : TensorType
        Of the result.
    source : Source or None
        The user's line; the first one after common subexpressions.
    flops : int or None
        Operations; None of an op that says nothing about its arithmetic.
    transcendentals : int
        Values of functions that are approximated; not part of `flops`.
    bytes_read, bytes_written : int
    complete : bool
        Whether everything is counted; otherwise the instruction costs more.
    note : str
        How control flow was counted.
    """

    op: str
    type: TensorType
    source: Source | None = None
    flops: int | None = 0
    transcendentals: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    complete: bool = True
    note: str = ""

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Operations a byte moved; 0 where none is moved."""
        return _intensity(self.flops or 0, self.bytes_moved)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run of a program costs; printing it shows the dearest instructions.

    Attributes
    ----------
    rows : tuple of InstructionCost
        One an instruction, in order.
    """

    rows: tuple[InstructionCost, ...]

    @property
    def flops(self) -> int:
        """Operations; transcendentals are not among them."""
        return sum(row.flops or 0 for row in self.rows)

    @property
    def transcendentals(self) -> int:
        """Values of functions that are approximated."""
        return sum(row.transcendentals for row in self.rows)

    @property
    def bytes_read(self) -> int:
        """Bytes that all instructions read."""
        return sum(row.bytes_read for row in self.rows)

    @property
    def bytes_written(self) -> int:
        """Bytes that all instructions write."""
        return sum(row.bytes_written for row in self.rows)

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written."""
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """Operations a byte moved; 0 where none is moved."""
        return _intensity(self.flops, self.bytes_moved)

    @property
    def complete(self) -> bool:
        """Whether everything is counted; otherwise the totals are lower bounds."""
        return all(row.complete for row in self.rows)

    def text(self, most: int = 12) -> str:
        """Return a table of the `most` dearest rows, by operations, then by bytes, and totals."""
        dearest = sorted(self.rows, key=_dearness, reverse=True)
        shown = [row for row in dearest if any(_dearness(row)) or not row.complete][:most]
        lines = [_HEADINGS, *map(_cells, shown), self._totals()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = [
            "  ".join(
                cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        if len(shown) < len(self.rows):
            text.insert(-1, f"({len(self.rows) - len(shown):,} more)")
        missing = dict.fromkeys(row.op for row in self.rows if not row.complete)
        if missing:
            names = ", ".join(missing)
            text.append(f"The totals are lower bounds: not all of {names} is counted.")
        return "\n".join(text)

    def _totals(self) -> tuple[str, ...]:
        numbers = (self.flops, self.transcendentals, self.bytes_read, self.bytes_written)
        sign = "" if self.complete else "≥ "
        return ("total", "", *(f"{sign}{n:,}" for n in numbers), f"{self.intensity:.2f}", "")

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


_HEADINGS = (
    *("op", "result", "FLOPs", "transcendentals"),
    *("bytes read", "bytes written", "FLOP/byte", "line"),
)
_NUMBERS = range(2, 7)
_LONGEST_TYPE = 32


def _dearness(row: InstructionCost) -> tuple[int, int]:
    return (row.flops or 0) + row.transcendentals, row.bytes_moved


def _cells(row: InstructionCost) -> tuple[str, ...]:
    place = "" if row.source is None else row.source.place
    type = repr(row.type)
    return (
        row.op,
        type if len(type) <= _LONGEST_TYPE else f"{type[: _LONGEST_TYPE - 3]}...",
        "unknown" if row.flops is None else f"{row.flops:,}",
        *(f"{n:,}" for n in (row.transcendentals, row.bytes_read, row.bytes_written)),
        f"{row.intensity:.2f}",
        f"{place} ({row.note})" if row.note else place,
    )


def _intensity(flops: int, moved: int) -> float:
    return flops / moved if moved else 0.0


# programs -----------------------------------------------------------------------------------------


def program_cost(
    program: Program, lengths: Mapping[str, int] | None = None, *, fused: bool = True
) -> Cost:
    """Return the cost of a run of `program`.

    Parameters
    ----------
    program : Program
    lengths : mapping of str to int, optional
        The length of each symbolic dimension.
    fused : bool
        Whether a group of fused instructions is one loop, and moves only what comes from outside
        and what is read outside; otherwise each instruction moves its operands and its result.

    Raises
    ------
    ArgumentError
        If the length of a symbolic dimension is missing, unknown, or too small.
    """
    known = _checked(program, lengths or {})
    return Cost(_rows(program, known, fused))


def _checked(program: Program, lengths: Mapping[str, int]) -> dict[str, int]:
    least = {}
    if program_is_symbolic(program):
        least = {each.name: each.least for each in program_symbols(program)}
    for name in dict.fromkeys((*least, *lengths)):
        if name not in least:
            raise ArgumentError(
                f"cost: the program has no dimension {name!r}",
                cause=f"its symbolic dimensions are {', '.join(least) or 'none'}",
                fix="leave it out",
            )
        if name not in lengths:
            raise ArgumentError(
                f"cost: the length of dim({name!r}) is not known",
                cause="what a run costs depends on the lengths of its inputs",
                fix=f"pass it by name, as in cost({name}=32)",
            )
        n = lengths[name]
        if isinstance(n, bool) or not hasattr(n, "__index__") or operator.index(n) < least[name]:
            raise ArgumentError(
                f"cost: dim({name!r}) is to have the length {n!r}",
                cause=f"the graph was declared for a length of at least {least[name]}",
                fix=f"pass an integer from {least[name]} on",
            )
    return {name: operator.index(n) for name, n in lengths.items()}


def _rows(program: Program, lengths: Mapping[str, int], fused: bool) -> tuple[InstructionCost, ...]:
    if lengths:
        program, _ = program_at(program, lengths)
    traffic = _Traffic(program, fused)
    return tuple([_row(each, traffic, lengths, fused) for each in program.instructions])


def _row(
    instruction: Instruction, traffic: _Traffic, lengths: Mapping[str, int], fused: bool
) -> InstructionCost:
    op = instruction.op
    source = instruction.sources[0] if instruction.sources else None
    empty = InstructionCost(op.name, instruction.output.type, source)
    if op.control is not None:
        return _of_control(empty, op.control(**instruction.attrs), lengths, fused)
    read, written = traffic.of(instruction)
    moved = replace(empty, bytes_read=read, bytes_written=written)
    arithmetic = arithmetic_of(instruction, _arithmetic_of_program)
    if arithmetic is None:
        return replace(moved, flops=None, complete=False)
    return replace(
        moved,
        flops=arithmetic.flops,
        transcendentals=arithmetic.transcendentals,
        complete=arithmetic.complete,
    )


def _arithmetic_of_program(program: Program) -> Arithmetic:
    cost = program_cost(program)
    return Arithmetic(cost.flops, cost.transcendentals, cost.complete)


def _of_control(
    row: InstructionCost, flow: Any, lengths: Mapping[str, int], fused: bool
) -> InstructionCost:
    """Return `row` with the cost of the regions that run."""
    costs = [Cost(_rows(_program_of(each), lengths, fused)) for each in flow.regions]
    complete = all(each.complete for each in costs)
    count = 1
    if isinstance(flow, Choice):
        note = f"the dearest of {len(costs)} branches"
        dearest = max(costs, key=lambda c: (c.flops + c.transcendentals, c.bytes_moved))
        costs = [dearest]  # one that is not counted whole may be dearer, which `complete` says
    elif flow.length is None:
        note, complete = "one step, their number is not known", False
    else:
        count = flow.length
        note = f"{count:,} steps"
    return replace(
        row,
        flops=count * sum(each.flops for each in costs),
        transcendentals=count * sum(each.transcendentals for each in costs),
        bytes_read=count * sum(each.bytes_read for each in costs),
        bytes_written=count * sum(each.bytes_written for each in costs),
        complete=complete,
        note=note,
    )


def _program_of(region: Any) -> Program:
    """Return the program of a region, bound or not."""
    program: Program | None = getattr(region, "program", None)
    return getattr(region, "region", region).lower() if program is None else program


# bytes --------------------------------------------------------------------------------------------


class _Traffic:
    """The bytes that each instruction of a program moves."""

    def __init__(self, program: Program, fused: bool) -> None:
        self._fused = fused
        self._below: dict[Value, int] = {}  # of views: the bytes of what they show
        self._inside: set[Value] = set()  # what no instruction reads outside its group
        self._seen: set[tuple[int, Value]] = set()
        users, results = program.users(), frozenset(program.results)
        for each in program.instructions:
            output = each.output
            if each.op.view:
                self._below[output] = min(self._nbytes(each.inputs[0]), output.type.nbytes)
            elif (
                fused
                and each.group
                and output not in results
                and all(user.group == each.group for user in users.get(output, ()))
            ):
                self._inside.add(output)

    def of(self, instruction: Instruction) -> tuple[int, int]:
        """Return the bytes that an instruction reads and writes; ask in order, once each."""
        op, output = instruction.op, instruction.output
        if op.view or op.projection:
            return 0, 0
        written = 0 if output in self._inside else self._nbytes(output)
        if op.kind is Kind.CREATION:  # operands only lend their shape
            return 0, written
        operands = list(dict.fromkeys(instruction.inputs))
        if self._fused and instruction.group:  # which has what it made, and read before, at hand
            operands = [each for each in operands if (instruction.group, each) not in self._seen]
            self._seen.update((instruction.group, each) for each in (*operands, output))
        read = sum(map(self._nbytes, operands))
        if operands and _gathers(instruction):
            read -= max(self._nbytes(instruction.inputs[0]) - output.type.nbytes, 0)
        return read, written

    def _nbytes(self, value: Value) -> int:
        if isinstance(value.type, TupleType):
            return sum(item.nbytes for item in value.type.items)
        return self._below.get(value, value.type.nbytes)


def _gathers(instruction: Instruction) -> bool:
    """Tell whether only those elements of the first operand are read that indices select."""
    selection = subscripts_of(instruction.op.selection, instruction)
    return "@" in selection.partition("->")[0]
