"""The columns of staticgraph: the program as it is, traced, and its rewrite."""

from __future__ import annotations

from typing import Any

import numpy as np

import staticgraph
from sidebyside.modes.static import program as static_program
from sidebyside.modes.tape import numbers
from sidebyside.studies.flexibility.columns import REWRITE, Prepared, plain
from sidebyside.studies.flexibility.program import Program, convert_arrays

sg: Any = staticgraph


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready: it is traced and compiled at the first call."""
    function = program.rewrite if column == REWRITE else program.function
    assert function is not None
    call: Any = static_program(program.as_workload(function))
    # what the program reads from outside is guarded, as if it had been passed to sg.function
    call.__wrapped__ = function
    compiled = sg.function(call, static_argnums=program.static)

    def notes() -> list[str]:
        traces = compiled.explain().traces
        return [note for trace in traces for note in (*trace.baked, *trace.effects)]

    return Prepared(
        convert=lambda arguments: convert_arrays(np.asarray, arguments),
        call=lambda arguments: compiled(*arguments),
        results=lambda found: [plain(x) for x in numbers(found)],
        builds=lambda: len(compiled.explain().traces),
        notes=notes,
    )
