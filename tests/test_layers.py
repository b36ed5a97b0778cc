"""The rooms of the library, from the lowest to the highest, and what an import may load.

A file imports only files of its own room and of rooms above it in the list; no two import each
other, however long the way around. Imports inside functions and under ``TYPE_CHECKING`` count, too.
"""

import ast
import subprocess
import sys
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

from oplibrary.late import contents

SOURCE = Path(__file__).parent.parent / "src"
PACKAGES = {
    "oplibrary": SOURCE / "common" / "oplibrary",
    "dyngraph": SOURCE / "dyngraph",
    "staticgraph": SOURCE / "staticgraph",
    "sidebyside": SOURCE / "sidebyside",
}

ROOMS = {
    "oplibrary.messages": "errors, where in the user's code they point, files written whole",
    "oplibrary.late": "what is loaded when it is first asked for, and where it stands",
    "oplibrary.values": "types, dtypes, nested values",
    "oplibrary.core": "the op record, the ops by name, and what runs them",
    "oplibrary.tangents": "how ops push tangents forward",
    "oplibrary.machine": "machine code for scalar expressions, its threads and its cache",
    "oplibrary.ops": "the ops, one family a file",
    "oplibrary.functional": "compositions of ops",
    "oplibrary.numerical": "NumPy's functions as compositions of ops",
    "oplibrary.optimizers": "optimisers as functions of a state",
    "oplibrary.executors": "what every executor is made with",
    "oplibrary.transforms": "functions on functions, for every executor",
    "oplibrary": "",
    "dyngraph.tape": "what operations leave behind, and whether they do",
    "dyngraph.tensors": "the dynamic value",
    "dyngraph.engine": "running, recording, going backward",
    "dyngraph.functions": "functions on functions",
    "dyngraph.random": "random tensors, from the default generator",
    "dyngraph.methods": "Tensor's methods that need the engine",
    "dyngraph": "",
    "staticgraph.program": "the lowered program",
    "staticgraph.graph": "the declared graph and its values",
    "staticgraph.declare": "what puts nodes into a graph, gradients included",
    "staticgraph.passes": "program to program, one pass a file",
    "staticgraph.backends": "what runs a program",
    "staticgraph.control": "branches and loops",
    "staticgraph.transforms": "derivatives of functions, loops over rows included",
    "staticgraph.show": "graphs and programs as text and drawings",
    "staticgraph.cost": "arithmetic and bytes of a program",
    "staticgraph.compiler": "from nodes to something that runs",
    "staticgraph.capture": "what a traced function reads from outside",
    "staticgraph.tracing": "functions that are traced and compiled at their first call",
    "staticgraph.debugging": "breakpoints, checks, the first NaN",
    "staticgraph.archive": "programs in files",
    "staticgraph.importing.shared": "what the readers of all other libraries' programs share",
    "staticgraph.importing.pytorch": "PyTorch's modules",
    "staticgraph.importing.jaxprs": "JAX's functions",
    "staticgraph.importing.graphdefs.ops": "TensorFlow's ops, by families",
    "staticgraph.importing.graphdefs": "TensorFlow's functions and graphs",
    "staticgraph.importing.onnx_models": "models in the ONNX format",
    "staticgraph.importing": "programs of other libraries",
    "staticgraph.exporting": "programs in the formats of other libraries",
    "staticgraph.backends.native.definitions": "what each value is, in terms of others",
    "staticgraph.backends.native.planning": "what is written to memory, by which loops, where",
    "staticgraph.backends.native.emit": "steps as LLVM IR",
    "staticgraph.backends.native.run": "object code that runs",
    "staticgraph.backends.native": "the machine-code backend",
    "staticgraph": "",
    "sidebyside.workloads": "programs with inputs",
    "sidebyside.workloads.builtin": "the builtin ones",
    "sidebyside.workloads.foreign": "those of others' studies",
    "sidebyside.measuring": "clocks, processes, statistics, agreement",
    "sidebyside.modes": "one record a framework",
    "sidebyside.results": "what measurements came to, as data",
    "sidebyside.drawing": "graphs and timelines of both modes",
    "sidebyside.studies": "what is measured, in which order",
    "sidebyside.report": "results as text, HTML and data",
    "sidebyside": "",
}
"""Every room and what it holds, each importing only from those above it in this list."""

MANY_FILES = {
    "oplibrary.functional",
    "oplibrary.ops",
    "sidebyside.modes",
    "sidebyside.workloads.builtin",
}
"""Rooms that hold one file a thing of their kind, however many there are."""

MOST_FILES = 13
MOST_MODULES_AT_FIRST = 60
"""How many of our modules `import dyngraph` may load: a file costs a quarter of a millisecond."""


class Import(NamedTuple):
    """One module that a file imports, and how: ``""``, ``"late"`` or ``"typing"``."""

    importer: str
    imported: str
    how: str
    line: int


@lru_cache(maxsize=1)
def modules() -> dict[str, Path]:
    """Return every module of the library by its name; a package is its ``__init__``."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in folder.rglob("*.py"):
            parts = (package, *path.relative_to(folder).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax of a file, read once for all tests."""
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Return every part of a file's syntax."""
    return tuple(ast.walk(tree(path)))


@lru_cache(maxsize=1)
def imports() -> tuple[Import, ...]:
    """Return every import of one module of the library by another."""
    found = []

    def visit(node: ast.AST, importer: str, how: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            how = "late"
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            how = "typing"
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{importer}:{node.lineno} imports by a relative name"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else node.module for name in whole]
        for name in dict.fromkeys(names):
            if name in modules() and name != importer:
                found.append(Import(importer, name, how, node.lineno))
        for child in ast.iter_child_nodes(node):
            visit(child, importer, how)

    for name, path in modules().items():
        visit(tree(path), name, "")
    return tuple(found)


@cache
def room_of(module: str) -> str:
    """Return the room that `module` stands in: the longest one that its name starts with."""
    parts = module.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next(name for name in names if name in ROOMS)


LATE: dict[tuple[str, str], str] = {
    (
        "oplibrary.transforms.batched",
        "oplibrary.executors.numpy.functions",
    ): "few programs call NumPy's functions on rows",
    ("oplibrary.transforms.batched", "oplibrary.executors.numpy.ufuncs"): "likewise",
    (
        "dyngraph.engine.apply",
        "oplibrary.executors.numpy.spelled",
    ): "NumPy's arguments are looked for where a call does not fit ours",
    ("dyngraph.engine.namespace", "oplibrary.executors.numpy.spelled"): "likewise",
    ("staticgraph.declare.namespace", "oplibrary.executors.numpy.spelled"): "likewise",
    (
        "oplibrary.executors.spellings",
        "oplibrary.executors.names_elsewhere",
    ): "a name that is missing is read by few programs",
    (
        "dyngraph.tensors.tensor",
        "oplibrary.executors.numpy.functions",
    ): "few programs call NumPy's functions on tensors",
    (
        "staticgraph.graph.node",
        "oplibrary.executors.numpy.functions",
    ): "few programs call NumPy's functions on nodes",
    (
        "dyngraph.tensors.tensor",
        "oplibrary.executors.numpy.ufuncs",
    ): "few programs call NumPy's functions with more than operands",
    (
        "staticgraph.graph.node",
        "oplibrary.executors.numpy.ufuncs",
    ): "few programs call NumPy's functions with more than operands",
    (
        "dyngraph.engine.failures",
        "dyngraph.engine.lineage",
    ): "the user's source is read when there is an error to tell",
    ("dyngraph.tensors.tensor", "dyngraph.tensors.printing"): "few tensors are shown",
    ("dyngraph.tensors.tensor", "dyngraph.tensors.lost_numbers"): "few become plain numbers",
    (
        "oplibrary.executors.namespace",
        "oplibrary.executors.namespace_info",
    ): "few programs ask a namespace about itself",
    (
        "dyngraph.tensors.lost_numbers",
        "oplibrary.messages.syntax",
    ): "the user's source is read when there is a warning to give",
    (
        "staticgraph.backends.registry",
        "oplibrary.machine.target",
    ): "LLVM is loaded once a program is compiled",
    (
        "staticgraph.importing",
        "staticgraph.importing.pytorch.reading",
    ): "few programs are another library's",
    ("staticgraph.importing", "staticgraph.importing.jaxprs.reading"): "likewise",
    ("staticgraph.importing", "staticgraph.importing.graphdefs.reading"): "likewise",
    ("staticgraph.importing", "staticgraph.importing.onnx_models.reading"): "likewise",
    ("staticgraph.exporting", "staticgraph.exporting.model"): "few programs leave the library",
    (
        "staticgraph.exporting",
        "staticgraph.importing.shared.imported",
    ): "few of them are another library's",
    (
        "staticgraph.backends.native",
        "staticgraph.backends.native.run.fallback",
    ): "what is found on disk is not planned",
    (
        "staticgraph.backends.native",
        "staticgraph.backends.native.run.checked",
    ): "it loads the planner",
    (
        "staticgraph.backends.native",
        "staticgraph.backends.native.planning.plan",
    ): "what is found on disk is not planned",
    (
        "staticgraph.backends.native",
        "staticgraph.backends.native.run.open_machine",
    ): "few programs have open lengths",
    (
        "staticgraph.backends.native",
        "staticgraph.backends.native.run.running",
    ): "llvmlite and SciPy are loaded once a program is compiled",
    ("staticgraph.backends.native", "staticgraph.backends.native.run.calls"): "likewise",
    ("staticgraph.backends.native", "staticgraph.backends.native.run.timed"): "likewise",
    ("staticgraph.backends.native", "oplibrary.machine.target"): "likewise",
    (
        "staticgraph.backends.native",
        "staticgraph.backends.numpy",
    ): "NumPy runs what does not link, and only that",
}
"""Imports inside functions, importer and imported, that save start-up time, and why."""


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downward(room):
    order = {name: number for number, name in enumerate(ROOMS)}
    upward = [
        f"{each.importer}:{each.line} imports {each.imported}"
        for each in imports()
        if room_of(each.importer) == room and order[room_of(each.imported)] > order[room]
    ]
    assert not upward


@pytest.mark.parametrize("package", PACKAGES)
def test_no_files_import_each_other(package):
    graph = nx.DiGraph([(each.importer, each.imported) for each in imports()])
    circles = [sorted(files) for files in nx.strongly_connected_components(graph) if len(files) > 1]
    assert not [files for files in circles if files[0].partition(".")[0] == package]


@pytest.mark.parametrize("package", PACKAGES)
def test_late_imports_have_a_reason(package):
    late = {
        (each.importer, each.imported)
        for each in imports()
        if each.how == "late" and each.importer.partition(".")[0] == package
    }
    assert late == {pair for pair in LATE if pair[0].partition(".")[0] == package}


def test_every_file_stands_in_a_room():
    for room in ROOMS:
        assert any(room_of(module) == room for module in modules()), f"nothing stands in {room}"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_shows_too_many_files(package):
    folders = {path.parent for path in PACKAGES[package].rglob("*.py")}
    for folder in folders:
        room = ".".join((package, *folder.relative_to(PACKAGES[package]).parts))
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert room in MANY_FILES or len(files) <= MOST_FILES, room


def test_the_op_library_names_no_executor():
    for path in PACKAGES["oplibrary"].rglob("*.py"):
        names = {n.id for n in nodes(path) if isinstance(n, ast.Name)}
        assert not names & {"Tensor", "Node"}, path.name


def loaded_by(statement: str) -> set[str]:
    program = f"""
import sys
import numpy
before = set(sys.modules)
{statement}
print("\\n".join(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def loaded_packages(statement: str) -> set[str]:
    return {name.partition(".")[0] for name in loaded_by(statement)}


def test_importing_dyngraph_loads_nothing_beyond_numpy():
    third_party = loaded_packages("import dyngraph") - set(sys.stdlib_module_names)
    assert third_party - {"numpy"} == {"oplibrary", "dyngraph"}


def test_importing_dyngraph_stays_light():
    """What takes long to load and is rarely used loads late; nobody counts milliseconds here."""
    loaded = loaded_by("import dyngraph")
    assert not loaded & {"difflib", "html", "numpy.fft", "numpy.typing", "unicodedata"}
    ours = {name for name in loaded if name.partition(".")[0] in PACKAGES}
    assert len(ours) <= MOST_MODULES_AT_FIRST, "let what few programs use be a `Late` one"
    assert not loaded & contents.OPS.keys(), "an op is loaded when it is first asked for"


def test_importing_staticgraph_loads_no_compiler():
    loaded = loaded_packages("import staticgraph")
    assert "networkx" in loaded
    assert not loaded & {"llvmlite", "scipy", "dyngraph", "torch", "jax", "sklearn"}


def test_no_executor_or_pass_or_backend_branches_on_an_op_by_name():
    """A comparison of ``.name`` with a string, outside the op library, is a special case."""
    for package in ("dyngraph", "staticgraph"):
        for path in PACKAGES[package].rglob("*.py"):
            for node in nodes(path):
                if not isinstance(node, ast.Compare):
                    continue
                sides = [node.left, *node.comparators]
                reads_op_name = any(
                    isinstance(side, ast.Attribute)
                    and side.attr == "name"
                    and isinstance(side.value, (ast.Name, ast.Attribute))
                    and (getattr(side.value, "id", None) or getattr(side.value, "attr", "")) == "op"
                    for side in sides
                )
                has_text = any(
                    isinstance(constant, ast.Constant) and isinstance(constant.value, str)
                    for side in sides
                    for constant in ast.walk(side)
                )
                assert not (reads_op_name and has_text), f"{path.name}:{node.lineno}"


def test_no_one_reads_how_an_expression_is_spelled():
    """An op's ``expr`` is read once, where the op is made; all else reads its ``expression``."""
    for name, path in modules().items():
        read = {
            ast.unparse(node.value)
            for node in nodes(path)
            if isinstance(node, ast.Attribute) and node.attr == "expr"
        }
        assert read <= {"ast"} or name == "oplibrary.core.op", name


SCRIPT = """
import {folder}
import {folder}.mine
import dyngraph as dg, staticgraph as sg, sidebyside as sbs
assert {folder}.mine.HERE and "{folder}" in {folder}.mine.__file__
print(sg.function(lambda x: sg.sum(x * x))(dg.tensor([1.0, 2.0]).numpy()))
"""


@pytest.mark.parametrize("folder", ["common", "core", "ops", "utils", "passes", "machine"])
@pytest.mark.parametrize("has_init", [True, False])
def test_a_users_own_folder_beside_the_script_does_not_matter(tmp_path, folder, has_init):
    own = tmp_path / folder
    own.mkdir()
    (own / "mine.py").write_text("HERE = True\n")
    if has_init:
        (own / "__init__.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(folder=folder))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.stdout.strip() == "5.0", done.stderr
