"""GradBench's det: a determinant by expansion into minors, number by number."""

from __future__ import annotations

from typing import Any

from sidebyside.workloads.workload import Workload


def det(xp: Any, matrix: Any) -> Any:
    """Return the determinant of a square matrix, expanded along its first row, recursively.

    Some e n! products of single numbers for n rows: a source of operations, and no way to compute
    a determinant.

    References
    ----------
    GradBench, ``evals/det``: https://github.com/gradbench/gradbench, after B. Bell's cmpad,
    ``det_by_minor``: https://cmpad.readthedocs.io
    """
    numbers = [[matrix[i, j] for j in range(matrix.shape[1])] for i in range(matrix.shape[0])]

    def minor(row: int, columns: tuple[int, ...]) -> Any:
        if len(columns) == 1:
            return numbers[row][columns[0]]
        total: Any = None
        for place, column in enumerate(columns):
            below = minor(row + 1, columns[:place] + columns[place + 1 :])
            term = numbers[row][column] * below
            if total is None:
                total = term
            else:
                total = total - term if place % 2 else total + term
        return total

    return minor(0, tuple(range(len(numbers))))


DET = Workload(
    det,
    inputs=lambda rng, size: (rng.random((size, size)),),
    wrt=(0,),
    sizes=(5,),
    name="det",
    title="determinant of 5 rows by minors, and the gradient",
    description="Some 400 operations on single numbers, written by a recursion.",
)
"""GradBench goes from 5 rows to 11."""
