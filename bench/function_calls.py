"""Single calls on some 100,000 numbers, as workloads of every namespace."""

import numpy as np

from sidebyside.workloads.workload import Workload

COUNT = 100_000


def _positive(rng):
    """Return positive definite matrices."""
    x = rng.standard_normal((1_000, 8, 8))
    return (x @ x.mT + np.eye(8)).astype(np.float32)


OPERANDS = {
    "x": lambda rng: rng.standard_normal(COUNT).astype(np.float32),
    "y": lambda rng: rng.standard_normal(COUNT).astype(np.float32),
    "p": lambda rng: rng.uniform(0.5, 5.0, COUNT).astype(np.float32),
    "u": lambda rng: rng.uniform(-0.9, 0.9, COUNT).astype(np.float32),
    "n": lambda rng: rng.integers(1, 100, COUNT).astype(np.int32),
    "k": lambda rng: rng.integers(1, 7, COUNT).astype(np.int32),
    "b": lambda rng: rng.standard_normal(COUNT) > 0,
    "z": lambda rng: (rng.standard_normal((COUNT, 2)) @ [1, 1j]).astype(np.complex64),
    "m": lambda rng: rng.standard_normal((256, 400)).astype(np.float32),
    "w": lambda rng: rng.standard_normal((400, 256)).astype(np.float32),
    "a": lambda rng: (rng.standard_normal((1_000, 8, 8)) + 8 * np.eye(8)).astype(np.float32),
    "s": _positive,
    "v": lambda rng: rng.standard_normal((1_000, 8, 1)).astype(np.float32),
    "i": lambda rng: rng.permutation(COUNT),
    "j": lambda rng: rng.integers(0, 256, 1_000),
    "q": lambda rng: rng.standard_normal((8, 16, 28, 28)).astype(np.float32),
    "f": lambda rng: rng.standard_normal((16, 16, 3, 3)).astype(np.float32),
    "r": lambda rng: rng.standard_normal((32, 4_096)).astype(np.float32),
    "c": lambda rng: rng.integers(0, 400, 256),
}  # fmt: skip
"""What each letter of a call is, drawn from a generator."""

CALLS = """
abs(x) acos(u) acosh(p+1) asin(u) asinh(x) atan(x) atanh(u) cbrt(x) ceil(x) cos(x) cosh(x)
deg2rad(x) exp(x) exp2(x) expm1(x) floor(x) isfinite(x) isnan(x) log(p) log10(p) log1p(p)
log2(p) negative(x) reciprocal(p) round(x) rsqrt(p) sign(x) signbit(x) sin(x) sinc(x) sinh(u)
sqrt(p) square(x) tan(u) tanh(x) trunc(x) nan_to_num(x) x+y x-y x*y x/p x//p x%p x**2 x**3
p**0.5 p**y atan2(x,y) copysign(x,y) fmod(x,p) hypot(x,y) logaddexp(x,y) maximum(x,y)
minimum(x,y) nextafter(x,y) heaviside(x,y) floor_divide(n,k) remainder(n,k) gcd(n,k) lcm(n,k)
n*k n+k bitwise_and(n,k) bitwise_xor(n,k) bitwise_left_shift(n,k) bitwise_invert(n) x<y x==y
where(b,x,y) clip(x,-1.0,1.0) logical_and(b,x>0) abs(z) angle(z) conj(z) exp(z) log(z) sqrt(z)
z*z z/(z+1) sin(z) tanh(z) sum(z) relu(x) sigmoid(x) gelu(x) silu(x) elu(x) selu(x) softplus(x)
leaky_relu(x) hardswish(x) mish(x) relu6(x) softsign(x) celu(x) logsigmoid(x) hardtanh(x)
hardsigmoid(x) softmax(m,axis=-1) log_softmax(m,axis=-1) logsumexp(m,axis=-1) sum(x)
sum(m,axis=0) sum(m,axis=1) mean(m,axis=0) mean(m,axis=1) prod(u) max(x) min(m,axis=0)
max(m,axis=1) argmax(x) argmax(m,axis=0) argmax(m,axis=1) any(b) all(b) var(x) std(m,axis=0)
std(m,axis=1) count_nonzero(b) sum(n) max(n) median(x) nansum(x) nanmean(x) quantile(x,0.3)
ptp(x) cumsum(x,axis=0) cumsum(m,axis=0) cumsum(m,axis=1) cumprod(u,axis=0) cumsum(n,axis=0)
cummax(x,axis=0) cumulative_logsumexp(m,axis=1) diff(x) trapezoid(x) sort(x) sort(m,axis=1)
sort(m,axis=0) argsort(x) argsort(m,axis=1) searchsorted(sort(x),y) topk(m,8)[0] sort(n) flip(x)
roll(x,3) m.T+0 concat([x,y]) stack([x,y]) tile(m,(2,2)) repeat(x,3) pad(m,((1,1),(2,2)))
m[1:-1,1:-1]+0 tril(m) triu(m) diagonal(m)+0 x[::-1]+0 x[::2]+0
broadcast_to(x[:400],(256,400))+0 reshape(m,(400,256))+0 permute_dims(q,(0,2,3,1))+0 take(x,i)
x[i] take(m,j,axis=0) take_along_axis(m,argsort(m,axis=1),axis=1) set_item(m,(slice(1,-1),),0.0)
segment_sum(x,n,100) one_hot(k,8) histogram(x,32)[0] m@w matmul(a,a) einsum('ij,kj->ik',m,m)
dot(x,y) outer(x[:400],y[:400]) tensordot(m,w,1) vecdot(m,m) kron(m[:16,:16],m[:20,:20])
cross(x[:99999].reshape((-1,3)),y[:99999].reshape((-1,3))) trace(m) linalg.norm(x)
linalg.vector_norm(m,axis=1) linalg.solve(a,v) linalg.inv(a) linalg.cholesky(s) linalg.det(a)
linalg.slogdet(a)[1] linalg.eigh(s)[0] linalg.eigvalsh(s) linalg.svdvals(a) linalg.svd(a)[1]
linalg.qr(a)[1] linalg.matrix_power(a,3) linalg.pinv(a) linalg.matrix_exp(a*0.1) fft.fft(r)
fft.rfft(r) fft.ifft(r) fft.fft2(r) fft.fftshift(r) fft.irfft(r) fft.fft(z) erf(x)
special.erfc(x) special.erfinv(u) lgamma(p) special.digamma(p) special.polygamma(1,p)
special.i0(x) special.i0e(x) special.i1(x) special.i1e(x) special.ndtr(x)
special.ndtri(u*0.5+0.5) special.log_ndtr(x) special.logit(u*0.5+0.5) special.xlogy(p,p)
special.xlog1py(p,p) special.entr(p) special.expit(x) conv2d(q,f) conv2d(q,f,padding=1)
conv2d(q,f,stride=2) conv1d(r[:,None,:],f[:1,:1,0]) max_pool2d(q,2) avg_pool2d(q,2)
max_pool2d(q,3,stride=2) adaptive_avg_pool2d(q,7) interpolate(q,scale_factor=2)
layer_norm(m,(400,)) rms_norm(m,(400,)) group_norm(q,4) normalize(m) cosine_similarity(m,m+1)
pairwise_distance(m,m+1) cross_entropy(m,c) mse_loss(x,y) l1_loss(x,y) huber_loss(x,y)
smooth_l1_loss(x,y) nll_loss(log_softmax(m,axis=-1),c)
binary_cross_entropy_with_logits(x,u*0.5+0.5) kl_div(x,p) embedding(m,j)
scaled_dot_product_attention(q,q,q) interp(x,sort(p),y) polyval([1.0,2.0,3.0],x) ldexp(x,k)
frexp(x)[0] modf(x)[0] rad2deg(x) float_power(p,2.0) isclose(x,y) unwrap(x) cov(m) corrcoef(m)
gradient(x) convolve(x,y[:9]) average(x) digitize(x,sort(y[:99])) vander(x[:400])
meshgrid(x[:316],y[:316])[0]+0 rot90(m)+0 x.astype('int32') n.astype('float32')
x.astype('float64')
""".split()
"""Calls, of the namespace's functions and the operands."""


def operands_of(call):
    """Return the letters that a call reads, in their order."""
    names = compile(call, call, "eval").co_names
    return [name for name in OPERANDS if name in names]


def workload_of(call):
    """Return a call as a workload."""
    names = operands_of(call)
    code = compile(call, call, "eval")

    def function(xp, *values):
        return eval(code, _Names(xp, dict(zip(names, values, strict=True))))

    def inputs(rng, _):
        return tuple(OPERANDS[name](rng) for name in names)

    return Workload(function, inputs, name=call, tolerance=1e-2)


class _Names(dict):
    """The operands, and else what the namespace and Python call so."""

    def __init__(self, namespace, operands):
        super().__init__(operands)
        self._namespace = namespace

    def __missing__(self, name):
        if name == "slice":
            return slice
        return getattr(self._namespace, name)
