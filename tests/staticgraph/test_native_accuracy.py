"""How far the machine code of elementwise functions is from the true value, over all of float32."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import staticgraph as sg

BOUNDS = {
    "exp": 1,
    "expm1": 1,
    "log": 1,
    "log2": 1,
    "log10": 1,
    "log1p": 1,
    "sqrt": 0.5,
    "rsqrt": 1,
    "sigmoid": 2,
    "softplus": 2,
    "sin": 1,
    "cos": 1,
    "tan": 1,
    "asin": 1,
    "acos": 1,
    "atan": 1,
    "sinh": 1,
    "cosh": 1,
    "tanh": 1,
    "asinh": 1,
    "acosh": 1,
    "atanh": 1,
    "erf": 1,
    "silu": 2,
}
