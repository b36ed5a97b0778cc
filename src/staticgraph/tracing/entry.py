"""Entry: what was compiled for one signature of a traced function."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.values.tree import Structure
from staticgraph.capture.guards import Guards
from staticgraph.compiler.bound import Bound
from staticgraph.compiler.executable import Executable
from staticgraph.tracing.explanation import Trace
from staticgraph.tracing.number_feeds import NumberFeeds
from staticgraph.tracing.signature import Slot, matcher


class Entry:
    """What was compiled for one signature and one set of outside values."""

    def __init__(
        self,
        structure: Structure,
        slots: list[Slot],
        guards: Guards,
        executable: Executable,
        numbers: NumberFeeds,
        record: Trace,
    ) -> None:
        self.guards = guards
        self.executable = executable
        self.call = executable.call
        self.match = matcher(structure, slots, numbers)
        self.record = record
        self.numbers = numbers
        self._arrays = [
            (i, slot.type.dtype) for i, slot in enumerate(slots) if slot.type and not slot.weak
        ]

    def run(self, leaves: list[Any]) -> Any:
        """Run on the leaves of the arguments.

        Raises
        ------
        UnfitNumbers
        """
        arrays = []
        for i, dtype in self._arrays:
            x = leaves[i]
            arrays.append(x if type(x) is np.ndarray else np.asarray(x, dtype))
        arrays += self.numbers.arrays(leaves)
        self.record.calls += 1
        return self.call(*arrays)

    def bind(self, leaves: list[Any], out: Any) -> Bound:
        """Bind to the leaves of the arguments; numbers have the dtypes that they have in a run.

        Raises
        ------
        UnfitNumbers
        """
        arrays = [leaves[i] for i, _ in self._arrays]
        return self.executable.bind(*arrays, *self.numbers.arrays(leaves), out=out)
