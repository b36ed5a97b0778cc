"""HIPS autograd: NumPy itself, recorded where a gradient is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from autograd import numpy as recorded
from autograd.core import make_vjp
from autograd.scipy import signal
from autograd.tracer import getval

from sidebyside.modes.conversion import max_pool2d
from sidebyside.modes.mode import Mode, Prepared
from sidebyside.modes.tape import Loss, program_of
from sidebyside.workloads.workload import Workload

anp: Any = recorded


class AutogradNamespace:
    """The functions of ``autograd.numpy``, and those that NumPy does not have."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(anp, name)
        setattr(self, name, found)
        return found

    @staticmethod
    def concat(arrays: Any, axis: int = 0) -> Any:
        """Return the arrays joined along an axis."""
        return anp.concatenate(arrays, axis)

    @staticmethod
    def relu(x: Any) -> Any:
        """Return `x` where it is positive, and else 0."""
        return anp.where(x > 0, x, np.zeros((), x.dtype))

    @staticmethod
    def sigmoid(x: Any) -> Any:
        """Return ``1 / (1 + exp(-x))``."""
        return 0.5 * anp.tanh(0.5 * x) + 0.5

    @staticmethod
    def conv2d(x: Any, weight: Any, stride: int = 1, padding: int = 0) -> Any:
        """Return the convolution of ``(n, c, h, w)`` by ``(d, c, k, l)``."""
        pads = ((0, 0), (0, 0), (padding, padding), (padding, padding))
        found = signal.convolve(
            anp.pad(x, pads, "constant") if padding else x,
            weight[:, :, ::-1, ::-1],
            axes=([2, 3], [2, 3]),
            dot_axes=([1], [1]),
            mode="valid",
        )
        return found if stride == 1 else found[:, :, ::stride, ::stride]

    def max_pool2d(self, x: Any, kernel_size: int) -> Any:
        """Return the maximum of each square of ``(n, c, h, w)``."""
        return max_pool2d(self, x, kernel_size)


NAMESPACE = AutogradNamespace()


def _gradient(loss: Loss, leaves: list[Any]) -> tuple[Any, list[Any], Sequence[Any]]:
    others: list[Any] = []

    def scalar(recorded_leaves: Any) -> Any:
        value, rest = loss(recorded_leaves)
        others.extend(map(getval, rest))
        return anp.sum(value)

    pull, value = make_vjp(scalar, tuple(leaves))
    return value, others, pull(np.ones_like(value))


def prepare_calls(workload: Workload, static: tuple[int, ...] = ()) -> Prepared:
    """Make the workload ready: there is nothing to build."""
    return Prepared(program_of(workload, NAMESPACE, _gradient))


AUTOGRAD = Mode.of_calls(
    "autograd", "HIPS autograd", prepare_calls, namespace=NAMESPACE, counts_memory=True, eager=True
)
