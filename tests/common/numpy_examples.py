"""Calls of NumPy's functions that are answered, by name; each takes the function."""

import numpy as np
from tests.common.numpy_calls import COMPLEX, INTS, NANS, TRUTH

D = np.array([3.0, -1.0, 2.0, 5.5, 2.4, 0.5])
"""No two elements are equal."""
E = np.array([[0.3, -1.2, 2.5, 0.9], [1.7, 0.4, -0.6, 3.1], [-2.2, 1.1, 0.2, -0.8]])
F = np.array([[1.5, np.nan, -0.5], [np.nan, np.nan, np.nan], [0.2, 2.0, 0.7]])
NONE = np.zeros((0, 3))
SOME = np.array([[0.4, np.nan, 2.0], [1.0, -1.0, 0.3]])
R = np.array([0.0, 1.0, 2.5, 4.0])
"""In ascending order."""
COUNTS = np.array([0, 2, 2, 5])
SINGLE = E.astype("float32")


def written(f, *arguments):
    """Return what a function that writes into its first argument makes of it."""
    if not isinstance(arguments[0], np.ndarray):
        f(*arguments)
        return arguments[0]
    target = arguments[0].copy()

    def call(x, *others):
        x = x * 1  # neither an argument of a graph nor shared
        f.function(x, *others) if hasattr(f, "function") else f(x, *others)
        return x

    if hasattr(f, "function"):
        return type(f)(call, f.wrap)(target, *arguments[1:])
    return call(target, *arguments[1:])


EXAMPLES = {
    "allclose": [lambda f: f(D, D + 1e-9), lambda f: f(D, E[0, 0]), lambda f: f(NANS, NANS)],
    "angle": [lambda f: f(COMPLEX), lambda f: f(COMPLEX, deg=True)],
    "append": [lambda f: f(E, D), lambda f: f(E, E[:1] * 2, axis=0), lambda f: f(D, 7.0)],
    "apply_along_axis": [
        lambda f: f(lambda v: np.sum(v * v), 0, E),
        lambda f: f(lambda v: v - np.mean(v), 1, E),
        lambda f: f(np.cumsum, axis=0, arr=E),
    ],
    "apply_over_axes": [lambda f: f(np.sum, E, [0, 1])],
    "argpartition": [lambda f: f(D, 0)[:1], lambda f: f(D, 5)[5:]],
    "array_equal": [
        lambda f: f(D, D * 1),
        lambda f: f(D, E),
        lambda f: f(NANS, NANS),
        lambda f: f(NANS, NANS, equal_nan=True),
    ],
    "array_equiv": [lambda f: f(D, D[:1]), lambda f: f(D, E), lambda f: f(D, D)],
    "array_split": [lambda f: f(E, 3, 1), lambda f: f(E, 2)],
    "atleast_1d": [lambda f: f(D, E[0, 0])],
    "atleast_2d": [lambda f: f(D), lambda f: f(E[0, 0], D)],
    "atleast_3d": [lambda f: f(D), lambda f: f(E), lambda f: f(E[0, 0])],
    "average": [
        lambda f: f(E),
        lambda f: f(E, 0),
        lambda f: f(D, weights=np.abs(D)),
        lambda f: f(E, axis=1, weights=R + 1.0),
        lambda f: f(E, 1, R + 1.0, True),
        lambda f: f(E, axis=0, weights=np.abs(E), keepdims=True),
        lambda f: f(INTS, axis=0),
    ],
    "bincount": [
        lambda f: f(COUNTS),
        lambda f: f(COUNTS, R),
        lambda f: f(COUNTS, minlength=9),
    ],
    "block": [lambda f: f([[E, E], [E * 2, E]]), lambda f: f([D, D])],
    "choose": [
        lambda f: f(np.array([2, 0, 1, 0]), [R, R * 2, R * 3]),
        lambda f: f(np.array([[3], [-1]]), [R, R * 2], mode="wrap"),
        lambda f: f(np.array([5, -3, 1, 0]), [R, R * 2], mode="clip"),
    ],
    "column_stack": [lambda f: f([D, D * 2]), lambda f: f((E, E[:, 0]))],
    "common_type": [lambda f: f(D, SINGLE)],
    "compress": [lambda f: f([True, False, True], E, axis=0), lambda f: f(D > 1, D)],
    "convolve": [
        lambda f: f(D, R),
        lambda f: f(R, D, "same"),
        lambda f: f(D, R, mode="valid"),
        lambda f: f(INTS[0], INTS[1]),
        lambda f: f(np.linspace(0, 1, 70), np.linspace(1, 2, 66), "same"),
        lambda f: f(np.linspace(0, 1, 70), np.linspace(1, 2, 66), "valid"),
        lambda f: f(COMPLEX, D),
        lambda f: f(NANS, R[:2]),
    ],
    "corrcoef": [lambda f: f(E), lambda f: f(D, D**2), lambda f: f(E, rowvar=False)],
    "correlate": [
        lambda f: f(D, R),
        lambda f: f(R, D),
        lambda f: f(D, R, "full"),
        lambda f: f(R, D, "same"),
        lambda f: f(D, COMPLEX, "same"),
    ],
    "cov": [
        lambda f: f(E),
        lambda f: f(D),
        lambda f: f(E, bias=True),
        lambda f: f(E, rowvar=False, ddof=0),
        lambda f: f(D, D[::-1].copy()),
        lambda f: f(E, fweights=[1, 2, 1, 3]),
        lambda f: f(E, aweights=R + 0.5),
        lambda f: f(SINGLE, dtype="float32"),
        lambda f: f(np.stack([COMPLEX, COMPLEX[::-1]])),
    ],
    "delete": [
        lambda f: f(D, 1),
        lambda f: f(D, [0, -1]),
        lambda f: f(E, slice(1, 3), axis=1),
        lambda f: f(E, [True, False, True], 0),
    ],
    "diag_indices_from": [lambda f: f(E[:, :3])],
    "diagflat": [lambda f: f(D[:2]), lambda f: f(E[:2, :2], k=1)],
    "digitize": [
        lambda f: f(E, R),
        lambda f: f(E, R, right=True),
        lambda f: f(D, R[::-1].copy()),
    ],
    "dsplit": [lambda f: f(np.stack([E, E * 2], 2), 2)],
    "dstack": [lambda f: f([D, D]), lambda f: f([E, E * 2])],
    "ediff1d": [lambda f: f(E), lambda f: f(D, to_begin=0.5, to_end=[1.0, 2.0])],
    "einsum_path": [lambda f: f("ij,jk,kl->il", E, E.T, E)[0]],
    "extract": [lambda f: f(E > 0, E)],
    "fill_diagonal": [
        lambda f: written(f, E, 9.0),
        lambda f: written(f, E.T, R[:3]),
        lambda f: written(f, np.ones((7, 2)), 0.0, True),
    ],
    "fix": [lambda f: f(E)],
    "flatnonzero": [lambda f: f(E > 0)],
    "fliplr": [lambda f: f(E)],
    "flipud": [lambda f: f(E), lambda f: f(D)],
    "geomspace": [
        lambda f: f(np.abs(D), np.abs(D) * 3 + 1, 5),
        lambda f: f(-np.abs(E), -np.abs(E) - 1, 4, endpoint=False, axis=1),
        lambda f: f(D[0], D[2], num=1),
        lambda f: f(D, D * 2, 3),
        lambda f: f(R + 1, 100, 3, dtype="float32"),
        lambda f: f(COUNTS + 1, 100, 3),
    ],
    "gradient": [
        lambda f: f(D),
        lambda f: f(E),
        lambda f: f(D, 0.5, edge_order=2),
        lambda f: f(E[0], R),
        lambda f: f(E[0], R, edge_order=2),
        lambda f: f(E, 2.0, axis=1),
        lambda f: f(E, R[:3], 2.0),
        lambda f: f(INTS[0]),
    ],
    "histogram": [
        lambda f: f(D),
        lambda f: f(E, 4, (-1.0, 2.0)),
        lambda f: f(D, R),
        lambda f: f(D, bins=3, density=True),
        lambda f: f(D, bins=R, weights=np.abs(D)),
        lambda f: f(INTS, 3),
    ],
    "histogram2d": [
        lambda f: f(D, D * D, 3),
        lambda f: f(D, D**2, [2, 3], density=True),
        lambda f: f(D, D, R, weights=np.abs(D)),
        lambda f: f(D, D, 2, range=[(0.0, 2.0), (1.0, 3.0)]),
    ],
    "histogram_bin_edges": [lambda f: f(D), lambda f: f(E, 4, (-1.0, 2.0)), lambda f: f(D, R)],
    "histogramdd": [
        lambda f: f(E[:, :2], 4),
        lambda f: f([D, D * 2, D], [2, R, 3], range=[(0, 3), None, (1, 2)]),
        lambda f: f(D, 3, density=True),
        lambda f: f([D, R[:1] + D], 2, weights=D),
    ],
    "hsplit": [lambda f: f(E, 2), lambda f: f(D, [2]), lambda f: f(E, [1, 3])],
    "hstack": [lambda f: f([D, R]), lambda f: f([E, E * 2])],
    "i0": [lambda f: f(D), lambda f: f(INTS)],
    "inner": [lambda f: f(D, D * 2), lambda f: f(E, E), lambda f: f(E, 2.0)],
    "insert": [
        lambda f: f(D, 1, 7.0),
        lambda f: f(D, [0, 2], [7.0, 8.0]),
        lambda f: f(E, 1, R, axis=0),
        lambda f: f(E, [1], R[:3, None], axis=1),
        lambda f: f(E, slice(0, 2), 9.0, axis=0),
        lambda f: f(D, 6, R),
    ],
    "interp": [
        lambda f: f(D, R, np.array([1.0, 3.0, 2.0, 7.0])),
        lambda f: f(E, R, R**2, left=-1.0, right=9.0),
        lambda f: f(D, R, R * 2, period=5.0),
        lambda f: f(NANS, R, R * 2),
        lambda f: f(D, R[:1], R[1:2]),
    ],
    "intersect1d": [lambda f: f(D, np.array([2.0, 9.0, 3.0]))],
    "isclose": [
        lambda f: f(E, E + 1e-7),
        lambda f: f(NANS, NANS, equal_nan=True),
        lambda f: f(D, D + 0.1, atol=0.2),
        lambda f: f(INTS, INTS),
    ],
    "iscomplex": [lambda f: f(COMPLEX), lambda f: f(D)],
    "iscomplexobj": [lambda f: f(COMPLEX), lambda f: f(D)],
    "isin": [
        lambda f: f(E, [0.3, 0.4]),
        lambda f: f(D, R, invert=True),
        lambda f: f(D, R, assume_unique=True, kind="sort"),
    ],
    "isneginf": [lambda f: f(np.array([np.inf, -np.inf, 1.0]))],
    "isposinf": [lambda f: f(np.array([np.inf, -np.inf, 1.0]))],
    "isreal": [lambda f: f(COMPLEX), lambda f: f(D)],
    "isrealobj": [lambda f: f(COMPLEX), lambda f: f(D)],
    "ix_": [lambda f: f(np.array([1, 0]), np.array([0, 2]))],
    "kron": [lambda f: f(D, R), lambda f: f(E, E[:2]), lambda f: f(E, R)],
    "lexsort": [
        lambda f: f((np.array([3, 1, 2, 1]), np.array([1, 1, 0, 1]))),
        lambda f: f(np.array([[1, 0, 2], [0, 0, 0]])),
    ],
    "linspace": [
        lambda f: f(D, D * 2, 4),
        lambda f: f(D[0], D[1], num=3, endpoint=False),
        lambda f: f(E, 0.0, 3, retstep=True, axis=1),
        lambda f: f(D, 5, 3, dtype="int64"),
    ],
    "logspace": [lambda f: f(E, E + 1.0, 3), lambda f: f(E[0, 0], E[0, 1], 4, base=2.0)],
    "median": [
        lambda f: f(D),
        lambda f: f(E, 0),
        lambda f: f(E, axis=(0, 1), keepdims=True),
        lambda f: f(SINGLE, 1),
        lambda f: f(INTS, 1),
        lambda f: f(NANS),
        lambda f: f(D, overwrite_input=False),
    ],
    "nan_to_num": [
        lambda f: f(NANS),
        lambda f: f(np.array([np.inf, -np.inf, np.nan, 1.0]), nan=2.0, posinf=9.0),
        lambda f: f(INTS),
        lambda f: f(COMPLEX),
    ],
    **{
        name: [
            lambda f: f(SOME),
            lambda f: f(SOME, 0),
            lambda f: f(SOME, axis=1, keepdims=True),
            lambda f: f(INTS, 1),
        ]
        for name in ("nanmax", "nanmin", "nanmean", "nansum", "nanprod")
    },
    "nanmedian": [
        lambda f: f(SOME),
        lambda f: f(SOME, 0),
        lambda f: f(SOME, axis=1, keepdims=True),
        lambda f: f(INTS, 1),
        lambda f: f(NONE),
        lambda f: f(NONE, 0),
        lambda f: f(NONE, axis=1, keepdims=True),
    ],
    **{
        name: [lambda f: f(SOME), lambda f: f(SOME, 1), lambda f: f(E, axis=0, keepdims=True)]
        for name in ("nanargmax", "nanargmin")
    },
    **{
        name: [
            lambda f: f(SOME),
            lambda f: f(SOME, 1),
            lambda f: f(SOME, axis=1, ddof=1),
            lambda f: f(E, 0),
        ]
        for name in ("nanstd", "nanvar")
    },
    **{
        name: [lambda f: f(SOME), lambda f: f(SOME, 1), lambda f: f(INTS, 0)]
        for name in ("nancumsum", "nancumprod")
    },
    "nanpercentile": [
        lambda f: f(SOME, 30),
        lambda f: f(SOME, [25, 75], axis=1),
        lambda f: f(NONE, 30),
        lambda f: f(NONE, [30, 40], axis=0, keepdims=True),
    ],
    "nanquantile": [
        lambda f: f(SOME, 0.3),
        lambda f: f(SOME, [0.25, 0.75], axis=1),
        lambda f: f(NONE, [0.2, 0.3], axis=1),
    ],
    "partition": [lambda f: f(D, 0)[:1], lambda f: f(D, 5)[5:]],
    "percentile": [
        lambda f: f(D, 30),
        lambda f: f(E, [10, 50, 95], axis=0),
        lambda f: f(E, 40.0, axis=1, keepdims=True),
        lambda f: f(SINGLE, 30),
        lambda f: f(SINGLE, [30.0]),
        lambda f: f(INTS, 30),
        lambda f: f(NANS, 50),
    ],
    "piecewise": [
        lambda f: f(D, [D < 1, D > 3], [lambda v: v * v, -1.0]),
        lambda f: f(D, [D < 1], [0.0, lambda v: v + 1.0]),
    ],
    "place": [lambda f: written(f, E, E > 0, [7.0, 8.0])],
    "poly": [lambda f: f(D), lambda f: f(R), lambda f: f(E[:, :3]), lambda f: f(COUNTS)],
    "polyadd": [lambda f: f(D, R), lambda f: f(R, [1.0])],
    "polyder": [lambda f: f(D), lambda f: f(D, 2)],
    "polydiv": [
        lambda f: f(D, R + 1.0),
        lambda f: f(R[:2] + 1, D),
        lambda f: f(np.convolve(D, R + 1), D),
        lambda f: f(D, 2.0),
        lambda f: f(INTS[0], [1, 2]),
    ],
    "polyfit": [
        lambda f: f(R, R**2, 1),
        lambda f: f(D, D**3, 2, w=np.abs(D)),
        lambda f: f(R, E.T, 1),
    ],
    "polyint": [lambda f: f(D), lambda f: f(D, 2, [1.0, 2.0])],
    "polymul": [lambda f: f(D, R + 1.0)],
    "polysub": [lambda f: f(D, R)],
    "polyval": [lambda f: f(D, E), lambda f: f([1.0, 2.0, 3.0], D), lambda f: f(D, 0.5)],
    "ptp": [lambda f: f(D), lambda f: f(E, 1), lambda f: f(E, axis=0, keepdims=True)],
    "put": [
        lambda f: written(f, E, [1, 5], [7.0, 8.0]),
        lambda f: written(f, D, [0, 2, 4], 9.0),
        lambda f: written(f, D, [7, -9], [7.0, 8.0], "clip"),
        lambda f: written(f, D, np.array([7]), R, "wrap"),
    ],
    "put_along_axis": [
        lambda f: written(f, E, np.array([[1], [0], [3]]), 9.0, 1),
        lambda f: written(f, E, np.array([[2, 0, 1, 1]]), R[None], 0),
    ],
    "putmask": [lambda f: written(f, E, E > 0, R), lambda f: written(f, D, D > 1, D * 2)],
    "copyto": [
        lambda f: written(f, E, R),
        lambda f: written(f, D, 3),
        lambda f: written(f, E, -E, "same_kind", E > 0),
    ],
    "quantile": [
        lambda f: f(D, 0.3),
        lambda f: f(E, [0.1, 0.5], axis=1),
        lambda f: f(E, [[0.2, 0.9]], axis=(0, 1)),
        *[
            lambda f, method=method: f(D, [0.0, 0.2, 0.33, 0.9, 1.0], method=method)
            for method in (
                "lower higher midpoint nearest hazen weibull median_unbiased normal_unbiased "
                "inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf"
            ).split()
        ],
    ],
    "ravel": [lambda f: f(E), lambda f: f(E, "F"), lambda f: f(E, order="C")],
    "ravel_multi_index": [
        lambda f: f((np.array([1, 2]), np.array([3, 0])), (3, 4)),
        lambda f: f((np.array([5]), np.array([-1])), (3, 4), mode=("wrap", "clip")),
    ],
    "reshape": [lambda f: f(E, (4, 3), order="F"), lambda f: f(E, (2, -1), "F")],
    "resize": [lambda f: f(E, (2, 7)), lambda f: f(D, 4)],
    "rollaxis": [lambda f: f(E, 1), lambda f: f(np.stack([E, E]), 0, 3)],
    "rot90": [lambda f: f(E), lambda f: f(E, 2), lambda f: f(E, -1), lambda f: f(E, 3, (1, 0))],
    "roots": [lambda f: f(D + 0.5j), lambda f: f((R + 1j).astype("complex64"))],
    "round": [lambda f: f(E, 1), lambda f: f(E * 100, -1), lambda f: f(INTS, decimals=2)],
    "select": [
        lambda f: f([E > 1, E < 0], [E, E * E]),
        lambda f: f([D > 1], [D], default=-5.0),
        lambda f: f([D > 1, D > 0], [1, D], 2),
    ],
    "setdiff1d": [lambda f: f(D, R)],
    "setxor1d": [lambda f: f(D, R)],
    "sinc": [lambda f: f(D), lambda f: f(R), lambda f: f(INTS)],
    "sort_complex": [lambda f: f(COMPLEX), lambda f: f(D)],
    "trapezoid": [
        lambda f: f(D),
        lambda f: f(E, dx=0.5, axis=0),
        lambda f: f(E, R),
        lambda f: f(E[:, :3], E[:, 1:]),
    ],
    "tril_indices_from": [lambda f: f(E), lambda f: f(E, k=1)],
    "trim_zeros": [lambda f: f(np.array([0, 1, 0, 2, 0])), lambda f: f(COUNTS * 0)],
    "triu_indices_from": [lambda f: f(E)],
    "union1d": [lambda f: f(D, R), lambda f: f(SINGLE, 1)],
    "unravel_index": [lambda f: f(np.array([1, 5, 11]), (3, 4))],
    "unique": [
        lambda f: f(INTS, return_counts=True),
        lambda f: f(INTS, True, True, True),
        lambda f: f(D, return_index=True),
    ],
    "unwrap": [
        lambda f: f(D * 3),
        lambda f: f(E * 4, axis=0, discont=4.0),
        lambda f: f(COUNTS, period=4),
    ],
    "vander": [lambda f: f(D), lambda f: f(D, 3, increasing=True), lambda f: f(INTS[0])],
    "vdot": [lambda f: f(D, D * 2), lambda f: f(E, E), lambda f: f(COMPLEX, COMPLEX)],
    "vsplit": [lambda f: f(E, 3), lambda f: f(E, [1])],
    "vstack": [lambda f: f([D, D * 2]), lambda f: f([E, R])],
    # arguments of functions that have calls elsewhere, too
    "all": [lambda f: f(TRUTH, where=[True, False])],
    "any": [lambda f: f(TRUTH, axis=0, where=TRUTH)],
    "diff": [
        lambda f: f(D, prepend=0.0),
        lambda f: f(E, 2, append=E[:, :1]),
        lambda f: f(E, axis=0, prepend=1.0, append=2.0),
    ],
    "max": [lambda f: f(E, initial=1.0), lambda f: f(E, axis=0, where=E > 0, initial=-9.0)],
    "mean": [lambda f: f(E, where=E > 0), lambda f: f(E, axis=1, where=E > -1, keepdims=True)],
    "sum": [lambda f: f(E, initial=2.0), lambda f: f(E, axis=0, where=E > 0)],
    "prod": [lambda f: f(E, axis=1, where=E > 0), lambda f: f(E, initial=2.0)],
}
"""Values of all are compared with NumPy's, and gradients of those that have one."""
