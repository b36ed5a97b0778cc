"""Write the table of where each op and function stands, so that it loads when it is asked for.

python docs/generate_contents.py     writes ``src/common/oplibrary/late/contents.py``

The modules are imported one after another, and what each enters is taken down: so a table that is
old, or lost, is no hindrance.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

from oplibrary.core.registry import ALIASES, CREATION, NAMESPACES, REGISTRY
from oplibrary.late.table import Late

PACKAGES = ("oplibrary.ops", "oplibrary.functional", "oplibrary.numerical")
FILE = Path(__file__).parent.parent / "src" / "common" / "oplibrary" / "late" / "contents.py"
HEAD = '''"""The names that each module enters when it is imported; `make docs` writes this file."""
'''

Contents = dict[str, list[str]]


def contents() -> str:
    """Return the text of the table; in a process that has loaded no op yet."""
    entered: dict[int, Contents] = defaultdict(lambda: defaultdict(list))

    class Noting(Late[Any]):
        def __setitem__(self, name: str, value: Any) -> None:
            entered[id(self)][module_in_progress()].append(name)
            super().__setitem__(name, value)

    for table in (REGISTRY, ALIASES, CREATION, *NAMESPACES.values()):
        assert not dict.keys(table), "an op is loaded already"
        table.__class__ = Noting
        table.modules.clear()
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")
    offered = {
        below: sorted(
            name
            for op in REGISTRY.values()
            if op.public and below in op.namespaces
            for name in (op.name, *op.alias)
        )
        for below in NAMESPACES
    }
    parts = [
        HEAD,
        assignment("OPS", entered[id(REGISTRY)], "The ops."),
        assignment("SPELLINGS", entered[id(ALIASES)], "Their other spellings."),
        assignment("CREATION", entered[id(CREATION)], "Functions that make arrays of none."),
        "FUNCTIONS = {",
        *(
            f'    "{below}": {{\n{textwrap.indent(rows(entered[id(table)]), "    ")}    }},'
            for below, table in NAMESPACES.items()
        ),
        '}\n"""Of each namespace, the functions that are no ops."""\n',
        f'OFFERED = {{\n{rows(offered)}}}\n"""Of each namespace, the ops, in all spellings."""',
    ]
    return "\n".join(parts) + "\n"


def module_in_progress() -> str:
    """Return the name of the module that is being imported, innermost."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    assert frame is not None
    return str(frame.f_globals["__name__"])


def assignment(name: str, found: Contents, meaning: str) -> str:
    return f'{name} = {{\n{rows(found)}}}\n"""{meaning}"""\n'


def rows(found: Contents) -> str:
    """Return the rows of a table, each with its names in lines of at most 100 characters."""
    text = ""
    for module, entered in sorted(found.items()):
        names = " ".join(dict.fromkeys(entered))
        row = f'    "{module}": "{names}",\n'
        if len(row) > 96:
            lines = textwrap.fill(names, 91, initial_indent=" " * 8, subsequent_indent=" " * 8)
            row = f'    "{module}": """\n{lines}\n    """,\n'
        text += row
    return text


def refresh() -> None:
    """Write the table; where it was another, start the program that calls this once more."""
    done = subprocess.run(
        [sys.executable, __file__, "--print"], check=True, capture_output=True, text=True
    )
    if FILE.read_text() != done.stdout:
        FILE.write_text(done.stdout)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    text = contents()
    if "--print" in sys.argv:
        sys.stdout.write(text)
    else:
        FILE.write_text(text)
