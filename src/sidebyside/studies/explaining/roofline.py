"""Where programs stand below the roofs of this machine, and so what bounds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sidebyside.measuring.bottleneck import Bottleneck, Overhead, Work, find_bottleneck
from sidebyside.measuring.machine import measure_machine
from sidebyside.modes import Counted, Mode
from sidebyside.results.comparison import TimedCell


def works_of(modes: Mapping[str, Mode], counted: Mapping[str, Counted | None]) -> dict[str, Work]:
    """Return what a call does in each mode where that is known.

    A mode that runs each operation by itself does what a compiled one has declared.
    """
    declared = next((each.declared for each in counted.values() if each is not None), None)
    works: dict[str, Work] = {}
    for label, mode in modes.items():
        own = counted.get(label)
        if own is not None:
            works[label] = own.compiled
        elif declared is not None and mode.eager:
            works[label] = declared
    return works


def below_roofs(cell: TimedCell, work: Work | None, overhead: Overhead | None) -> TimedCell:
    """Return a cell with what its program does, and what bounds it."""
    if work is None or overhead is None or cell.steady is None:
        return cell
    bottleneck = find_bottleneck(work, cell.steady.value, overhead, measure_machine())
    return replace(cell, work=work, bottleneck=bottleneck)


def bottleneck_of_dynamic(cells: Iterable[TimedCell]) -> Bottleneck | None:
    """Return what bounds the dynamic mode, which is what a program is called by."""
    return next((cell.bottleneck for cell in cells if cell.mode == "dynamic"), None)
