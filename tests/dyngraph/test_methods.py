"""The methods that are put into Tensor from above: there, documented, and as they are declared."""

import ast
import inspect
from pathlib import Path

import dyngraph as dg

STUB = Path(dg.__file__).parent / "tensors" / "tensor_methods.pyi"


def declared():
    """Return what the stub of the methods says, by name."""
    tree = ast.parse(STUB.read_text())
    (cls,) = (node for node in tree.body if getattr(node, "name", "") == "TensorMethods")
    return {node.name: node for node in cls.body if isinstance(node, ast.FunctionDef)}


def test_what_type_checkers_see_is_what_is_there():
    found = declared()
    assert {"grad", "data", "backward", "add_"} <= set(found)
    for name in ("grad", "data", "backward"):
        node = found[name]
        method = inspect.getattr_static(dg.Tensor, name)
        if isinstance(method, property):
            assert method.fset is not None
            continue
        there = inspect.signature(method).parameters.values()
        defaults = [p.default for p in there if p.default is not p.empty]
        assert [argument.arg for argument in node.args.args] == [p.name for p in there]
        assert [ast.literal_eval(default) for default in node.args.defaults] == defaults


def test_the_methods_are_documented():
    for name in ("grad", "data", "backward", "add_", "fill_", "zero_", "copy_", "exp", "sum"):
        assert inspect.getattr_static(dg.Tensor, name).__doc__
    assert dg.Tensor.exp_.__qualname__ == "Tensor.exp_"
