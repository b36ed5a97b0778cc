"""What the flexibility study found: a row a program, a cell a column."""

from __future__ import annotations

from dataclasses import dataclass

from sidebyside.results.cell import Cell
from sidebyside.results.result import Result


@dataclass(frozen=True)
class ExampleCell(Cell):
    """One program in one column, which is a mode with the program as it is or with its rewrite.

    Attributes
    ----------
    first_seconds : float or None
        Of the first call.
    builds : int or None
        How often it was traced or compiled.
    lines, extra_lines : int
        Lines of code of what ran, and how many more these are than the dynamic function's.
    text : str
        What differed, or how the process ended.
    warnings : tuple of str
        What was warned of.
    notes : tuple of str
        What the mode says about its traces when it is asked, by ``explain()``.
    breaks : tuple of (str, int)
        Why what was compiled was left for Python in the middle, in full, and how often.
    """

    first_seconds: float | None = None
    builds: int | None = None
    lines: int = 0
    extra_lines: int = 0
    text: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    breaks: tuple[tuple[str, int], ...] = ()

    @property
    def reason(self) -> str:
        """What it said, in one line; empty where nothing is to be said."""
        if self.failure is not None:
            return self.failure.first_line
        return self.text or self._left_to_python()

    @property
    def broken(self) -> int:
        """How often what was compiled was left for Python in the middle."""
        return sum(times for _, times in self.breaks)

    def _left_to_python(self) -> str:
        """Return why not all of a program was compiled, the first line of each reason."""
        if not self.breaks:
            return ""
        count: dict[str, int] = {}
        for reason, times in self.breaks:
            line = reason.strip().partition("\n")[0]
            count[line] = count.get(line, 0) + times
        reasons = "; ".join(f"{line} ({times}x)" for line, times in count.items())
        what = f"broken into {self.builds} graphs" if self.builds else "nothing was compiled"
        return f"ran, {what}: {reasons}"


@dataclass(frozen=True)
class ExampleRow:
    """One program in every column.

    Attributes
    ----------
    example : str
    program : str
        Which of the example's programs; empty for its first.
    cells : tuple of ExampleCell
    """

    example: str
    program: str
    cells: tuple[ExampleCell, ...]

    @property
    def label(self) -> str:
        """The name of the row: ``ragged_lstm: by length``."""
        return f"{self.example}: {self.program}" if self.program else self.example

    def cell(self, column: str) -> ExampleCell:
        """Return the cell of a column."""
        return next(cell for cell in self.cells if cell.mode == column)


@dataclass(frozen=True, repr=False)
class Matrix(Result):
    """What `measure_flexibility` found.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of ExampleRow
    left_out : tuple of (str, str)
        Files without a program to compare, with the reason.
    seconds : float
        That everything took.
    """

    columns: tuple[str, ...]
    rows: tuple[ExampleRow, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    def row(self, label: str) -> ExampleRow:
        """Return the row called `label`."""
        return next(row for row in self.rows if row.label == label)
