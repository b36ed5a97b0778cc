"""The cross entropy of a probability with the probability that it should be."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.core.op import Op
from oplibrary.core.rules import binary
from oplibrary.ops.elementwise import maximum
from oplibrary.ops.exponential import log, log1p
from oplibrary.ops.kernels import halves_in_float32
from oplibrary.values.dtypes import promoted_by
from oplibrary.values.types import Array

_LEAST = -100.0  # of a logarithm, so that a certain mistake has a finite loss


@halves_in_float32(2)
@np.errstate(divide="ignore", invalid="ignore")  # log(0) is cut off; log of no probability is NaN
def _kernel(p: Any, target: Any, out: Array | None = None) -> Any:
    dtype = promoted_by(np.logaddexp, p.dtype, target.dtype)
    p, target = np.asarray(p, dtype), np.asarray(target, dtype)
    least = dtype.type(_LEAST)
    for_one = np.maximum(np.log(p), least)
    for_zero = np.maximum(np.log1p(-p), least)
    return np.subtract((target - 1) * for_zero, target * for_one, out=out)


def _p_rule(g: Any, _out: Any, p: Any, target: Any) -> Any:
    return g * (p - target) / maximum(p * (1.0 - p), 1e-12)


def _target_rule(g: Any, _out: Any, p: Any, _target: Any) -> Any:
    return g * (maximum(log1p(-p), _LEAST) - maximum(log(p), _LEAST))


binary_cross_entropy: Op = binary(
    "binary_cross_entropy",
    _kernel,
    dtypes=np.logaddexp,
    expr=f"({{1}} - 1) * max(log1p(-{{0}}), {_LEAST}) - {{1}} * max(log({{0}}), {_LEAST})",
    vjp=(_p_rule, _target_rule),
    domain=(0.05, 0.95),
    doc="Return -(y log(x) + (1 - y) log(1 - x)), no logarithm below -100; as in PyTorch, the "
    "gradient by x divides by x (1 - x), but by no less than 1e-12.",
)
