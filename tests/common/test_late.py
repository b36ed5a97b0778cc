"""Ops, functions and methods that are loaded when they are first asked for."""

import subprocess
import sys

import pytest

import dyngraph as dg
from oplibrary.core.registry import NAMESPACES, REGISTRY, lookup, names, namespace, register
from oplibrary.late import contents
from oplibrary.late.method import LateMethod, install
from oplibrary.late.modules import load
from oplibrary.late.table import Late, by_name

PLACE = "oplibrary.late.contents"


def told_by_a_fresh_process(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout.split()


# tables -------------------------------------------------------------------------------------------


def test_a_table_loads_what_it_is_asked_for():
    table = Late({"ours": PLACE, "theirs": "no.such.module"})
    assert "ours" in table and "theirs" in table and "nobody's" not in table
    assert table.get("nobody's") is None and table.get("nobody's", 1) == 1
    with pytest.raises(KeyError, match="nobody's"):
        table["nobody's"]
    with pytest.raises(ModuleNotFoundError):
        table.get("theirs")
    with pytest.raises(KeyError, match="ours"):  # its module does not enter it
        table["ours"]
    table["ours"] = 3
    assert table["ours"] == table.get("ours") == 3


def test_a_table_that_is_asked_for_all_has_all_in_order():
    table = Late(by_name({PLACE: "a b", "oplibrary.late.table": "c"}))
    table.update(mine=0, c=3, b=2, a=1)
    assert list(table) == list(table.keys()) == ["a", "b", "c", "mine"]
    assert list(table.values()) == [1, 2, 3, 0] and len(table) == 4
    assert {**table} == dict(table) == dict(table.items()) == {"a": 1, "b": 2, "c": 3, "mine": 0}


def test_a_name_is_taken_before_it_is_loaded():
    table = Late({"far": "oplibrary.no_such_module", "near": PLACE})
    assert table.enter("mine", 1) == table["mine"] == 1
    for name in ("far", "near", "mine"):
        with pytest.raises(AssertionError, match=name):
            table.enter(name, 2)
    with pytest.raises(AssertionError, match="tanh"):
        register(REGISTRY["tanh"])


def test_modules_that_run_again_change_nothing():
    """Programs, tests above all, put ``sys.modules`` back to what it was."""
    program = """
import sys
from unittest.mock import patch
import dyngraph as dg, numpy as np
from oplibrary.core.registry import REGISTRY
x = dg.tensor([1.0, 2.0], requires_grad=True) * 2
with patch.dict(sys.modules):
    first = dg.vmap(dg.exp)(x), np.median(x.detach())
    with patch.dict(sys.modules):
        import oplibrary.ops.trigonometry
    kept = dict(dict.items(REGISTRY))
x[0] = 3.0 * x[1]
dg.sum(dg.vmap(lambda v: dg.cond(v > 0, dg.cos, dg.sin, v))(x) ** 2).backward()
assert all(REGISTRY[name] is op for name, op in kept.items())
"""
    told_by_a_fresh_process(program)


@pytest.mark.parametrize("below", NAMESPACES)
def test_names_are_known_without_what_they_stand_for(below):
    assert names(below) == sorted(namespace(below))
    for name, function in namespace(below).items():
        assert lookup(f"{below}.{name}" if below else name) is function


# methods ------------------------------------------------------------------------------------------


def test_a_method_takes_its_place_when_it_is_asked_for():
    class Box:
        pass

    made = []

    def make():
        made.append(1)
        return lambda self, other=0: (self, other)

    for name in ("__add__", "__iadd__", "__getitem__", "put"):
        install(Box, name, make)
    assert not made
    box = Box()
    assert box + 2 == (box, 2) and box[3] == (box, 3) and box.put() == (box, 0)
    assert Box.__add__(box, 4) == (box, 4) == (box + 4)
    assert len(made) == 3 and isinstance(vars(Box)["__iadd__"], LateMethod)
    assert not isinstance(vars(Box)["__add__"], LateMethod)


def test_places_are_modules_and_names():
    assert load("oplibrary.late.table:Late") is Late


def test_operators_are_the_functions_once_they_were_used():
    x = dg.tensor([1.0, 2.0])
    assert (x + x).tolist() == x.add(x).tolist() == [2.0, 4.0]
    assert vars(dg.Tensor)["__add__"] is vars(dg.Tensor)["add"] is dg.add is vars(dg)["add"]


# namespaces ---------------------------------------------------------------------------------------


def test_one_function_loads_its_family_alone():
    loaded = told_by_a_fresh_process(
        "import sys, dyngraph as dg\n"
        "assert not [m for m in sys.modules if m.startswith('oplibrary.functional.')]\n"
        "dir(dg), dg.__all__, hasattr(dg, 'no_such_name')\n"
        "dg.cos\n"
        "print(*sys.modules)"
    )
    ops = contents.OPS.keys() & set(loaded)
    assert "oplibrary.ops.trigonometry" in ops and len(ops) < 6


def test_everything_is_found_whatever_is_asked_for_first():
    """Also from threads, and by a star."""
    program = """
import threading
import dyngraph as dg, numpy as np
names = dir(dg)
x = dg.tensor([1.0, 2.0])
found = [{} for _ in range(4)]
start = threading.Barrier(4)
def work(mine, order):
    start.wait()
    for name in names[::order]:
        mine[name] = getattr(dg, name)
    mine["+"] = (x + x * x).tolist()
threads = [threading.Thread(target=work, args=(f, (-1) ** i)) for i, f in enumerate(found)]
for each in threads: each.start()
for each in threads: each.join()
assert all(each.keys() == {*names, "+"} for each in found)
assert all(each[name] is vars(dg)[name] for each in found for name in names)
assert dir(dg) == names
space = {}
exec("from dyngraph import *", space)
assert set(names) <= set(space)
print(found[0]["+"])
"""
    assert told_by_a_fresh_process(program) == ["[2.0,", "6.0]"]


def test_what_a_trace_loads_is_no_change():
    program = """
import numpy as np, staticgraph as sg, dyngraph as dg
@sg.function
def f(x):
    return sg.sum(sg.linalg.matrix_norm(sg.erfc(x) @ x)) + dg.__name__.count("d")
x = np.ones((2, 2), "float32")
f(x), sg.erfc, sg.cosh, f(x)
assert len(f.explain().traces) == 1, f.explain()
"""
    told_by_a_fresh_process(program)


ALONE = (
    "f = dg.custom_vjp(dg.exp); f.defvjp(lambda x: (f(x), x), lambda x, g: (3 * g,)); g = f(x)",
    "f = dg.custom_jvp(dg.exp); f.defjvp(lambda p, t: (dg.exp(p[0]), 3 * t[0])); g = f(x)",
    "g, _ = dg.gru(x * dg.ones((3, 1, 2)), None, dg.ones((6, 2)), dg.ones((6, 2)))",
    "g = dg.associative_scan(dg.add, x)",
    "g = dg.cond(dg.sum(x) > 0, dg.cos, dg.sin, x)",
    "g = dg.checkpoint(dg.sin, x)",
    "g = np.median(x) + np.add.reduce(x) + np.linalg.norm(x)",
    "g = x * 1; g[0] = 2 * x[1]; g *= x; g.clip_(0, 9)",
    "x.register_hook(lambda g: 2 * g); g = x.sum(); g.grad_fn.register_hook(lambda *_: None)",
    "g = dg.jvp(dg.sin, (x,), (x.detach(),))[1] + dg.vmap(dg.cos)(x)",
    "g = dg.optimizers.sgd(0.1).update(x, dg.optimizers.sgd(0.1).init(x), x)[0]",
    "g = dg.rand(2) * x; dg.manual_seed(0); dg.set_kernels('numpy')",
    "g = dg.as_tensor([[x, x], [x, 2 * x]]).mT @ m",
    "x.data = dg.zeros(2); g = 3 * x",
)


def test_what_is_used_alone_works():
    """Each in a process that has loaded nothing else: what modules enter for others is there."""
    program = f"""
import os, traceback
import dyngraph as dg, numpy as np
for line in {ALONE!r}:
    child = os.fork()
    if not child:
        x, m = dg.tensor([1.0, 2.0], requires_grad=True), dg.ones((2, 2))
        try:
            exec(line)
            dg.sum(g).backward()
            assert x.grad is not None
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert not os.waitpid(child, 0)[1], line
"""
    told_by_a_fresh_process(program)
