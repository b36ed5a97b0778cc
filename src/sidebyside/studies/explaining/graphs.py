"""The graphs of what was compared, for a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sidebyside.drawing.show import drawn_graphs
from sidebyside.results.comparison import Comparison, DrawnGraph
from sidebyside.studies.subject import Subject


def _drawn(subject: Subject) -> tuple[DrawnGraph, ...]:
    return drawn_graphs(subject.workload, subject.inputs)


def with_graphs(
    comparison: Comparison,
    subjects: Sequence[Subject],
    drawn: Callable[[Subject], tuple[DrawnGraph, ...]] = _drawn,
) -> Comparison:
    """Return a comparison with the graphs of each program, of its first size.

    Parameters
    ----------
    comparison : Comparison
    subjects : sequence of Subject
        Of its rows, in their order.
    drawn : callable, optional
        Returns the graphs of one, if its program is not written over a namespace.
    """
    rows, known = [], set()
    for row, subject in zip(comparison.rows, subjects, strict=False):  # some may have had no time
        if row.workload not in known:
            known.add(row.workload)
            row = replace(row, graphs=drawn(subject))
        rows.append(row)
    return replace(comparison, rows=tuple(rows))
