"""An imported program in float64: what it computes, without the rounding of its own dtypes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from oplibrary.values.dtypes import REAL_FLOATING, is_bfloat16
from staticgraph.importing.shared.block import Block, Step, blocks
from staticgraph.importing.shared.imported import Imported


def widened(imported: Imported) -> Imported:
    """Return a program with float64 and complex128 in the place of narrower numbers."""
    signature = imported.signature
    return replace(
        imported,
        block=wide(imported.block),
        signature=replace(
            signature,
            parameters=wide(signature.parameters),
            buffers=wide(signature.buffers),
            inputs=[replace(each, dtype=wide(each.dtype)) for each in signature.inputs],
        ),
    )


def wide(value: Any) -> Any:
    """Return a tree in which arrays, dtypes and steps have wide numbers.

    Examples
    --------
    >>> wide([np.dtype("float32"), np.int32(3), np.ones(2, "float16")])
    [dtype('float64'), np.int32(3), array([1., 1.])]
    """
    if isinstance(value, np.dtype):
        return _dtype(value)
    if isinstance(value, (np.ndarray, np.generic)):
        return value.astype(_dtype(value.dtype), copy=False)
    if type(value) in (tuple, list):
        return type(value)([wide(each) for each in value])
    if isinstance(value, dict):
        return {name: wide(each) for name, each in value.items()}
    if isinstance(value, Block):
        return replace(
            value,
            steps=list(map(_step, value.steps)),
            outputs=wide(value.outputs),
            constants=wide(value.constants),
        )
    return value


def coarsest(block: Block) -> float:
    """Return the relative spacing of the half floats that a block computes with; 0 for none."""
    found = [0.0]
    for step in block.steps:
        dtypes = [d for d in step.dtypes if isinstance(d, np.dtype) and d.kind in REAL_FLOATING]
        found += [2.0**-7 if is_bfloat16(d) else 2.0**-10 for d in dtypes if d.itemsize == 2]
        found += map(coarsest, blocks((step.args, step.kwargs)))
    return max(found)


def _dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind in REAL_FLOATING:
        return np.dtype("float64")
    return np.dtype("complex128") if dtype.kind == "c" else dtype


def _step(step: Step) -> Step:
    return replace(step, args=wide(step.args), kwargs=wide(step.kwargs), dtypes=wide(step.dtypes))
