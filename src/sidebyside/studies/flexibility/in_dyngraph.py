"""The column dyngraph: every call runs the program as Python does."""

from __future__ import annotations

from typing import Any

import numpy as np

import dyngraph
from oplibrary.core.tree import flatten, map_tree
from sidebyside.modes.tape import numbers, taped_call
from sidebyside.studies.flexibility.columns import Prepared, plain
from sidebyside.studies.flexibility.program import Program, convert_arrays

dg: Any = dyngraph


def prepare(column: str, program: Program) -> Prepared:
    """Make `program` ready: there is nothing to build."""
    once = taped_call(program.as_workload(program.function), dg)

    def convert(arguments: tuple[Any, ...]) -> Any:
        tensors = list(convert_arrays(lambda x: dg.from_numpy(np.asarray(x)), arguments))
        leaves = []
        for position in program.wrt:
            tensors[position] = map_tree(lambda x: x.requires_grad_(), tensors[position])
            leaves += flatten(tensors[position])[0]
        return tensors, leaves

    return Prepared(convert, lambda both: once(*both), _results)


def _results(found: Any) -> list[Any]:
    return [
        np.asarray(x.detach().numpy()) if isinstance(x, dg.Tensor) else plain(x)
        for x in numbers(found)
    ]
