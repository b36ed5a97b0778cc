"""ONNX's own test cases of single operators, and what becomes of each of them here."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

import dyngraph as dg
import staticgraph as sg
from oplibrary.messages.errors import ImportCheckError, SideBySideError

_ROUNDINGS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Half floats that differ by a rounding of the largest number are the same: a sum in another order
is as good, and the cases want less than the next number is apart."""

RIGHT, KNOWN, REFUSED, WRONG = "right", "right, shapes known", "refused", "WRONG"


class Outcome(NamedTuple):
    """What became of a case."""

    case: str
    operator: str
    what: str
    said: str = ""


def all_cases() -> list[Any]:
    """Return the cases that come with ``onnx``, in the order of their names."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the functions that make the cases
        cases = load_model_tests(kind="node")
    return sorted(cases, key=lambda case: case.name)


def model_of(case: Any) -> Any:
    """Return the model of a case."""
    return case.model or onnx.load(Path(case.model_dir) / "model.onnx")


def data_of(case: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Yield the inputs and the outputs of a case: arrays, or whatever it has."""
    for inputs, outputs in case.data_sets:
        yield [_array(x) for x in inputs], [_array(x) for x in outputs]


def _array(value: Any) -> Any:
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return value


def outcome(case: Any, modes: bool = False) -> Outcome:
    """Return what becomes of a case.

    Parameters
    ----------
    case : TestCase
    modes : bool
        Whether it is run in both modes, too, which must give the same bits.
    """
    model = model_of(case)
    operators = [node.op_type for node in model.graph.node]
    label = operators[0] if len(set(operators)) == 1 else "several, which one is made of"
    inputs, outputs = next(data_of(case))
    given = dict(zip([each.name for each in model.graph.input], inputs, strict=False))
    known: list[str] = []
    try:
        try:
            imported = sg.from_onnx(model, given)
        except SideBySideError as error:
            known = getattr(error, "inputs", [])
            if not known:
                raise
            imported = sg.from_onnx(
                model,
                {k: x for k, x in given.items() if k not in known},
                constants={k: given[k] for k in known},
            )
    except ImportCheckError as error:
        return Outcome(case.name, label, WRONG, str(error))
    except SideBySideError as error:
        return Outcome(case.name, label, REFUSED, str(error).splitlines()[0])
    values = [np.asarray(x) for k, x in given.items() if k not in known]
    found = _run(imported, sg, values)
    for ours, theirs in zip(found, outputs, strict=True):
        said = _apart(ours, np.asarray(theirs), case.rtol, case.atol)
        if said:
            return Outcome(case.name, label, WRONG, said)
    if modes:
        for ours, theirs in zip(_run(imported, dg, values), found, strict=True):
            assert ours.dtype == theirs.dtype
            if ours.dtype.kind == "V":
                ours, theirs = ours.astype("float32"), theirs.astype("float32")
            np.testing.assert_array_equal(ours, theirs)
    return Outcome(case.name, label, KNOWN if known else RIGHT)


def _run(imported: Any, xp: Any, values: list[Any]) -> list[Any]:
    if xp is dg:
        parameters = {name: dg.tensor(x) for name, x in imported.parameters.items()}
        found = imported.function(dg, parameters, *[dg.tensor(x) for x in values])
        return [x.numpy() for x in (found if isinstance(found, tuple) else (found,))]
    run = sg.function(lambda p, *xs: imported.function(sg, p, *xs), backend="numpy")
    found = run(imported.parameters, *values)
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _apart(ours: Any, theirs: Any, rtol: float, atol: float) -> str:
    """Return how far a result is from what the case wants, or nothing."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{ours.dtype}{list(ours.shape)} for {theirs.dtype}{list(theirs.shape)}"
    if theirs.dtype.name in _ROUNDINGS and theirs.size:
        largest = np.max(np.abs(theirs.astype("float32")), initial=0, where=np.isfinite(theirs))
        atol = max(atol, _ROUNDINGS[theirs.dtype.name] * largest)
        ours, theirs = ours.astype("float32"), theirs.astype("float32")
    if np.allclose(ours, theirs, rtol, atol, equal_nan=True):
        return ""
    return f"differs by {np.max(np.abs(ours.astype('float64') - theirs))}"


def cases_of(family: str) -> list[Any]:
    """Return the cases of one of the modules that ``onnx`` has them in."""
    import importlib
    import sys

    from onnx.backend.test.case import node

    before = len(node._NodeTestCases)
    name = f"onnx.backend.test.case.node.{family}"
    sys.modules.pop(name, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module(name)
    found = node._NodeTestCases[before:]
    del node._NodeTestCases[before:]
    return found
