"""dyngraph: every operation runs at once and records itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import dyngraph
from oplibrary.core.tree import flatten, map_tree, unflatten
from oplibrary.core.types import Array
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import numbers, taped_call
from sidebyside.workloads.workload import Workload

dg: Any = dyngraph


def to_array(tensor: Any) -> Array:
    """Return a result as an ndarray."""
    return np.asarray(tensor.detach().numpy() if isinstance(tensor, dg.Tensor) else tensor)


def prepare(workload: Workload, inputs: tuple[Any, ...]) -> Prepared:
    """Make the workload ready: there is nothing to build, only leaves to create."""
    arguments = [map_tree(lambda array: dg.from_numpy(np.asarray(array)), x) for x in inputs]
    leaves = []
    for position in workload.wrt:
        arguments[position] = map_tree(lambda x: x.requires_grad_(), arguments[position])
        leaves += flatten(arguments[position])[0]
    once = taped_call(workload, dg)
    return Prepared(
        run=lambda: once(arguments, leaves),
        arrays=lambda results: [to_array(x) for x in numbers(results)],
    )


class DynamicTrainer:
    """Trains with the tape.

    Parameters
    ----------
    workload : Workload
    batch : sequence of ndarray
        One batch; only its shapes matter, and here not even those.
    """

    def __init__(self, workload: Workload, batch: Sequence[Array]) -> None:
        assert workload.training is not None
        self._training = workload.training
        leaves, self._structure = flatten(self._training.initial())
        self._leaves = [dg.tensor(array, requires_grad=True) for array in leaves]
        self._call = taped_call(workload, dg)

    def step(self, batch: Sequence[Array]) -> Any:
        """Do one training step and return the loss."""
        leaves = self._leaves
        arguments = [unflatten(self._structure, leaves), *map(dg.from_numpy, batch)]
        results = self._call(arguments, leaves)
        self._leaves = [x.requires_grad_() for x in results[-len(leaves) :]]
        return results[0]

    def parameters(self) -> list[Array]:
        """Return the current parameters."""
        return [x.detach().numpy() for x in self._leaves]

    def accuracy(self, arrays: Sequence[Array]) -> float:
        """Return the fraction of right answers."""
        with dg.no_grad():
            parameters = unflatten(self._structure, self._leaves)
            return float(self._training.accuracy(dg, parameters, *map(dg.from_numpy, arrays)))


DYNAMIC = Mode(
    name="dynamic",
    title="dynamic graph (dyngraph)",
    prepare=prepare,
    exact=True,
    counts_memory=True,
    train=DynamicTrainer,
)
