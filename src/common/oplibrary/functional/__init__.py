"""Functions of neural networks that are compositions of ops, and so run in every mode.

Importing this package enters them into every executor's namespace.
"""

from oplibrary.functional.activation import (
    celu,
    glu,
    gumbel_softmax,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    logsigmoid,
    mish,
    prelu,
    relu6,
    selu,
    softmin,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
    threshold,
)
from oplibrary.functional.attention import multi_head_attention, scaled_dot_product_attention
from oplibrary.functional.class_losses import cross_entropy, nll_loss
from oplibrary.functional.distance_losses import (
    cosine_embedding_loss,
    cosine_similarity,
    hinge_embedding_loss,
    margin_ranking_loss,
    pairwise_distance,
    soft_margin_loss,
    triplet_margin_loss,
)
from oplibrary.functional.dropout import dropout
from oplibrary.functional.group_normalization import (
    group_norm,
    instance_norm,
    local_response_norm,
    normalize,
    rms_norm,
)
from oplibrary.functional.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    poisson_nll_loss,
    smooth_l1_loss,
)
from oplibrary.functional.normalization import batch_norm, layer_norm
from oplibrary.ops.gather import embedding, one_hot
from oplibrary.ops.linalg import linear
from oplibrary.ops.softmax import log_softmax, softmax

__all__ = [
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "embedding",
    "gaussian_nll_loss",
    "glu",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "mish",
    "mse_loss",
    "multi_head_attention",
    "nll_loss",
    "normalize",
    "one_hot",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
]
