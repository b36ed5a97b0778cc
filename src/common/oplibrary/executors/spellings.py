"""Names of NumPy, PyTorch and JAX that are spelled otherwise here, each with the call to write.

``xp`` stands for the namespace of the mode. In a line, `x` and `y` are vectors, `m` a square
matrix, `n` whole numbers that are indices, `mask` truth values, `k` a random key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from oplibrary.core.registry import names
from oplibrary.messages.suggestion import did_you_mean


@cache
def table(text: str) -> Mapping[str, str]:
    """Return one of the texts below, lines ``names: call``, as a table; names may share a call."""
    found = {}
    for line in text.strip().splitlines():
        names, _, call = line.strip().partition(": ")
        found.update(dict.fromkeys(names.split(), call))
    return found


FUNCTIONS = """
    arccos: xp.acos(x)
    arccosh: xp.acosh(x + 2)
    arcsin: xp.asin(x)
    arcsinh: xp.asinh(x)
    arctan: xp.atan(x)
    arctan2: xp.atan2(x, y)
    arctanh: xp.atanh(x)
    conjugate conj_physical: xp.conj(x)
    invert: xp.bitwise_invert(n)
    left_shift shift_left: xp.bitwise_left_shift(n, 1)
    right_shift shift_right_arithmetic: xp.bitwise_right_shift(n, 1)
    mod rem: xp.remainder(x, 2)
    around rint round_: xp.round(x)
    sgn: xp.sign(x)
    rsub: xp.subtract(2, x)
    frac: x - xp.trunc(x)
    lerp: x + 0.5 * (y - x)
    logistic: xp.sigmoid(x)
    erf_inv: xp.erfinv(x)
    is_finite: xp.isfinite(x)
    population_count: xp.bitwise_count(n)
    integer_pow: xp.pow(x, 3)
    select_n: xp.where(mask, x, y)
    addcmul: x + 0.5 * x * y
    addcdiv: x + 0.5 * x / y
    array asanyarray asarray_chkfinite: xp.asarray([1.0, 2.0])
    ascontiguousarray asfortranarray require: xp.asarray([1.0, 2.0])
    scalar_tensor: xp.asarray(2.0)
    copy: xp.clone(x)
    empty_strided empty_permuted: xp.empty((2, 3))
    identity: xp.eye(3)
    tri: xp.tril(xp.ones((3, 3)))
    logspace: 10.0 ** xp.linspace(0.0, 1.0, 5)
    geomspace: 2.0 ** xp.linspace(0.0, 1.0, 5)
    iota range: xp.arange(3)
    broadcasted_iota: xp.broadcast_to(xp.arange(3), (2, 3))
    indices mgrid: xp.meshgrid(xp.arange(2), xp.arange(3), indexing="ij")
    ogrid: xp.ix_(np.arange(2), np.arange(3))
    tril_indices: np.tril_indices(3)
    triu_indices: np.triu_indices(3)
    diag_indices: np.diag_indices(3)
    tril_indices_from: np.tril_indices_from(m)
    triu_indices_from: np.triu_indices_from(m)
    diag_indices_from: np.diag_indices_from(m)
    mask_indices: np.mask_indices(3, np.triu)
    hanning hann_window: xp.asarray(np.hanning(5))
    hamming hamming_window: xp.asarray(np.hamming(5))
    blackman blackman_window: xp.asarray(np.blackman(5))
    bartlett bartlett_window: xp.asarray(np.bartlett(5))
    kaiser kaiser_window: xp.asarray(np.kaiser(5, 2.0))
    size numel: x.size
    shape: x.shape
    ndim: x.ndim
    r_ c_: xp.concat([x, y])
    s_ index_exp: (slice(0, 2), 1)
    row_stack: xp.vstack([x, y])
    fill_diagonal: np.fill_diagonal(m, 0.0)
    put: np.put(x, [0], 1.0)
    place: np.place(x, mask, [1.0])
    putmask: np.putmask(x, mask, 1.0)
    copyto: np.copyto(x, 1.0)
    put_along_axis: np.put_along_axis(x, n, 1.0, 0)
    apply_along_axis: np.apply_along_axis(xp.sum, 0, m)
    apply_over_axes: np.apply_over_axes(xp.sum, m, [0])
    einsum_path: np.einsum_path("ij,jk->ik", m, m)
    common_type: xp.result_type(x)
    promote_types issubdtype: xp.result_type("int32", "float32")
    vectorize frompyfunc: xp.vmap(lambda v: v * 2)(x)
    in1d: xp.isin(x, y)
    trapz: xp.trapezoid(x)
    product: xp.prod(x)
    alltrue: xp.all(mask)
    sometrue: xp.any(mask)
    cumproduct: xp.cumprod(x, axis=0)
    msort: xp.sort(x, axis=0)
    vecmat matvec mv mm bmm batch_matmul spmm: m @ m
    ger: xp.outer(x, y)
    addmm addbmm baddbmm: m + m @ m
    addmv: x + m @ y
    chain_matmul: xp.linalg.multi_dot([m, m, m])
    dot_general: xp.tensordot(m, m, axes=1)
    poly1d: xp.polyval([1.0, 2.0], x)
    det: xp.linalg.det(m)
    inverse inv: xp.linalg.inv(m)
    slogdet: xp.linalg.slogdet(m)
    logdet: xp.linalg.slogdet(m).logabsdet
    cholesky: xp.linalg.cholesky(m)
    qr: xp.linalg.qr(m)
    svd: xp.linalg.svd(m)
    eigh symeig: xp.linalg.eigh(m)
    eig: xp.linalg.eig(m)
    solve: xp.linalg.solve(m, x)
    lstsq: xp.linalg.lstsq(m, x)
    pinverse pinv: xp.linalg.pinv(m)
    matrix_power: xp.linalg.matrix_power(m, 2)
    matrix_exp: xp.linalg.expm(m)
    matrix_rank: xp.linalg.matrix_rank(m)
    triangular_solve: xp.linalg.solve_triangular(m, x)
    norm frobenius_norm: xp.linalg.norm(x)
    nuclear_norm: xp.linalg.norm(m, ord="nuc")
    cholesky_inverse: xp.linalg.inv(m @ m.T)
    addr: m + xp.outer(x, y)
    is_nonzero: xp.any(x != 0)
    dist: xp.vector_norm(x - y)
    cdist pdist: xp.sqrt(xp.sum((m[:, None] - m[None]) ** 2, axis=-1))
    block_diag: xp.kron(xp.eye(2), m)
    diag_embed: xp.diag(x)
    broadcast_tensors: xp.broadcast_arrays(x, y)
    broadcast_in_dim broadcast_like broadcast: xp.broadcast_to(x, (2, 3))
    swapdims: xp.swapaxes(m, 0, 1)
    movedim: xp.moveaxis(m, 0, 1)
    adjoint: xp.conj(xp.matrix_transpose(m))
    t: m.T
    collapse unflatten: xp.reshape(x, (-1,))
    chunk tensor_split: xp.array_split(x, 3)
    split_with_sizes: xp.split(x, (1, 2))
    narrow slice_in_dim dynamic_slice dynamic_slice_in_dim: x[1:3]
    dynamic_update_slice dynamic_update_slice_in_dim slice_scatter: xp.set_item(x, slice(1, 3), 0.0)
    dynamic_index_in_dim index_in_dim select_copy: x[1]
    index_select index_take: xp.take(x, n, axis=0)
    gather take_along_dim: xp.take_along_axis(x, n, axis=0)
    scatter index_put index_copy: xp.set_item(x, n, 0.0)
    index_add: xp.scatter_add(x, n, y)
    scatter_reduce index_reduce: xp.scatter_max(x, n, y)
    scatter_mul: xp.scatter_prod(x, n, y)
    segment_reduce: xp.segment_sum(x, n, 3)
    index_fill: xp.set_item(x, n, 0.0)
    masked_fill: xp.where(mask, 0.0, x)
    masked_scatter: np.place(x, mask, [1.0])
    rev: xp.flip(x)
    top_k: xp.topk(x, 2)
    sort_key_val: xp.take(y, xp.argsort(x), axis=0)
    kthvalue: xp.sort(x)[1]
    bucketize: xp.searchsorted(x, y)
    histc: xp.histogram(x, 4)
    combinations cartesian_prod: xp.meshgrid(x, y)
    aminmax: (xp.min(x), xp.max(x))
    std_mean: (xp.std(x), xp.mean(x))
    var_mean: (xp.var(x), xp.mean(x))
    reduce_sum psum: xp.sum(x)
    reduce_max pmax: xp.max(x)
    reduce_min pmin: xp.min(x)
    reduce_prod: xp.prod(x)
    reduce_and: xp.all(mask)
    reduce_or: xp.any(mask)
    convert_element_type: xp.astype(x, "float64")
    complex: x + 1j * y
    polar: x * xp.exp(1j * y)
    view_as_real: xp.stack([xp.real(x), xp.imag(x)], axis=-1)
    view_as_complex: x + 1j * y
    constant_pad_nd: xp.pad(x, (1, 1))
    conv convolution conv_general_dilated: xp.conv1d(x.reshape(1, 1, -1), x.reshape(1, 1, -1))
    reduce_window: xp.max_pool1d(x.reshape(1, 1, -1), 2)
    upsample upsample_nearest: xp.interpolate(x.reshape(1, 1, -1), scale_factor=2)
    upsample_bilinear: xp.interpolate(m.reshape(1, 1, 3, 3), scale_factor=2, mode="bilinear")
    hardtanh_ relu_ elu_ selu_ celu_ leaky_relu_ threshold_: xp.relu(x)
    max_pool1d_with_indices: xp.max_pool1d(x.reshape(1, 1, -1), 2, return_indices=True)
    max_pool2d_with_indices: xp.max_pool2d(m.reshape(1, 1, 3, 3), 2, return_indices=True)
    native_channel_shuffle: xp.channel_shuffle(x.reshape(1, -1), 3)
    linear_cross_entropy: xp.cross_entropy(xp.linear(m, m), n)
    rrelu: xp.where(x < 0, x * xp.uniform(k, x.shape, 0.125, 0.333), x)
    loggamma: xp.log(xp.gamma(k, 2.0, (3,)))
    chisquare: 2 * xp.gamma(k, 1.5, (3,))
    lognormal: xp.exp(xp.normal(k, (3,)))
    weibull_min: xp.exponential(k, (3,)) ** 0.5
    pareto: xp.exp(xp.exponential(k, (3,)))
    rayleigh: (2 * xp.exponential(k, (3,))) ** 0.5
    rademacher: xp.randint(k, (3,), 0, 2) * 2 - 1
    orthogonal: xp.linalg.qr(xp.normal(k, (3, 3))).Q
    fold_in: xp.random_split(k, 3)[2]
    rng_uniform rand_like: xp.uniform(k, x.shape)
    randn_like: xp.normal(k, x.shape)
    randint_like: xp.randint(k, x.shape, 0, 9)
    bool_: xp.bool
    int_ intp int: xp.int64
    float_: xp.float64
    single: xp.float32
    byte ubyte: xp.uint8
    cfloat csingle: xp.complex64
    cdouble: xp.complex128
    dtype: np.dtype("float32")
    errstate: np.errstate(all="ignore")
    detach: x.detach()
    nn functional: xp.relu(x)
    lax numpy scipy: xp.scan(lambda c, v: (c + v, c), 0.0, x)
    autograd func: xp.grad(lambda v: xp.sum(v))(x)
    optim: xp.optimizers.sgd(0.1)
    value_and_gradient: xp.value_and_grad(lambda v: xp.sum(v))(x)
    jacfwd jacrev: xp.jacobian(lambda v: v * 2, x)
    pmap: xp.vmap(lambda v: v * 2)(x)
"""
"""Names of modules, each with a line that runs in both modes."""

DYNAMIC = """
    seed: dg.manual_seed(0)
    placeholder variable constant: dg.tensor([1.0, 2.0])
    gradients: dg.grad(lambda v: dg.sum(v))(x)
    Variable Parameter: dg.tensor([1.0, 2.0], requires_grad=True)
    Node: dg.tensor([1.0])
    save savetxt savez savez_compressed: x.detach().numpy()
    load loadtxt genfromtxt: dg.tensor(np.zeros(3))
    to_dlpack: np.from_dlpack(x.detach())
    masked_select: x[mask]
    FloatTensor DoubleTensor LongTensor Array: dg.tensor([1.0, 2.0])
"""
"""Names that mean something else in each mode: here in the dynamic one."""

STATIC = """
    tensor as_tensor from_numpy: sg.asarray([1.0, 2.0])
    no_grad inference_mode enable_grad: sg.stop_gradient(x)
    backward: sg.gradients(sg.sum(x), [x])
    rand: sg.uniform(k, (2, 3))
    randn: sg.normal(k, (2, 3))
    randperm: sg.permutation(k, 5)
    manual_seed seed: sg.random_key(0)
    masked_select: sg.where(mask, x, 0.0)
    Tensor Array is_tensor: isinstance(x, sg.Node)
    jit: sg.function(lambda v: v * 2)
    Parameter: sg.variable([1.0, 2.0])
"""
"""The same in the static mode."""

MODULES = frozenset({"nn", "functional", "lax", "numpy", "scipy"})
"""Modules of other libraries whose functions stand in the main namespace."""

METHODS = """
    absolute: x.abs()
    addmm: m + m @ m
    adjoint H mH: m.mT.conj()
    arccos: x.acos()
    arcsin: x.asin()
    arctan: x.atan()
    arccosh: (x + 2).acosh()
    arcsinh: x.asinh()
    arctanh: x.atanh()
    bmm mm mv: m @ m
    bool: x.astype("bool")
    type type_as: x.astype("float64")
    chunk tensor_split: xp.array_split(x, 3)
    cuda pin_memory share_memory_: x.to_device("cpu")
    det: xp.linalg.det(m)
    diag_embed: xp.diag(x)
    expand: x.broadcast_to((2, 3))
    expand_as: x.broadcast_to(x.shape)
    flat: x.flatten()
    gather: x.take_along_axis(n, axis=0)
    get_device: x.device
    index_add: xp.scatter_add(x, n, y)
    index_copy index_fill index_put scatter: xp.set_item(x, n, 0.0)
    index_select: x.take(n, axis=0)
    int: x.astype("int32")
    inverse: xp.linalg.inv(m)
    is_cuda is_contiguous: x.device
    lerp: x + 0.5 * (y - x)
    logdet: xp.linalg.slogdet(m).logabsdet
    masked_fill: xp.where(mask, 0.0, x)
    median: xp.median(x)
    movedim: m.moveaxis(0, 1)
    msort sort: xp.sort(x, axis=0)
    narrow: x[1:3]
    ndimension: x.ndim
    nelement: x.size
    new_zeros: xp.zeros((2, 3))
    new_ones: xp.ones((2, 3))
    new_full: xp.full((2, 3), 7.0)
    new_empty: xp.empty((2, 3))
    new_tensor: xp.asarray([1.0])
    norm: xp.vector_norm(x)
    partition: xp.partition(x, 1)
    pinverse: xp.linalg.pinv(m)
    ptp: xp.ptp(x)
    quantile: xp.quantile(x, 0.5)
    repeat_interleave: x.repeat(2)
    reshape_as view_as: x.reshape(x.shape)
    resize resize_: xp.resize(x, (2, 2))
    scatter_add: xp.scatter_add(x, n, y)
    select: x[1]
    sgn: x.sign()
    short: x.astype("int16")
    split: xp.array_split(x, 3)
    svd: xp.linalg.svd(m)
    swapdims: m.swapaxes(0, 1)
    take_along_dim: x.take_along_axis(n, axis=0)
    unflatten: x.reshape((1, -1))
    where: xp.where(mask, x, 0.0)
"""
"""Methods and attributes of arrays, likewise."""


_SHORT = {"dyngraph": "dg", "staticgraph": "sg"}
BELOW = ("linalg", "fft", "special")
"""The namespaces below the main one."""


def call_for(name: str, package: str, names: str = FUNCTIONS) -> str | None:
    """Return the call to write for a name of another library, in the words of `package`.

    Parameters
    ----------
    name : str
    package : str
        ``"dyngraph"`` or ``"staticgraph"``.
    names : str
        The text that the name stands in: `FUNCTIONS` or `METHODS`.

    Examples
    --------
    >>> call_for("arcsin", "dyngraph")
    'dg.asin(x)'
    """
    short = _SHORT[package]
    own = DYNAMIC if package == "dyngraph" else STATIC
    call = (table(own).get(name) if names is FUNCTIONS else None) or table(names).get(name)
    return None if call is None else call.replace("xp.", f"{short}.")


class MissingName(AttributeError):
    """A name that a namespace does not have; what it may have meant is looked up when it is read.

    Parameters
    ----------
    package : str
        ``"dyngraph"`` or ``"staticgraph"``.
    missing : str
    known : iterable of str
    below : str
        The namespace below the main one, such as ``"linalg"``.
    """

    def __init__(self, package: str, missing: str, known: Iterable[str], below: str = "") -> None:
        super().__init__(package, missing)
        self._package, self._missing, self._known = package, missing, known
        self._below = below

    def __str__(self) -> str:
        module = f"{self._package}.{self._below}" if self._below else self._package
        text = f"module {module!r} has no attribute {self._missing!r}"
        call = call_for(self._missing, self._package)
        if self._missing in MODULES and call is not None:
            return f"{text}: its functions stand in the main namespace, as {call}"
        if call is not None:
            return f"{text}; did you mean {call}?"
        from oplibrary.executors.names_elsewhere import ELSEWHERE

        for below in BELOW:
            if not self._below and self._missing in names(below):
                return f"{text}; did you mean {_SHORT[self._package]}.{below}.{self._missing}?"
        if self._missing in ELSEWHERE:  # no misspelling
            return text
        return text + did_you_mean(self._missing, self._known)

    def __reduce__(self) -> tuple[type[AttributeError], tuple[str]]:
        return AttributeError, (str(self),)
