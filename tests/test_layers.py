"""The direction of imports, and what an import may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
PACKAGES = ("common", "dyngraph", "staticgraph", "sidebyside")
MAY_IMPORT = {
    "common": {"common"},
    "dyngraph": {"common", "dyngraph"},
    "staticgraph": {"common", "staticgraph"},
    "sidebyside": set(PACKAGES),
}


def imported_packages(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package):
    files = list((SOURCE / package).rglob("*.py"))
    assert files
    for path in files:
        ours = imported_packages(path) & set(PACKAGES)
        assert ours <= MAY_IMPORT[package], f"{path.name} imports {ours - MAY_IMPORT[package]}"


def test_common_names_no_executor():
    for path in (SOURCE / "common").rglob("*.py"):
        names = {n.id for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Name)}
        assert not names & {"Tensor", "Node"}, path.name


def loaded_by(statement: str) -> set[str]:
    program = f"""
import sys
import numpy
before = set(sys.modules)
{statement}
print("\\n".join({{name.partition(".")[0] for name in set(sys.modules) - before}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_dyngraph_loads_nothing_beyond_numpy():
    third_party = loaded_by("import dyngraph") - set(sys.stdlib_module_names)
    assert third_party - {"numpy"} == {"common", "dyngraph"}


def test_importing_staticgraph_loads_no_compiler():
    loaded = loaded_by("import staticgraph")
    assert "networkx" in loaded
    assert not loaded & {"llvmlite", "scipy", "dyngraph", "torch", "jax", "sklearn"}


def test_no_executor_or_pass_or_backend_branches_on_an_op_by_name():
    """A comparison of ``.name`` with a string, outside the op library, is a special case."""
    for package in ("dyngraph", "staticgraph"):
        for path in (SOURCE / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
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
