"""What users import: each namespace shows its functions and nothing else."""

import importlib
import inspect
import pickle
import subprocess
import sys

import pytest

import dyngraph as dg
import sidebyside as sbs
import staticgraph as sg
from oplibrary.core.registry import NAMESPACES, REGISTRY, lookup, namespace
from sidebyside import errors

PACKAGES = [dg, sg, sbs]
BELOW = [name for name in NAMESPACES if name]


@pytest.mark.parametrize("package", PACKAGES)
def test_errors_are_importable_from_every_package(package):
    module = importlib.import_module(f"{package.__name__}.errors")
    assert package.errors is module
    for error in errors.catalogue():
        assert getattr(module, error.__name__) is error


@pytest.mark.parametrize("error", errors.catalogue())
def test_what_an_error_is_called_when_it_ends_a_program_can_be_imported(error):
    assert error.__module__ == "oplibrary.errors"
    again = pickle.loads(pickle.dumps(error("what", cause="cause", fix="fix")))
    assert type(again) is error
    assert (again.what, again.cause, again.fix) == ("what", "cause", "fix")


@pytest.mark.parametrize("package", [dg, sg])
def test_a_namespace_shows_its_api_and_nothing_else(package):
    assert dir(package) == sorted(package.__all__)
    rooms = [name for name in dir(package) if inspect.ismodule(getattr(package, name))]
    assert rooms == sorted(["errors", "optimizers", *BELOW])
    assert not [name for name in dir(package) if name.startswith("_")]


IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
before = {name: getattr(package, name) for name in package.__all__}
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
changed = [name for name in before if getattr(package, name) is not before[name]]
assert not changed, changed
"""


@pytest.mark.parametrize("package", ["dyngraph", "staticgraph"])
def test_no_room_takes_the_name_of_a_function(package):
    subprocess.run([sys.executable, "-c", IMPORT_ALL, package], check=True)


SIGNATURES = {
    "sum": "(x, axis=None, keepdims=False, *, dtype=None)",
    "add": "(x, y)",
    "exp": "(x)",
    "take": "(x, indices, axis=None)",
    "uniform": "(key, shape, low=0.0, high=1.0, dtype='float32')",
}


@pytest.mark.parametrize("package", [dg, sg])
def test_signatures_are_the_real_ones(package):
    for name, text in SIGNATURES.items():
        assert str(inspect.signature(getattr(package, name))) == text
    assert inspect.signature(package.multiply) == inspect.signature(package.mul)
    assert list(inspect.signature(package.split).parameters) == ["x", "sections", "axis"]
    for name in namespace():
        parameters = inspect.signature(getattr(package, name)).parameters
        assert "args" not in parameters and "kwargs" not in parameters, name


@pytest.mark.parametrize("package", [dg, sg])
@pytest.mark.parametrize("below", BELOW)
def test_a_namespace_below_has_its_functions(package, below):
    module = importlib.import_module(f"{package.__name__}.{below}")
    assert getattr(package, below) is module
    assert dir(module) == sorted(module.__all__)
    assert set(namespace(below)) <= set(module.__all__)
    for name, function in namespace(below).items():
        assert inspect.signature(getattr(module, name)) == inspect.signature(function)
        assert lookup(f"{below}.{name}") is function
    with pytest.raises(AttributeError, match="no_such_function"):
        _ = module.no_such_function


def test_what_stands_in_both_namespaces_is_one_thing():
    for name in ("diagonal", "matmul", "matrix_transpose", "outer", "tensordot", "trace", "vecdot"):
        assert lookup(name) is lookup(f"linalg.{name}") is not None
    assert dg.tensor([1.0]).__array_namespace__().linalg is dg.linalg


@pytest.mark.parametrize("package", [dg, sg])
def test_what_only_serves_rules_is_in_no_namespace(package):
    inner = [op.name for op in REGISTRY.values() if not op.public]
    assert {"sum_to", "basic_index", "convolution_weight_gradient"} <= set(inner)
    assert not set(inner) & set(dir(package))
    assert not [n for n in dir(package) if n.endswith("_gradient") and n != "stop_gradient"]


def test_methods_have_the_signatures_of_the_functions():
    for value in (dg.Tensor, sg.Node):
        for name in ("sum", "add", "softmax", "matmul", "flatten", "clip"):
            method, function = getattr(value, name), getattr(dg, name)
            assert str(inspect.signature(method)) == str(inspect.signature(function))
    assert str(inspect.signature(dg.ones(2).sum)) == "(axis=None, keepdims=False, *, dtype=None)"
    assert str(inspect.signature(dg.Tensor.add_)) == "(x, y)"
    assert "requires_grad=False" in str(inspect.signature(dg.zeros))
