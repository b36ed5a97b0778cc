"""Programs in files: another process computes the same bits, and no file can do harm."""

import importlib
import inspect
import io
import json
import os
import pickle
import pkgutil
import random
import re
import shutil
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from tests.staticgraph.damages import DAMAGES, run_damages
from tests.staticgraph.random_programs import Generator

import staticgraph as sg
from oplibrary.core.op import Kind, Op
from oplibrary.core.registry import REGISTRY
from oplibrary.core.samples import draw
from oplibrary.messages.errors import (
    ArgumentError,
    AssertionFailedError,
    FeedError,
    MissingPackageError,
    OutputError,
    ProgramFileError,
    SideBySideError,
    SymbolicBoolError,
)
from oplibrary.ops.indexing import Slice
from oplibrary.values.tree import flatten
from oplibrary.values.types import TensorType
from sidebyside.modes.static import trace as trace_workload
from sidebyside.workloads.builtin import BUILTIN
from sidebyside.workloads.registry import load
from staticgraph.archive import operations
from staticgraph.archive.container import read_file, write_file
from staticgraph.archive.reading import ProgramReader
from staticgraph.archive.values import NotWritable, ValueReader, ValueWriter
from staticgraph.archive.writing import ProgramWriter
from staticgraph.compiler.feeds import Feed
from staticgraph.graph import graph_ops as roles

OLD = Path(__file__).parent / "archives" / "version_0_1_0.sgp"
"""A program that version 0.1.0 wrote."""

SOURCE = Path(__file__).parent.parent.parent / "src"

OPENED = """
import sys
from pathlib import Path
import numpy as np
import staticgraph as sg

folder, *backends = sys.argv[1:]
for path in sorted(Path(folder).glob("*.sgp")):
    with np.load(path.with_suffix(".npz")) as file:
        arrays = [file[name] for name in file]
    for backend in backends:
        with np.errstate(all="ignore"):
            results = sg.open_program(path, backend=backend)(*arrays)
        np.savez(path.with_suffix("." + backend), *results)
"""


def run_elsewhere(folder, *backends):
    """Run every program of a folder in another process, on the arrays beside it."""
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(SOURCE / "common")])}
    command = [sys.executable, "-W", "error", "-c", OPENED, str(folder), *backends]
    subprocess.run(command, env=settings, check=True, cwd=folder)


def keep(path, arrays):
    with open(path.with_suffix(".npz"), "wb") as file:
        np.savez(file, *arrays)


def results_elsewhere(path, backend):
    with np.load(path.with_suffix(f".{backend}.npz")) as file:
        return [file[name] for name in file]


def assert_same_bits(results, expected):
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        assert result.tobytes() == np.asarray(wanted).tobytes()


def write_program(path, program):
    """Write a lowered program whose outputs are a list."""
    feeds = [Feed(value.name, value.type) for value in program.inputs]
    writer = ProgramWriter()
    document = writer.document(program, feeds, flatten([0] * len(program.outputs))[1])
    write_file(path, document, writer.arrays)


def declare_again(program):
    """Return an executable of a lowered program by the numpy backend."""
    from staticgraph.compiler.compile import compile_program
    from staticgraph.compiler.declared import Declared
    from staticgraph.compiler.options import Options
    from staticgraph.compiler.phases import Clock

    feeds = [Feed(value.name, value.type) for value in program.inputs]
    structure = flatten([0] * len(program.outputs))[1]
    declared = Declared(sg.Graph(), program, feeds, structure)
    return compile_program(declared, Options(backend="numpy"), Clock())


# the same bits ------------------------------------------------------------------------------------


def test_random_programs_give_the_same_bits_in_another_process(tmp_path):
    expected = {}
    for seed in range(60):
        made = Generator(seed).make()
        path = tmp_path / f"{seed:02}.sgp"
        write_program(path, made.program)
        keep(path, made.arrays)
        with np.errstate(all="ignore"):
            expected[path] = declare_again(made.program)(*made.arrays)
    run_elsewhere(tmp_path, "numpy")
    assert len(expected) == 60
    for path, wanted in expected.items():
        assert_same_bits(results_elsewhere(path, "numpy"), wanted)


def test_builtin_workloads_give_the_same_bits_in_another_process(tmp_path):
    backends = ("numpy", "native")
    expected = {}
    for name in BUILTIN:
        workload = load(name)
        try:
            inputs = workload.make_inputs(workload.sizes[0])
            graph = trace_workload(workload, inputs)
        except (MissingPackageError, SymbolicBoolError):  # it has no static program
            continue
        path = tmp_path / f"{name}.sgp"
        sg.save_program(path, graph.outputs, graph.inputs)
        arrays = list(map(np.asarray, flatten(list(inputs))[0]))
        keep(path, arrays)
        for backend in backends:
            run = sg.compile(graph.outputs, graph.inputs, backend=backend)
            expected[path, backend] = run(*arrays)
    run_elsewhere(tmp_path, *backends)
    assert len(expected) >= 2 * 6
    for (path, backend), wanted in expected.items():
        assert_same_bits(results_elsewhere(path, backend), wanted)


def looped(x):
    (last, _), ys = sg.scan(lambda c, v: ((sg.tanh(c[0] + v), c[1] + 1), c[0] * v), (x[0], 0), x)
    total = sg.sum(last * last) + sg.sum(ys)
    (first,) = sg.gradients(total, [x])
    return [last, ys, first, *sg.gradients(sg.sum(first * first), [x])]


def repeated(x):
    y = sg.while_loop(lambda v: sg.sum(v * v) > 1, lambda v: v * 0.5 + 0.01 * x, x, max_steps=99)
    return [y, *sg.gradients(sg.sum(y * y), [x])]


def chosen(x):
    y = sg.cond(
        sg.sum(x) > 0,
        lambda: sg.switch(sg.sum(x > 0) - 3, [lambda v: v * 2, sg.exp, sg.sin], x),
        lambda: sg.map(lambda row: row / (sg.sum(row * row) + 1), x),
    )
    return [y, *sg.gradients(sg.sum(y * y * y), [x])]


def counted(x):
    return [sg.fori_loop(0, 3, lambda i, v: sg.fori_loop(0, i, lambda _, w: w * 1.1, v), x)]


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


@pytest.mark.parametrize("function", [looped, repeated, chosen, counted])
def test_control_flow_gives_the_same_bits_in_another_process(function, matrix, tmp_path):
    graph = sg.trace(function, TensorType(matrix.shape))
    path = tmp_path / "loop.sgp"
    sg.save_program(path, graph.outputs, graph.inputs)
    keep(path, [matrix])
    backends = ("interpret", "numpy", "native")
    run_elsewhere(tmp_path, *backends)
    for backend in backends:
        wanted = sg.compile(graph.outputs, graph.inputs, backend=backend)(matrix)
        assert_same_bits(results_elsewhere(path, backend), wanted)


@pytest.mark.parametrize("function", [looped, repeated, chosen, counted])
def test_regions_lower_to_what_they_were(function, matrix, tmp_path):
    graph = sg.trace(function, TensorType(matrix.shape))
    sg.save_program(tmp_path / "a.sgp", graph.outputs, graph.inputs)
    opened = sg.open_program(tmp_path / "a.sgp", backend="interpret")
    sg.save_program(tmp_path / "b.sgp", opened)
    assert (tmp_path / "a.sgp").read_bytes() == (tmp_path / "b.sgp").read_bytes()
    assert read_file(tmp_path / "a.sgp").document["regions"]


EXAMPLES = [
    pytest.param(op, each, id=f"{op.name}-{number}")
    for op in REGISTRY.values()
    if not op.name.startswith("_")
    for number, each in enumerate(op.examples)
]


@pytest.mark.parametrize(("op", "example"), EXAMPLES)
def test_every_op_is_found_again(op, example, tmp_path):
    arrays = draw(op, example, "float64", np.random.default_rng(0))
    with sg.Graph():
        nodes = [sg.placeholder(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
        run = sg.compile(op(*nodes, **example.attrs), nodes, backend="interpret")
    sg.save_program(tmp_path / "op.sgp", run)
    opened = sg.open_program(tmp_path / "op.sgp", backend="interpret")
    (before,), (after,) = run.lowered.instructions[-1:], opened.lowered.instructions[-1:]
    assert (after.op, dict(after.attrs)) == (before.op, dict(before.attrs))
    assert list(map(repr, after.attrs.values())) == list(map(repr, before.attrs.values()))
    with np.errstate(all="ignore"):
        assert_same_bits([opened(*arrays)], [run(*arrays)])


def test_every_op_outside_the_registry_has_a_name_in_files():
    records = set()
    for module in pkgutil.walk_packages([str(SOURCE / "staticgraph")], "staticgraph."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Op) and REGISTRY.get(value.name) is not value:
                records.add(value)
    lowered = {value for value in vars(roles).values() if isinstance(value, Op)}
    assert records - lowered == set(operations.DECLARED_ONLY.values())
    assert not set(operations.DECLARED_ONLY) & set(REGISTRY)


# what is kept -------------------------------------------------------------------------------------


class Pair(NamedTuple):
    loss: object
    rest: object


def test_the_structure_and_the_inputs_are_kept(tmp_path):
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        n = sg.placeholder("n", (), "int64")
        y = x * 2.0
        tree = {"b": [y, (x,)], 3: Pair(n, None), ("a", 1): OrderedDict(z=y, a=n)}
        sg.save_program(tmp_path / "tree.sgp", tree, [n, x])
    run = sg.open_program(tmp_path / "tree.sgp")
    assert [(feed.name, feed.type) for feed in run.inputs] == [
        ("n", TensorType((), "int64")),
        ("x", TensorType((2,))),
    ]
    found = run(x=[1.0, 2.0], n=7)
    assert list(found) == ["b", 3, ("a", 1)]
    assert found["b"][0].tolist() == [2.0, 4.0] and type(found["b"][1]) is tuple
    assert type(found[3]).__name__ == "Pair" and found[3]._fields == ("loss", "rest")
    assert found[3].loss == 7 and found[3].rest is None
    assert type(found["a", 1]) is OrderedDict and list(found["a", 1]) == ["z", "a"]
    with pytest.raises(FeedError, match="n.*is missing"):
        run(x=[1.0, 2.0])


@pytest.mark.parametrize("backend", ["interpret", "numpy", "native"])
def test_variables_go_on_from_what_they_held_and_are_state_of_their_own(backend, tmp_path):
    with sg.Graph():
        x = sg.placeholder("x", ())
        total = sg.variable(0.0, name="total")
        count = sg.variable(0, name="count")
        done = sg.group(total.assign(total + x), count.assign(count + 1))
        run = sg.compile(
            {"done": done, "mean": total / (count + 1).astype("float32")}, backend=backend
        )
    run(5.0)
    sg.save_program(tmp_path / "mean.sgp", run)
    run(100.0)
    first, second = (sg.open_program(tmp_path / "mean.sgp", backend=backend) for _ in range(2))
    assert {name: each.value.tolist() for name, each in first.variables.items()} == {
        "total": 5.0,
        "count": 1,
    }
    assert first(3.0)["mean"] == 2.5
    assert first(1.0)["mean"] == 8 / 3
    assert first.variables["total"].value == 9.0
    assert second.variables["total"].value == 5.0
    assert total.value == 105.0


def test_a_variable_that_is_fed_is_still_updated(tmp_path):
    with sg.Graph():
        w = sg.variable([1.0, 2.0], name="w")
        sg.save_program(tmp_path / "w.sgp", w.assign(w * 2.0), [w])
    run = sg.open_program(tmp_path / "w.sgp")
    assert run([3.0, 4.0]).tolist() == [6.0, 8.0]
    assert run.variables["w"].value.tolist() == [6.0, 8.0]


def test_symbolic_lengths_are_kept(tmp_path):
    with sg.Graph():
        x = sg.placeholder("x", (2 * sg.dim("kept_rows", min=2) + 1, 3))
        last, ys = sg.scan(lambda c, row: (c + row, c), x[0], x)
        outputs = [sg.mean(x, axis=0), last, ys, sg.reshape(x, (-1,)), sg.arange(x.shape[0])]
        run = sg.compile(outputs, [x], backend="numpy")
    sg.save_program(tmp_path / "rows.sgp", run)
    opened = sg.open_program(tmp_path / "rows.sgp", backend="numpy")
    assert repr(opened.inputs[0].type) == "float32[2*kept_rows+1,3]"
    for rows in (5, 9):
        array = np.random.default_rng(rows).normal(size=(rows, 3)).astype("float32")
        assert_same_bits(opened(array), run(array))
    with pytest.raises(FeedError, match="of at least 2"):
        opened(np.ones((3, 3), "float32"))
    edited = edit(tmp_path / "rows.sgp", lambda d: d["symbols"].update(kept_rows=4))
    with pytest.raises(ArgumentError, match="min=2 already"):
        sg.open_program(edited)


def test_lengths_have_other_stand_ins_in_another_process(tmp_path):
    sg.dim("another_length")
    with sg.Graph():
        x = sg.placeholder("x", (sg.dim("kept_columns"), sg.dim("kept_depth")))
        y = sg.concat((x, x), axis=1).reshape((-1,))
        sg.save_program(tmp_path / "x.sgp", [y, sg.mean(x)])
    array = np.arange(6, dtype="float32").reshape(2, 3)
    keep(tmp_path / "x.sgp", [array])
    run_elsewhere(tmp_path, "numpy", "native")
    for backend in ("numpy", "native"):
        first, mean = results_elsewhere(tmp_path / "x.sgp", backend)
        assert first.tolist() == np.concatenate((array, array), 1).reshape(-1).tolist()
        assert mean == array.mean()


def test_effects_are_kept(tmp_path, capsys):
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        sg.print_(x * 2, "doubled")
        y = sg.scan(lambda c, v: (sg.print_(c + v, "sum"), None), 0.0, x)[0]
        sg.save_program(tmp_path / "print.sgp", y)
    assert sg.open_program(tmp_path / "print.sgp")([1.0, 2.0]) == 3.0
    assert capsys.readouterr().out.splitlines() == [
        "doubled: [2. 4.]",
        "sum: 1.0",
        "sum: 3.0",
    ]


def test_errors_name_the_line_that_declared_the_program(tmp_path):
    model = tmp_path / "model.py"
    model.write_text(
        "import staticgraph as sg\n"
        "with sg.Graph():\n"
        "    x = sg.placeholder('x', (2,))\n"
        "    y = sg.assert_(sg.all(x > 0), 'positive')\n"
        "    sg.save_program('model.sgp', x * 2)\n"
    )
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SOURCE), str(SOURCE / "common")])}
    subprocess.run([sys.executable, model], env=settings, check=True, cwd=tmp_path)
    model.write_text("something else\n" * 9)
    run = sg.open_program(tmp_path / "model.sgp")
    with pytest.raises(AssertionFailedError) as caught:
        run([1.0, -1.0])
    lines = str(caught.value).split("\n")
    assert lines[1] == "  at model.py:4: y = sg.assert_(sg.all(x > 0), 'positive')"
    assert lines[2].index("^") == lines[1].index("sg.assert_")
    with pytest.raises(
        FeedError, match=r"declared at model.py:3: x = sg.placeholder\('x', \(2,\)\)"
    ):
        run([1.0])


def test_an_opened_program_is_debugged_and_saved_again(tmp_path, matrix):
    graph = sg.trace(looped, TensorType(matrix.shape))
    sg.save_program(tmp_path / "a.sgp", graph.outputs, graph.inputs)
    run = sg.open_program(tmp_path / "a.sgp", debug=True)
    hits = []
    run.break_at("scan.body/tanh", lambda frame: hits.append(frame.step))
    run(matrix)
    assert hits == [1, 2, 3, 4, 5]
    sg.save_program(tmp_path / "b.sgp", run)
    assert (tmp_path / "a.sgp").read_bytes() == (tmp_path / "b.sgp").read_bytes()


def test_options_are_those_of_compile(tmp_path):
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        sg.save_program(tmp_path / "x.sgp", (x * 1.0) + 0.5)
    seen = []
    run = sg.open_program(
        tmp_path / "x.sgp", backend="numpy", passes=(), observer=seen.append, borrow=True
    )
    assert run.backend == "numpy" and len(run.program.instructions) == 2 and not seen
    assert next(iter(run.phases)) == "open"
    shorter = sg.open_program(
        tmp_path / "x.sgp", backend="numpy", observer=seen.append, verify=True
    )
    assert len(shorter.program.instructions) == 1 and seen
    names = set(inspect.signature(sg.compile).parameters) - {"outputs", "inputs"}
    assert set(inspect.signature(sg.open_program).parameters) == names | {"path"}


VALUES = [
    *(0, 1, True, False, None, "text", 0.0, -0.0, 1.0, 1e300, 5e-324, float("inf"), -float("inf")),
    *(2**70, 1j, complex(-0.0, float("inf")), ..., (), (1, (2.0, [3, "x"])), [], [(None,)]),
    *(np.float32(0.1), np.int8(-3), np.complex64(1 + 2j), np.bool_(True), np.float16("inf")),
    *(np.dtype("float32"), np.dtype(">i4"), np.float32, float, np.bool_, bool),
    *(slice(None), slice(1, -2, 3), Slice(1), Slice(), {"a": 1, 2: (3,)}, {}),
    TensorType((2, 0), "bool"),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_are_told_apart(value):
    written = json.loads(json.dumps(ValueWriter(None).value(value), allow_nan=False))
    found = ValueReader({}, []).value(written)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_nan_is_kept():
    found = ValueReader({}, []).value(ValueWriter(None).value((float("nan"), np.float32("nan"))))
    assert np.isnan(found).all() and type(found[1]) is np.float32


@pytest.mark.parametrize(
    "value", [object(), b"x", np.ones(2), {1}, len, np.dtype("U3"), Pair(1, 2)]
)
def test_other_values_are_refused(value):
    with pytest.raises(NotWritable):
        ValueWriter(None).value((value,))


# what cannot be saved -----------------------------------------------------------------------------


def test_an_op_of_the_users_own_is_refused(tmp_path):
    cube = Op(name="cube", kind=Kind.OPAQUE, arity=1, kernel=lambda x: x**3, infer=lambda x: x)
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        y = cube(x)
        z = sg.scan(lambda c, v: (cube(c) + v, None), 1.0, x)[0]
    for outputs in (y, z):
        with pytest.raises(ProgramFileError, match="cube is no op of the library") as caught:
            sg.save_program(tmp_path / "own.sgp", outputs)
        assert "cube(" in caught.value.source.text
    assert not list(tmp_path.iterdir())


def test_an_attribute_that_is_no_value_is_refused(tmp_path):
    class Key:
        pass

    with sg.Graph() as graph:
        x = sg.placeholder("x", (2,))
        odd = graph.add_op(REGISTRY["print_"], (x,), {"message": Key()}, type=x.type)
        with pytest.raises(ProgramFileError, match="message of print_ is a Key") as caught:
            sg.save_program(tmp_path / "x.sgp", odd)
        assert "graph.add_op" in caught.value.source.text
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        with pytest.raises(ProgramFileError, match="the outputs have a Key as a key"):
            sg.save_program(tmp_path / "x.sgp", {Key(): x})
        texts = sg.placeholder("texts", (2,), "U3")
        with pytest.raises(ProgramFileError, match="texts has the dtype <U3"):
            sg.save_program(tmp_path / "x.sgp", x, [x, texts])
    assert not list(tmp_path.iterdir())


def test_wrong_arguments_are_refused(tmp_path):
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        y = x * 2
    run = sg.compile(y, [x])
    path = tmp_path / "x.sgp"
    with pytest.raises(ArgumentError, match="the path is a Node"):
        sg.save_program(y, path)
    with pytest.raises(ArgumentError, match="the path is a BytesIO"):
        sg.open_program(io.BytesIO())
    with pytest.raises(ArgumentError, match="inputs were passed beside an executable"):
        sg.save_program(path, run, [x])
    with pytest.raises(ArgumentError, match="a function was passed") as caught:
        sg.save_program(path, sg.function(lambda x: x))
    assert "sg.trace" in caught.value.fix
    with pytest.raises(SideBySideError, match="are str, not nodes"):
        sg.save_program(path, "y")
    with pytest.raises(FeedError, match="missing"):
        sg.save_program(path, y, [])
    with pytest.raises(OutputError, match="cannot write"):
        sg.save_program(tmp_path / "no" / "folder" / "x.sgp", y)
    with pytest.raises(OutputError, match="cannot write"):
        sg.save_program(tmp_path, y)
    assert not list(tmp_path.iterdir())


def test_what_was_there_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "x.sgp"
    with sg.Graph():
        x = sg.placeholder("x", (2,))
        sg.save_program(path, x * 2)
        before = path.read_bytes()

        def full(*_, **__):
            raise OSError("no space left")

        monkeypatch.setattr(np.lib.format, "write_array", full)
        with pytest.raises(OutputError, match="no space left"):
            sg.save_program(path, x * 3)
        monkeypatch.undo()
        assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
        sg.save_program(path, x * 3)
    assert sg.open_program(path)([1.0, 2.0]).tolist() == [3.0, 6.0]


# damaged files ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path, matrix):
    """Return a file with loops, branches and arrays."""
    path = tmp_path / "saved.sgp"
    with sg.Graph():
        x = sg.placeholder("x", matrix.shape)
        w = sg.variable(np.arange(3, dtype="float32") + 0.5, name="w")
        y = sg.while_loop(lambda v: sg.sum(v * v) > 1, lambda v: v * 0.5, x * w)
        z = sg.cond(sg.sum(y) > 0, lambda: y, lambda: y + 1)
        last, ys = sg.scan(lambda c, row: (c + row, c), w, z)
        (dw,) = sg.gradients(sg.sum(last * ys), [w])
        sg.save_program(path, [sg.exp(ys), w.assign(dw)])
    return path


def edit(path, change, entries=None):
    """Return a copy of a file whose document or entries were changed, with right checksums."""
    target = path.with_name("edited.sgp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "program.json":
                document = json.loads(data)
                for number in range(len(document.get("checksums", ()))):
                    array = (entries or {}).get(f"arrays/{number}.npy")
                    if array is not None:
                        document["checksums"][number] = zlib.crc32(array)
                if change is not None:
                    change(document)
                data = json.dumps(document).encode()
            new.writestr(name, (entries or {}).get(name, data))
    return target


def instruction(document, op):
    parts = [document["program"], *document["regions"]]
    return next(i for part in parts for i in part["instructions"] if i["op"] == op)


def refusal(path, **options):
    with pytest.raises(ProgramFileError) as caught:
        sg.open_program(path, **options)
    text = str(caught.value)
    assert f"open_program('{path}')" in text and "why: " in text and "fix: " in text
    return text


def test_there_is_no_such_file(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "nothing.sgp")
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="files of other kinds are made as POSIX has them")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert "cannot be read: it is no regular file" in refusal(path)


def test_arrays_that_changed_places_are_noticed(tmp_path):
    path = tmp_path / "swapped.sgp"
    with sg.Graph():
        x = sg.placeholder("x", (3,))
        sg.save_program(path, x * sg.constant([1.0, 2.0, 3.0]) + sg.constant([4.0, 5.0, 6.0]))
    swapped = path.with_name("edited.sgp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(swapped, "w") as new:
        for name in old.namelist():
            other = {"arrays/0.npy": "arrays/1.npy", "arrays/1.npy": "arrays/0.npy"}
            new.writestr(name, old.read(other.get(name, name)))
    assert "is not the array that was saved" in refusal(swapped)


@pytest.mark.parametrize("name", ["program.json", "arrays/0.npy"])
def test_a_bomb_is_not_inflated(name, saved):
    target = saved.with_name("edited.sgp")
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.namelist():
            content = old.read(each)
            new.writestr(each, content + b" " * (64 << 20) if each == name else content)
    tracemalloc.start()
    try:
        text = refusal(target)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert "would take" in text or "is compressed" in text


@pytest.mark.parametrize(
    ("place", "first"), [(20, 16), (24, 20)], ids=["packed", "unpacked"]
)  # a text that ends before its size is still the text
def test_a_size_that_an_entry_does_not_have_is_not_allocated(place, first, saved):
    whole = saved.read_bytes()
    entries = [found.start() for found in re.finditer(rb"PK\x01\x02", whole)]
    assert len(entries) > 2
    for entry in entries:
        for bit in range(first, 32):
            changed = bytearray(whole)
            changed[entry + place + bit // 8] ^= 1 << bit % 8
            saved.write_bytes(changed)
            tracemalloc.start()
            try:
                assert refusal(saved)
                assert tracemalloc.get_traced_memory()[1] < 4 << 20
            finally:
                tracemalloc.stop()


def test_random_damages_are_refused_by_name_or_open(tmp_path):
    found = run_damages(tmp_path / "whole.sgp", 200)
    assert {name for name, _ in found} == {damage.__name__ for damage in DAMAGES}


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x.sgp"
    path.write_text("x = 1")
    assert "holds no program" in refusal(path)
    path.write_bytes(b"")
    assert "holds no program" in refusal(path)
    np.savez(tmp_path / "x.npz", x=np.ones(3))
    assert "has no program.json" in refusal(tmp_path / "x.npz")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("program.json", '{"layers": []}')
    assert "of another kind" in refusal(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("program.json", "[" * 100_000)
    assert "holds no program" in refusal(path)


@pytest.mark.parametrize("backend", ["interpret", "numpy"])
def test_a_program_that_the_version_before_saved(backend):
    """Version 0.1.0 wrote the file: a product, a scan, a branch, an update, a symbolic length."""
    run = sg.open_program(OLD, backend=backend)
    x, w = np.ones((2, 3), "float32"), np.arange(6, dtype="float32").reshape(3, 2) / 4
    found = run(x)
    y = np.tanh(x @ w) + np.float32(1)
    assert found["y"].tobytes() == y.tobytes()
    assert found["z"] == y.sum() * 2 and found["last"] == 8.0
    assert found["ys"].tolist() == [0.0, 4.0, 8.0, 12.0]
    assert run.variables["w"].value.tolist() == (w / 2).tolist()
    assert len(run(np.ones((5, 3), "float32"))["y"]) == 5
    assert run.program.instructions[0].sources[0].filename == "write.py"


def test_an_op_that_went_since_says_which_version_wrote_the_file(tmp_path):
    old = tmp_path / "old.sgp"
    shutil.copy(OLD, old)

    def rename(document):
        document["program"]["instructions"][0]["op"] = "one_that_went"

    text = refusal(edit(old, rename))
    assert "one_that_went" in text and "version 0.1.0 of the library" in text


def test_another_version_is_refused(saved):
    text = refusal(edit(saved, lambda d: d.update(version=99, library="7.0")))
    assert "version 99 of the format" in text and "version 7.0 of the library" in text


def test_unknown_ops_and_attributes_are_refused_with_the_users_line(saved):
    text = refusal(edit(saved, lambda d: instruction(d, "exp").update(op="expand_minds")))
    assert "the op 'expand_minds'" in text and "test_archive.py" in text
    text = refusal(edit(saved, lambda d: instruction(d, "exp")["attrs"].update(base=2)))
    assert "the attribute 'base' of exp" in text
    text = refusal(edit(saved, lambda d: instruction(d, "exp")["attrs"].update(base={"code": 2})))
    assert "the kind 'code'" in text


def test_pickles_are_not_loaded(saved, tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([Harm(), None], object), allow_pickle=True)
    assert "Object arrays" in refusal(edit(saved, None, {"arrays/0.npy": stream.getvalue()}))
    refusal(edit(saved, None, {"arrays/0.npy": pickle.dumps(Harm())}))
    refusal(edit(saved, None, {"program.json": pickle.dumps(Harm())}))
    assert not (tmp_path / "harm").exists()


def test_names_of_a_file_are_not_code(saved):
    harm = "x'); import os; os.abort(); ('"
    text = refusal(
        edit(saved, lambda d: d.update(outputs={"namedtuple": [harm, [["a", "*"]] * 2]}))
    )
    assert "valid identifiers" in text


def test_texts_of_a_file_are_not_code(saved, tmp_path, matrix, monkeypatch):
    monkeypatch.chdir(tmp_path)
    harm = "x\nimport os; os.mkdir('harm') #"

    def change(document):
        for source in document["sources"]:
            source.update(file=harm, function=harm, text=harm)
        document["variables"][0]["name"] = harm
        main = document["program"]
        main["inputs"][0]["name"] = harm
        for each in main["instructions"]:
            each["operands"] = [harm if name == "x" else name for name in each["operands"]]

    path = edit(saved, change)
    for backend in ("numpy", "native"):
        sg.open_program(path, backend=backend)(matrix)
    assert not (tmp_path / "harm").exists()


def test_types_are_proved_again(saved):
    def widen(document):
        instruction(document, "exp")["type"] = ["float64", [5, 3]]

    assert "exp gives float32[5,3]" in refusal(edit(saved, widen))
    scalar = io.BytesIO()
    np.lib.format.write_array(scalar, np.array(0, "int8"), allow_pickle=False)
    text = refusal(edit(saved, None, {"arrays/0.npy": scalar.getvalue()}))
    assert "holds a int8[]" in text
    text = refusal(edit(saved, lambda d: instruction(d, "exp").update(operands=["nothing"])))
    assert "reads 'nothing'" in text
    text = refusal(edit(saved, lambda d: d["program"]["results"].pop()))
    assert "outputs" in text


@pytest.mark.parametrize(
    ("op", "name", "value"),
    [
        ("scan", "length", 6),
        ("scan", "carries", 2),
        ("scan", "sequences", 2),
        ("scan", "keep", {"tuple": [False, True]}),
        ("while_loop", "body", {"region": 4}),
        ("while_loop", "condition", {"region": 1}),
        ("switch", "branches", {"tuple": [{"region": 0}]}),
        ("switch", "branches", {"tuple": [{"region": 2}, {"region": 6}]}),
        ("while_gradient", "carries", 0),
        ("while_gradient", "pullback", {"region": 0}),
        ("scan", "reverse", "yes"),
        ("while_loop", "max_steps", "many"),
        ("while_gradient", "max_steps", "many"),
        ("item", "index", -1),
        ("item", "index", 99),
    ],
)
def test_regions_must_fit_their_op(op, name, value, saved):
    def change(document):
        instruction(document, op)["attrs"][name] = value

    assert op in refusal(edit(saved, change))


def test_a_region_may_not_overwrite_what_is_read_again(saved):
    def change(document):
        for region in document["regions"]:
            region["owned"] = len(region["inputs"])

    assert "do not fit" in refusal(edit(saved, change))


def test_a_region_is_declared_before_it_is_used(saved):
    def change(document):
        number = instruction(document, "scan")["attrs"]["body"]["region"]
        document["regions"][number]["instructions"].insert(0, instruction(document, "scan"))

    assert "is used before it is declared" in refusal(edit(saved, change))


def test_damaged_bytes_are_noticed(saved):
    data, choice = saved.read_bytes(), random.Random(0)
    contents = read_file(saved)
    refused = 0
    for _ in range(300):
        harmed = bytearray(data)
        if choice.random() < 0.2:
            del harmed[choice.randrange(len(harmed)) :]
        else:
            harmed[choice.randrange(len(harmed))] ^= 1 << choice.randrange(8)
        path = saved.with_name("harmed.sgp")
        path.write_bytes(harmed)
        try:
            found = read_file(path)
        except ProgramFileError:
            refused += 1
            continue
        # the rest are bits of the zip that mean nothing, such as times
        assert found.document == contents.document
        assert_same_bits(found.arrays, contents.arrays)
    assert refused > 150


def test_changed_documents_are_refused_by_name_or_open(saved):
    choice = random.Random(1)
    contents = read_file(saved)

    def places(value):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in list(pairs):
            yield value, key
            if isinstance(each, (dict, list)):
                yield from places(each)

    others = [None, -1, 0, 1, 10**9, 0.5, "", "x", "float64", [], {}, [0, 1], {"tuple": [0]}]
    refused = 0
    for _ in range(400):
        document = json.loads(json.dumps(contents.document))
        holder, key = choice.choice(list(places(document)))
        holder[key] = choice.choice(others)
        path = saved.with_name("changed.sgp")
        write_file(path, document, contents.arrays)
        try:
            sg.open_program(path, backend="interpret", passes=())
        except ProgramFileError:
            refused += 1
    assert refused > 200


def test_a_reader_of_less_than_all_arrays_says_so(saved):
    contents = read_file(saved)
    with pytest.raises(IndexError):
        ProgramReader(contents.document, contents.arrays[:1])
    path = saved.with_name("less.sgp")
    write_file(path, contents.document, contents.arrays[:1])
    assert "it says what cannot be" in refusal(path)


def test_arrays_are_read_by_numpy_too(saved):
    with np.load(saved) as file:
        found = [file[name] for name in file.files if name.startswith("arrays/")]
    assert any(each.tolist() == [0.5, 1.5, 2.5] for each in found)
