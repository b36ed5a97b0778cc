"""Tensors of PyTorch as arrays, and arrays as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from oplibrary.messages.errors import UnsupportedOpError
from oplibrary.values.dtypes import bfloat16, is_bfloat16


def numbers_of(x: Any) -> Any:
    """Return a copy of a tensor as an array; NumPy takes bfloat16 as the bits that it is."""
    if not hasattr(x, "detach"):
        return np.asarray(x)
    if str(x.layout) != "torch.strided":
        raise UnsupportedOpError(
            f"a tensor of the layout {str(x.layout).removeprefix('torch.')} is not supported",
            cause="values are dense arrays",
            fix="let the module hold the dense tensor",
        )
    x = x.detach().resolve_conj()
    if str(x.dtype) == "torch.bfloat16":
        import torch

        return x.contiguous().view(torch.int16).numpy().view(bfloat16()).copy()
    return x.numpy(force=True).copy()  # some are lazy zeros, or negated


def tensor_of(torch: Any, x: Any) -> Any:
    """Return an array as a tensor."""
    array = np.array(x)
    if is_bfloat16(array.dtype):
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)
