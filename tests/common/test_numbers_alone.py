"""Ops of Python numbers alone: both modes take them for arrays of the default dtypes."""

from operator import attrgetter

import numpy as np
import pytest

import dyngraph as dg
import staticgraph as sg
from oplibrary.core.op import Kind
from oplibrary.core.registry import REGISTRY, lookup
from oplibrary.messages.errors import SideBySideError

KINDS = (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.MOVEMENT)
OPS = [op.name for op in REGISTRY.values() if op.public and op.arity and op.kind in KINDS]
NUMBERS = (0.5, 2, True, 0.5j)


def result_of(namespace, name, numbers):
    try:
        result = attrgetter(REGISTRY[name].qualified_name)(namespace)(*numbers)
        if namespace is sg:
            (result,) = sg.compile([result], backend="interpret")()
        return np.asarray(result)
    except SideBySideError as error:
        return error.id


@pytest.mark.parametrize("name", OPS)
def test_both_modes_have_one_dtype(name):
    for number in NUMBERS:
        numbers = (number,) * REGISTRY[name].arity
        with np.errstate(all="ignore"):
            dynamic = result_of(dg, name, numbers)
            with sg.Graph():
                static = result_of(sg, name, numbers)
        if isinstance(dynamic, str) or isinstance(static, str):
            assert dynamic == static, number
            continue
        assert dynamic.dtype == static.dtype, number
        assert dynamic.tobytes() == static.tobytes(), number
        if isinstance(number, (float, complex)) and lookup(name) is REGISTRY[name]:
            assert dynamic.dtype not in ("float64", "complex128"), number
