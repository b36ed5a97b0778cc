"""How the documentation site is built from this folder: ``make site``.

The pages are the Markdown files beside this one. The reference is made of the docstrings: of what
each package says it offers, and of the op records, which both executors share.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dyngraph
import sidebyside
import staticgraph
from oplibrary.core.op import Kind
from oplibrary.core.registry import CREATION, NAMESPACES, REGISTRY
from oplibrary.messages.message import Message

project = "sidebyside"
author = "the sidebyside authors"
copyright = f"2026, {author}"
release = version = sidebyside.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["*.py"]
myst_heading_anchors = 3  # links to headings are spelled as GitHub spells them
default_role = "code"
add_module_names = False
autodoc_typehints = "none"  # the docstrings name types in words
autodoc_member_order = "groupwise"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_param = False  # types are words, such as "array_like", and no links
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"sidebyside {release}"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"light_css_variables": {"code-font-size": "0.75rem"}}  # 100 columns fit

COMPOSITIONS = {
    **CREATION,
    **{
        f"{below}.{name}" if below else name: function
        for below, functions in NAMESPACES.items()
        for name, function in functions.items()
    },
}
SHARED = {**{op.name: op for op in REGISTRY.values()}, **COMPOSITIONS}
"""What both executors offer under the same name: ops, compositions of ops, and creation."""


PACKAGES = {each.__name__: each for each in (dyngraph, staticgraph, sidebyside)}
FOLDER = Path(__file__).parent
COPIES = {
    "site/examples": FOLDER.parent / "examples" / "README.md",
    "site/contributing": FOLDER.parent / "CONTRIBUTING.md",
    "site/changelog": FOLDER.parent / "CHANGELOG.md",
}
"""Pages that show a file from outside this folder."""


def is_shared(name: str, value: Any) -> bool:
    """Tell whether the op library's page documents `value`, or that of the errors."""
    aliases = {alias for op in REGISTRY.values() for alias in op.alias}
    return name in SHARED or name in aliases or value.__module__.startswith("oplibrary.")


def shared_types() -> dict[str, Any]:
    """Return the types that all packages offer."""
    offered = {name: getattr(each, name) for each in PACKAGES.values() for name in each.__all__}
    return {
        name: value
        for name, value in sorted(offered.items())
        if inspect.isclass(value) and is_shared(name, value) and not issubclass(value, Message)
    }


class Namespace(SphinxDirective):
    """``.. namespace:: dyngraph`` documents what a package offers beyond what is shared."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return parsed(self, namespace_lines(PACKAGES[self.arguments[0]]))


def namespace_lines(module: ModuleType) -> list[str]:
    """Return the text of a package's page: its classes, then its functions."""
    offered = {name: getattr(module, name) for name in module.__all__}
    own = {
        name: value
        for name, value in offered.items()
        if callable(value) and not is_shared(name, value)
    }
    lines = [f".. py:currentmodule:: {module.__name__}", ""]
    functions = [name for name, value in own.items() if not inspect.isclass(value)]
    lines += [".. rubric:: Functions", ""] if functions else []
    for name in sorted(functions, key=str.lower):
        lines += [f".. autofunction:: {module.__name__}.{name}", ""]
    lines += [".. rubric:: Classes", ""]
    for name in sorted(set(own) - set(functions), key=str.lower):
        lines += class_lines(f"{module.__name__}.{name}")
    return lines


def class_lines(name: str) -> list[str]:
    """Return what documents a class."""
    return [f".. autoclass:: {name}", "   :members:", ""]


class Shared(SphinxDirective):
    """``.. shared::`` documents the ops by kind, then the compositions of ops."""

    def run(self) -> list[nodes.Node]:
        lines = [".. py:currentmodule:: oplibrary", ""]
        for kind in Kind:
            ops = [op for op in REGISTRY.values() if op.kind is kind and op.name[0] != "_"]
            lines += [f".. rubric:: {kind.value.capitalize()}", ""] if ops else []
            for op in sorted(ops, key=lambda op: op.name):
                lines += [f".. py:function:: {op.qualified_name}{op.signature}", ""]
                lines += [f"   {line}" for line in escaped(op.doc.splitlines())]
                lines += also_called(op.alias) if op.alias else [""]
                lines += [] if op.differentiable else ["   Not differentiable.", ""]
        lines += [".. rubric:: Compositions and creation", ""]
        names: dict[str, list[str]] = {}
        for name, function in sorted(COMPOSITIONS.items()):
            names.setdefault(f"{function.__module__}.{function.__name__}", []).append(name)
        for path, called in sorted(names.items(), key=lambda pair: pair[0].rpartition(".")[2]):
            also = [name for name in called if name != path.rpartition(".")[2]]
            lines += [f".. autofunction:: {path}", ""]
            lines += also_called(also) if also else []
        lines += [".. rubric:: Types", ""]
        for name, value in shared_types().items():
            lines += class_lines(f"{value.__module__}.{name}")
        return parsed(self, lines)


def also_called(names: Sequence[str]) -> list[str]:
    """Return a sentence, inside a description, of other names."""
    return ["", f"   Also called {', '.join(f'``{name}``' for name in names)}.", ""]


def escaped(lines: list[str]) -> list[str]:
    """Return the lines of a docstring in which ``|x|`` means the absolute value."""
    return [re.sub(r"\|(\w+)\|", r"\\|\1\\|", line) for line in lines]


def parsed(directive: SphinxDirective, lines: list[str]) -> list[nodes.Node]:
    """Return the nodes of a text that a directive made."""
    container = nodes.container()
    directive.state.nested_parse(StringList(lines, source="conf.py"), 0, container)
    return container.children


def escape_docstring(_app: Sphinx, *about: Any) -> None:
    """Escape a docstring; its lines come last."""
    about[-1][:] = escaped(about[-1])


def link_inside(_app: Sphinx, page: str, text: list[str]) -> None:
    """Fetch the text of a page that stands elsewhere; let links stay inside the site."""
    place = FOLDER / f"{page}.md"
    source = COPIES.get(page, place)
    text[0] = source.read_text()
    shown = {path: FOLDER / f"{name}.md" for name, path in COPIES.items()}

    def moved(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / match[1]))
        return f"]({os.path.relpath(shown.get(target, target), place.parent)}"

    text[0] = re.sub(r"\]\(([\w./-]+\.\w+)(?=[)#])", moved, text[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Enter the directives and what changes texts."""
    app.connect("autodoc-process-docstring", escape_docstring)
    app.connect("source-read", link_inside)
    app.add_directive("namespace", Namespace)
    app.add_directive("shared", Shared)
    return {"parallel_read_safe": True}
