"""Sample calls of every op, and which of them ONNX has no form for."""

import numpy as np

from oplibrary.core.registry import REGISTRY

HAVE_NO_FORM = set(
    """
    _require_near _windows advanced_index advanced_index_gradient advanced_set angle assert_ atan2
    basic_set binomial_counts bitwise_count bitwise_left_shift bitwise_right_shift cbrt cholesky
    cofactors conj convolution_weight_gradient copysign cumulative_logsumexp cumulative_max
    cumulative_min cumulative_prod dft diagonal diagonal_embed digamma eig eigh eigvals
    eigvalsh entr erfc erfinv expm exponent fmod full_rank_residuals gamma_slope gcd hypot i0
    i0e i1 i1e imag inv inverse_or_nan inverse_real_dft lcm ldexp lgamma linear_recurrence
    log_ndtr lstsq mantissa max_pool_indices max_pool_select multinomial_counts ndtr ndtri
    nextafter normal permutation pinv pinv_within poisson_counts polygamma print_
    products_without_two qr randint random_bits random_split real real_dft scatter_fold
    searchsorted signbit slogdet solve solve_triangular spacing standard_gamma sum_pool_gradient
    svd svdvals uniform xlog1py xlogy
    """.split()
)
"""Ops of which at least one sample is refused; of those in neither list every sample must run."""


def sample_calls():
    for op in dict.fromkeys(REGISTRY.values()):
        for example in op.examples:
            rng = np.random.default_rng(7)
            operands = [
                np.array(x, order="C")
                if isinstance(x, np.ndarray)
                else rng.uniform(*np.clip(op.domain, -50, 50), x).astype("float32")
                for x in example.operands
            ]
            yield op, *op.bind(tuple(map(np.asarray, operands)), dict(example.attrs))
