"""Functions of neural networks that are compositions of ops, and so run in every mode.

Importing this package enters their names into every executor's namespace. They are loaded when one
of them is first asked for, but for those that stand in for ops of the same name, and the transforms
to frequencies, which have a namespace of their own.
"""

from __future__ import annotations

from typing import Any

from oplibrary.core.op import enter_late, late
from oplibrary.functional import activation as activation
from oplibrary.functional import class_losses as class_losses
from oplibrary.functional import fourier as fourier
from oplibrary.functional import losses as losses

enter_late(
    "oplibrary.functional.adaptive_pooling",
    """
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d
    """,
)
enter_late("oplibrary.functional.associative_scan", "associative_scan")
enter_late("oplibrary.functional.attention", "multi_head_attention scaled_dot_product_attention")
enter_late("oplibrary.functional.bilinear", "bilinear")
enter_late(
    "oplibrary.functional.continuous_distributions",
    """
    beta cauchy dirichlet exponential gamma gumbel laplace multivariate_normal student_t
    truncated_normal
    """,
)
enter_late(
    "oplibrary.functional.convolution",
    """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    """,
)
enter_late(
    "oplibrary.functional.discrete_distributions",
    """
    binomial categorical choice multinomial poisson shuffle
    """,
)
enter_late(
    "oplibrary.functional.distance_losses",
    """
    cosine_embedding_loss cosine_similarity hinge_embedding_loss margin_ranking_loss
    pairwise_distance soft_margin_loss triplet_margin_loss
    """,
)
enter_late("oplibrary.functional.dropout", "alpha_dropout dropout dropout1d dropout2d dropout3d")
enter_late("oplibrary.functional.embedding_bag", "embedding_bag")
enter_late("oplibrary.functional.grid_sampling", "affine_grid grid_sample")
enter_late(
    "oplibrary.functional.group_normalization",
    """
    group_norm instance_norm local_response_norm normalize rms_norm
    """,
)
enter_late(
    "oplibrary.functional.margin_losses",
    """
    multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss
    triplet_margin_with_distance_loss
    """,
)
enter_late("oplibrary.functional.normalization", "batch_norm layer_norm")
enter_late(
    "oplibrary.functional.pooling",
    """
    avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d
    """,
)
enter_late("oplibrary.functional.power_pooling", "lp_pool1d lp_pool2d lp_pool3d")
enter_late("oplibrary.functional.recurrent", "gru gru_cell lstm lstm_cell rnn rnn_cell")
enter_late(
    "oplibrary.functional.resampling",
    """
    channel_shuffle fold interpolate pixel_shuffle pixel_unshuffle unfold
    """,
)
enter_late("oplibrary.functional.sequence_losses", "ctc_loss")
enter_late("oplibrary.functional.unpooling", "max_unpool1d max_unpool2d max_unpool3d")


def __getattr__(name: str) -> Any:
    found = late(name)
    if found is None or not found.__module__.startswith(f"{__name__}."):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
