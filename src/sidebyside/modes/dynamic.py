"""dyngraph: every operation runs at once and records itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dyngraph
from oplibrary.core.tree import flatten, unflatten
from oplibrary.core.types import Array
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import prepare_taped, taped_call
from sidebyside.workloads.workload import Workload

dg: Any = dyngraph


def prepare_calls(workload: Workload, static: tuple[int, ...] = ()) -> Prepared:
    """Make the workload ready: there is nothing to build."""
    return prepare_taped(workload, dg, dg.Tensor, dg.from_numpy)


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


DYNAMIC = Mode.of_calls(
    "dynamic",
    "dynamic graph (dyngraph)",
    prepare_calls,
    namespace=dg,
    exact=True,
    counts_memory=True,
    train=DynamicTrainer,
)
