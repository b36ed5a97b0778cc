"""The names that each module enters when it is imported; `make docs` writes this file."""

OPS = {
    "oplibrary.ops.activation": "relu leaky_relu elu silu gelu gelu_tanh",
    "oplibrary.ops.binary_cross_entropy": "binary_cross_entropy",
    "oplibrary.ops.binary_powers": "exp2 logaddexp2 ldexp mantissa exponent spacing",
    "oplibrary.ops.comparison": """
        equal not_equal less less_equal greater greater_equal logical_and logical_or
        logical_xor logical_not isnan isinf isfinite bitwise_and bitwise_or bitwise_xor
        bitwise_left_shift bitwise_right_shift bitwise_invert
    """,
    "oplibrary.ops.convolution": """
        convolution convolution_input_gradient convolution_weight_gradient
    """,
    "oplibrary.ops.creation": "zeros_like ones_like full_like",
    "oplibrary.ops.cross_entropy": "cross_entropy cross_entropy_gradient",
    "oplibrary.ops.determinants": "det cofactors products_without_two slogdet",
    "oplibrary.ops.diagonal": "diagonal diagonal_embed tril triu",
    "oplibrary.ops.effects": "print_ assert_ _require_near",
    "oplibrary.ops.eigenvalues": "eigh eigvalsh eig eigvals",
    "oplibrary.ops.einsum": "einsum",
    "oplibrary.ops.elementwise": """
        add subtract multiply divide floor_divide remainder negative square reciprocal pow
        abs sign where maximum minimum fmax fmin clip cast real imag conj
    """,
    "oplibrary.ops.error_function": "erf",
    "oplibrary.ops.exponential": """
        exp expm1 log log2 log10 log1p sqrt cbrt rsqrt sigmoid softplus logaddexp
    """,
    "oplibrary.ops.fourier": "dft real_dft inverse_real_dft",
    "oplibrary.ops.gather": "take take_gradient take_along_axis take_along_axis_gradient",
    "oplibrary.ops.image_lowering": "_windows",
    "oplibrary.ops.indexing": "basic_index basic_index_gradient basic_set",
    "oplibrary.ops.joining": "concat stack",
    "oplibrary.ops.least_squares": "pinv_within pinv lstsq full_rank_residuals",
    "oplibrary.ops.linalg": "matmul",
    "oplibrary.ops.matrix_functions": "expm",
    "oplibrary.ops.movement": """
        reshape expand_dims squeeze permute_dims swapaxes matrix_transpose broadcast_to
        clone
    """,
    "oplibrary.ops.orthogonalization": "qr",
    "oplibrary.ops.pooling": """
        max_pool max_pool_gradient max_pool_select max_pool_indices sum_pool
        sum_pool_gradient
    """,
    "oplibrary.ops.random": "random_split random_bits uniform normal randint permutation",
    "oplibrary.ops.random_parameters": """
        gamma_slope standard_gamma poisson_counts binomial_counts multinomial_counts
    """,
    "oplibrary.ops.reduction": "sum prod max min argmax argmin all any count_nonzero sum_to",
    "oplibrary.ops.repetition": "tile repeat",
    "oplibrary.ops.rounding": "floor ceil trunc round",
    "oplibrary.ops.running": "cumulative_max cumulative_min cumulative_logsumexp",
    "oplibrary.ops.scan": "cumulative_sum linear_recurrence cumulative_prod",
    "oplibrary.ops.scatter_fold": "scatter_fold",
    "oplibrary.ops.searching": "searchsorted",
    "oplibrary.ops.selection": "advanced_index advanced_index_gradient advanced_set",
    "oplibrary.ops.signs": "positive fabs heaviside signbit copysign nextafter",
    "oplibrary.ops.singular_values": "undetermined svd svdvals",
    "oplibrary.ops.slicing": "slice_axis index_axis flip roll pad",
    "oplibrary.ops.softmax": "softmax log_softmax",
    "oplibrary.ops.solving": "inv inverse_or_nan solve solve_triangular cholesky",
    "oplibrary.ops.sorting": "sort argsort argwhere unique_values _unique_parts",
    "oplibrary.ops.special": """
        erfc erfinv ndtr ndtri log_ndtr lgamma digamma polygamma i0 i1 i0e i1e xlogy
        xlog1py entr
    """,
    "oplibrary.ops.statistics": "mean var std logsumexp euclidean_norm",
    "oplibrary.ops.trigonometry": """
        sin cos tan asin acos atan atan2 angle hypot sinh cosh tanh asinh acosh atanh
        deg2rad rad2deg
    """,
    "oplibrary.ops.whole_numbers": "fmod gcd lcm bitwise_count",
}
"""The ops."""

SPELLINGS = {
    "oplibrary.ops.activation": "swish",
    "oplibrary.ops.comparison": "eq ne lt le gt ge bitwise_not",
    "oplibrary.ops.creation": "empty_like",
    "oplibrary.ops.elementwise": "sub mul div true_divide neg power absolute",
    "oplibrary.ops.joining": "cat",
    "oplibrary.ops.matrix_functions": "matrix_exp",
    "oplibrary.ops.movement": "unsqueeze permute",
    "oplibrary.ops.reduction": "amax amin",
    "oplibrary.ops.running": "cummax cummin logcumsumexp",
    "oplibrary.ops.scan": "cumsum cumprod",
    "oplibrary.ops.sorting": "unique",
    "oplibrary.ops.special": "gammaln psi",
    "oplibrary.ops.trigonometry": "radians degrees",
}
"""Their other spellings."""

CREATION = {
    "oplibrary.ops.creation": "zeros ones empty full eye arange linspace",
}
"""Functions that make arrays of none."""

FUNCTIONS = {
    "": {
        "oplibrary.functional.activation": """
            hardtanh relu6 hardsigmoid hardswish threshold hardshrink softshrink prelu softplus
            logsigmoid mish selu celu softsign tanhshrink glu softmin gumbel_softmax
        """,
        "oplibrary.functional.adaptive_pooling": """
            adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
            adaptive_max_pool2d adaptive_max_pool3d
        """,
        "oplibrary.functional.associative_scan": "associative_scan",
        "oplibrary.functional.attention": "scaled_dot_product_attention multi_head_attention",
        "oplibrary.functional.bilinear": "bilinear",
        "oplibrary.functional.class_losses": "nll_loss cross_entropy",
        "oplibrary.functional.continuous_distributions": """
            exponential gumbel laplace cauchy gamma beta dirichlet student_t truncated_normal
            multivariate_normal
        """,
        "oplibrary.functional.convolution": """
            conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        """,
        "oplibrary.functional.discrete_distributions": """
            poisson binomial multinomial categorical choice shuffle
        """,
        "oplibrary.functional.distance_losses": """
            cosine_similarity pairwise_distance cosine_embedding_loss hinge_embedding_loss
            margin_ranking_loss soft_margin_loss triplet_margin_loss
        """,
        "oplibrary.functional.dropout": "dropout dropout1d dropout2d dropout3d alpha_dropout",
        "oplibrary.functional.embedding_bag": "embedding_bag",
        "oplibrary.functional.grid_sampling": "grid_sample affine_grid",
        "oplibrary.functional.group_normalization": """
            group_norm instance_norm rms_norm normalize local_response_norm
        """,
        "oplibrary.functional.losses": """
            mse_loss l1_loss huber_loss smooth_l1_loss poisson_nll_loss gaussian_nll_loss
            binary_cross_entropy binary_cross_entropy_with_logits kl_div
        """,
        "oplibrary.functional.margin_losses": """
            multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss
            triplet_margin_with_distance_loss
        """,
        "oplibrary.functional.normalization": "layer_norm batch_norm",
        "oplibrary.functional.pooling": """
            max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d
        """,
        "oplibrary.functional.power_pooling": "lp_pool1d lp_pool2d lp_pool3d",
        "oplibrary.functional.recurrent": "rnn_cell lstm_cell gru_cell rnn lstm gru",
        "oplibrary.functional.resampling": """
            interpolate pixel_shuffle pixel_unshuffle channel_shuffle unfold fold
        """,
        "oplibrary.functional.sequence_losses": "ctc_loss",
        "oplibrary.functional.unpooling": "max_unpool1d max_unpool2d max_unpool3d",
        "oplibrary.numerical.arrangement": """
            atleast_1d atleast_2d atleast_3d ravel vstack hstack dstack column_stack block
            append delete insert resize trim_zeros array_split vsplit hsplit dsplit flipud
            fliplr rot90 rollaxis diagflat ix_ flatnonzero
        """,
        "oplibrary.numerical.averages": "ptp average cov corrcoef",
        "oplibrary.numerical.choosing": """
            select choose compress extract piecewise partition argpartition lexsort
            sort_complex unravel_index ravel_multi_index
        """,
        "oplibrary.numerical.closeness": """
            isclose allclose array_equal array_equiv isposinf isneginf isreal iscomplex
            iscomplexobj isrealobj
        """,
        "oplibrary.numerical.counting": """
            digitize bincount histogram_bin_edges histogram histogramdd histogram2d union1d
            intersect1d setdiff1d setxor1d
        """,
        "oplibrary.numerical.differences": "ediff1d trapezoid gradient interp unwrap",
        "oplibrary.numerical.missing_values": """
            nansum nanprod nancumsum nancumprod nanmax nanmin nanargmax nanargmin nanmean
            nanvar nanstd nan_to_num
        """,
        "oplibrary.numerical.polynomials": "roots poly polydiv",
        "oplibrary.numerical.products": """
            inner vdot kron vander convolve correlate polyval polyadd polysub polymul polyder
            polyint polyfit sinc fix
        """,
        "oplibrary.numerical.quantiles": """
            median nanmedian quantile percentile nanquantile nanpercentile
        """,
        "oplibrary.ops.activation": "gelu",
        "oplibrary.ops.binary_powers": "frexp float_power",
        "oplibrary.ops.broadcasting": "broadcast_arrays meshgrid broadcast_shapes diff",
        "oplibrary.ops.diagonal": "diag trace",
        "oplibrary.ops.dtypes": "result_type can_cast isdtype finfo iinfo",
        "oplibrary.ops.effects": "assert_",
        "oplibrary.ops.einsum": "einsum",
        "oplibrary.ops.elementwise": "clip clamp astype",
        "oplibrary.ops.gather": "embedding one_hot",
        "oplibrary.ops.indexing": "set_item",
        "oplibrary.ops.joining": "concat cat concatenate stack split unstack unbind",
        "oplibrary.ops.linalg": "outer vecdot dot tensordot linear",
        "oplibrary.ops.movement": "flatten transpose moveaxis",
        "oplibrary.ops.padding": "pad",
        "oplibrary.ops.random": "random_key bernoulli",
        "oplibrary.ops.repetition": "repeat repeat_interleave",
        "oplibrary.ops.scatter": "scatter_add scatter_mean scatter_max scatter_min scatter_prod",
        "oplibrary.ops.searching": "searchsorted isin",
        "oplibrary.ops.segments": "segment_sum segment_mean segment_prod segment_max segment_min",
        "oplibrary.ops.signs": "modf",
        "oplibrary.ops.sorting": "topk nonzero unique_all unique_counts unique_inverse",
        "oplibrary.ops.special": "polygamma mvlgamma logit",
        "oplibrary.ops.statistics": "vector_norm",
        "oplibrary.ops.vector_products": "cross",
        "oplibrary.ops.whole_numbers": "divmod",
    },
    "linalg": {
        "oplibrary.ops.determinants": "slogdet",
        "oplibrary.ops.diagonal": "trace",
        "oplibrary.ops.eigenvalues": "eigh eig",
        "oplibrary.ops.least_squares": "pinv lstsq matrix_rank",
        "oplibrary.ops.linalg": "outer vecdot tensordot",
        "oplibrary.ops.matrix_functions": "matrix_power multi_dot tensorsolve tensorinv",
        "oplibrary.ops.matrix_norms": "matrix_norm norm cond",
        "oplibrary.ops.orthogonalization": "qr",
        "oplibrary.ops.singular_values": "svd",
        "oplibrary.ops.solving": "solve solve_triangular",
        "oplibrary.ops.statistics": "vector_norm",
        "oplibrary.ops.vector_products": "cross",
    },
    "special": {
        "oplibrary.ops.special": "polygamma betaln mvlgamma logit expit",
    },
    "fft": {
        "oplibrary.functional.fourier": """
            fft ifft fftn ifftn fft2 ifft2 rfft irfft rfftn irfftn rfft2 irfft2 hfft ihfft
            fftfreq rfftfreq fftshift ifftshift
        """,
    },
}
"""Of each namespace, the functions that are no ops."""

OFFERED = {
    "": """
        abs absolute acos acosh add all amax amin angle any argmax argmin argsort argwhere
        asin asinh assert_ atan atan2 atanh binary_cross_entropy bitwise_and bitwise_count
        bitwise_invert bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift
        bitwise_xor broadcast_to cast cat cbrt ceil clip clone concat conj copysign cos
        cosh count_nonzero cross_entropy cummax cummin cumprod cumsum cumulative_logsumexp
        cumulative_max cumulative_min cumulative_prod cumulative_sum deg2rad degrees
        diagonal diagonal_embed digamma div divide einsum elu empty_like eq equal erf erfc
        erfinv euclidean_norm exp exp2 expand_dims expm1 fabs flip floor floor_divide fmax
        fmin fmod full_like gammaln gcd ge gelu gelu_tanh greater greater_equal gt
        heaviside hypot i0 imag index_axis isfinite isinf isnan lcm ldexp le leaky_relu
        less less_equal lgamma linear_recurrence log log10 log1p log2 log_softmax logaddexp
        logaddexp2 logcumsumexp logical_and logical_not logical_or logical_xor logsumexp lt
        matmul matrix_transpose max maximum mean min minimum mul multiply ne neg negative
        nextafter normal not_equal ones_like pad permutation permute permute_dims polygamma
        positive pow power print_ prod psi rad2deg radians randint random_bits random_split
        real reciprocal relu remainder repeat reshape roll round rsqrt searchsorted sigmoid
        sign signbit silu sin sinh slice_axis softmax softplus sort spacing sqrt square
        squeeze stack std sub subtract sum swapaxes swish take take_along_axis tan tanh
        tile tril triu true_divide trunc uniform unique unique_values unsqueeze var where
        xlogy zeros_like
    """,
    "fft": "",
    "linalg": """
        cholesky det diagonal eigvals eigvalsh expm inv matmul matrix_exp matrix_transpose
        pinv svdvals
    """,
    "special": """
        digamma entr erfc erfinv gammaln i0 i0e i1 i1e lgamma log_ndtr ndtr ndtri polygamma
        psi xlog1py xlogy
    """,
}
"""Of each namespace, the ops, in all spellings."""
