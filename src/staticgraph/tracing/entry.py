"""Entry: what was compiled for one signature of a traced function."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.values.tree import Structure
from staticgraph.capture.guards import Guards
from staticgraph.compiler.bound import Bound
from staticgraph.compiler.executable import Executable
from staticgraph.tracing.explanation import Trace
from staticgraph.tracing.signature import PYTHON_NUMBERS, Slot, matcher


class Entry:
    """What was compiled for one signature and one set of outside values."""

    def __init__(
        self,
        structure: Structure,
        slots: list[Slot],
        guards: Guards,
        executable: Executable,
        dtypes: list[np.dtype[Any] | None],
        record: Trace,
    ) -> None:
        self.guards = guards
        self.executable = executable
        self.call = executable.call
        self.match = matcher(structure, slots, dtypes)
        self.record = record
        self._passed = [(i, dtype) for i, dtype in enumerate(dtypes) if dtype is not None]

    def run(self, leaves: list[Any]) -> Any:
        """Run on the leaves of the arguments."""
        arrays = []
        for i, dtype in self._passed:
            x = leaves[i]
            arrays.append(x if type(x) is np.ndarray else np.asarray(x, dtype))
        self.record.calls += 1
        return self.call(*arrays)

    def bind(self, leaves: list[Any], out: Any) -> Bound:
        """Bind to the leaves of the arguments; numbers have the dtypes that they have in a run."""
        arrays = [
            np.asarray(leaves[i], dtype) if type(leaves[i]) in PYTHON_NUMBERS else leaves[i]
            for i, dtype in self._passed
        ]
        return self.executable.bind(*arrays, out=out)
