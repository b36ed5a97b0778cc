"""Products of square matrices, as workloads."""

import functools

import numpy as np

from sidebyside.workloads.workload import Workload


def product(xp, x, y):
    """Return the matrix product."""
    return x @ y


def inputs(n, rng, _):
    """Return two matrices of n rows and columns."""
    return tuple(rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))


def _square(n):
    return functools.partial(
        Workload, product, functools.partial(inputs, n), name="product", title=f"{n} by {n}"
    )


of_512, of_1024 = _square(512), _square(1024)
