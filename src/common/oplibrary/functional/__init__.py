"""Functions of neural networks that are compositions of ops, and so run in every mode.

Importing this package enters them into every executor's namespace.
"""

from oplibrary.functional.attention import scaled_dot_product_attention
from oplibrary.functional.dropout import dropout
from oplibrary.functional.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
)
from oplibrary.functional.normalization import batch_norm, layer_norm
from oplibrary.ops.gather import embedding, one_hot
from oplibrary.ops.linalg import linear
from oplibrary.ops.softmax import log_softmax, softmax

__all__ = [
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "embedding",
    "l1_loss",
    "layer_norm",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "scaled_dot_product_attention",
    "softmax",
]
