"""Names of NumPy, SciPy, PyTorch and JAX that mean something else than the name here like them."""

ELSEWHERE = frozenset(
    """
    Optional after_all agm ai_zeros array2string array_repr array_str asmatrix axis_index bdtr
    bdtrc bdtri bdtrik bdtrin bei bei_zeros beip_zeros ber ber_zeros berp berp_zeros betainc
    betaincc betaincinv bi_zeros binary_repr binom bmat boxcox btdtria btdtrib busday_count
    c_roots cg_roots chdtr chdtrc chdtri chdtriv chebyt chebyu chndtr chndtridf chndtrinc
    chndtrix classproperty composite conv_general_permutations conv_tbc conv_transpose
    conv_transpose_shape_tuple cosdg cosm1 cotdg cumlogsumexp cumulative_trapezoid custom_root
    dawsn dequantize diagonal_scatter diric dot_product_attention ellip_normal ellipe ellipj
    ellipk ellipkm1 elliprc elliprd elliprf elliprg elliprj empty_quantized erf_zeros erfcinv
    erfcx erfi euler eval_jacobi exp1 exp10 expand_copy expi expn exprel factorial factorial2
    factorialk fdtr fdtrc fdtri fdtridfd feature_dropout fill fork fractional_max_pool2d
    fractional_max_pool3d fresnel fresnel_zeros from_file fromfile fromfunction fromiter
    fromstring gammainc gammaincc gammainccinv gammaincinv gammasgn gdtr gdtrc gdtria gdtrib
    gdtrix geqrf get_default_dtype getbufsize geterr geterrcall grid_sampler grid_sampler_2d
    grid_sampler_3d grouped_mm h_roots hankel1e hankel2e hard_silu hash_tensor he_roots hermite
    hermitenorm hfft2 hfftn huber hyperu igamma igamma_grad_a igammac ihfft2 ihfftn info
    initial_seed int_repr inv_ex is_anomaly_enabled is_autocast_cache_enabled
    is_autocast_cpu_enabled is_autocast_enabled is_autocast_ipu_enabled is_autocast_xla_enabled
    is_conj is_inference is_inference_mode_enabled is_neg is_signed is_storage
    is_warn_always_enabled isfortran isnat istft iterable iv ive ivp j_roots jacobi jn_zeros
    jnjnp_zeros jnp_zeros jnyn_zeros js_roots jv jve k0e k1e kei kei_zeros keip_zeros
    kelvin_zeros ker ker_zeros kerp kerp_zeros kn kolmogi kvp l_roots la_roots laguerre legendre
    load loadtxt lobpcg log1mexp log_expit logmeanexp lu lu_unpack mathieu_a mathieu_sem mode
    mulhi multigammaln native_norm nbdtr nbdtrc nbdtri nbdtrik nbdtrin ncfdtr ncfdtri ncfdtridfd
    ncfdtridfn ncfdtrinc nctdtr nctdtridf nctdtrinc nctdtrit nested_iters nrdtrimn nrdtrisd
    obl_rad1 obl_rad2 optimization_barrier orgqr ormqr p_roots pbroadcast pcast pdtr pdtrc pdtri
    pdtrik perm pmean powm1 ppermute precv printoptions pro_cv pro_rad1 pro_rad2 ps_roots psend
    pshuffle psum_scatter pswapaxes radian real_if_close reduce rel_entr renorm resolve_neg
    rgamma rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell roots_jacobi s_roots saddmm save savez
    savez_compressed scaled_mm scatter_apply scatter_sub set_anomaly_enabled
    set_autocast_cache_enabled set_autocast_cpu_enabled set_autocast_enabled
    set_autocast_ipu_enabled set_autocast_xla_enabled set_default_dtype set_warn_always
    setbufsize seterr sh_jacobi shichi sici sindg slice slice_copy slice_inverse smirnov smm
    sparse_bsc_tensor sparse_bsr_tensor sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor
    sparse_plus sparse_sigmoid spence spherical_in spherical_jn spherical_kn spherical_yn
    squareplus stage standardize stdtr stdtridf stdtrit struve t_copy t_roots tandg test
    to_dlpack ts_roots u_roots unique_consecutive us_roots view_as_complex_copy wait y0_zeros
    y1_zeros y1p_zeros yn_zeros ynp_zeros yvp zeta zetac
    """.split()
)
"""Asked for one of these, the name that is nearest by its letters would be wrong advice."""
