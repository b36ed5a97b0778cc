"""The fields of result files, read off the classes of results: ``docs/result_files.md``.

What a file holds beside the fields of the classes is found by writing a result in which nothing is
left out; each such key is a property of its class, whose docstring says what it is.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import numpy as np

from sidebyside.measuring.environment import RECORDED
from sidebyside.results.result import RENDERERS
from sidebyside.results.saved import contents  # noqa: F401  enters the kinds of results
from sidebyside.results.saved.file import FORMAT, KINDS, SCHEMA
from sidebyside.results.saved.rebuilding import NOT_KEPT, kept_fields

HEADER = {
    "format": f'always `"{FORMAT}"`',
    "schema": f"version of the format, {SCHEMA}: it changes when a key changes its meaning or goes",
    "result": "what the file holds: " + ", ".join(f'`"{kind}"`' for kind in KINDS),
}


WORDS = {"outcome": "ran"}
"""Fields that may hold some words alone."""


def filled(kind: Any) -> Any:
    """Return a value of a type with everything in it that may be left out."""
    arguments, origin = get_args(kind), get_origin(kind) or kind
    if dataclasses.is_dataclass(kind):
        values = {field.name: filled(hint) for field, hint in kept_fields(kind)}
        values |= {name: word for name, word in WORDS.items() if name in values}
        if "cells" in values:  # as each mode has one
            values["cells"] = (
                values["cells"][0],
                dataclasses.replace(values["cells"][1], mode="y"),
            )
        if "stages" in values:  # a decision, about one program
            whole = values["comparison"]
            values["comparison"] = dataclasses.replace(whole, rows=whole.rows[:1])
        return kind(**values)
    if origin in (tuple, list):
        whole = arguments if arguments[-1] is not Ellipsis else arguments[:1] * 2
        return origin(filled(each) for each in whole)
    if origin is Mapping:
        return {"x": filled(arguments[1])}
    if origin is np.ndarray:
        return np.ones(2)
    if type(None) in arguments:
        return filled(arguments[0])
    simple = {float: 1.0, int: 2, str: "x", bool: True}
    return simple.get(origin, 1.0)


def classes() -> list[Any]:
    """Return the classes that files are made of, each after those that hold it."""
    found: dict[Any, None] = {}

    def visit(kind: Any) -> None:
        if dataclasses.is_dataclass(kind) and kind not in found:
            found[kind] = None
            for _, hint in kept_fields(kind):
                visit(hint)
        for each in get_args(kind):
            visit(each)

    for kind in KINDS.values():
        visit(kind)
    return list(found)


def attributes(kind: Any) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of its attributes."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        section = inspect.cleandoc(each.__doc__ or "").partition("Attributes\n----------\n")[2]
        for block in re.split(r"\n(?=\w)", section):
            names, _, text = block.strip().partition("\n")
            for name in names.partition(" : ")[0].split(", "):
                if name:
                    found[name] = " ".join(text.split())
    return found


def type_text(kind: Any) -> str:
    """Return how a type stands in a file."""
    arguments, origin = get_args(kind), get_origin(kind) or kind
    if dataclasses.is_dataclass(kind):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if type(None) in arguments:
        return f"{type_text(arguments[0])} or null"
    if origin in (tuple, list) and arguments[-1] is not Ellipsis:
        return f"list of {' and '.join(map(type_text, arguments))}"
    if origin in (tuple, list):
        return f"list of {type_text(arguments[0])}"
    if origin is np.ndarray:
        return "list of number"
    if origin is Mapping:
        return "object" if arguments[1] is Any else f"object of {type_text(arguments[1])}"
    words = {float: "number", int: "whole number", str: "text", bool: "boolean"}
    return words.get(origin, "anything")


def derived(kind: Any, data: Mapping[str, Any]) -> dict[str, str]:
    """Return the keys of an object that are no fields, and what they are."""
    own = {field.name for field, _ in kept_fields(kind)}
    return {
        key: " ".join((getattr(kind, key).__doc__ or "").split())
        for key in data
        if key not in own and not (kind in KINDS.values() and key in HEADER)
    }


def written() -> dict[Any, dict[str, Any]]:
    """Return for each class an object of it as files have it, with all keys."""
    found: dict[Any, dict[str, Any]] = {}

    def visit(kind: Any, data: Any) -> None:
        if dataclasses.is_dataclass(kind) and isinstance(data, dict):
            found.setdefault(kind, data)
            for field, hint in kept_fields(kind):
                visit(hint, data[field.name])
        elif type(None) in get_args(kind):
            visit(get_args(kind)[0], data)
        elif isinstance(data, list):
            visit(get_args(kind)[0], data[0])

    for kind in KINDS.values():
        visit(kind, RENDERERS[kind].data(filled(kind)))
    return found


def result_files_page() -> str:
    """Return the page."""
    names = ", ".join(f"[{kind.__name__}](#{name})" for name, kind in KINDS.items())
    lines = [
        "# Files of results\n",
        f"A saved result is one JSON object (UTF-8), version {SCHEMA} of the format. `save` and "
        "`--save` write it, `to_json` and `--json` write the same, and `sidebyside.load` reads it "
        "whole: what is loaded prints, decides and compares as what was measured. Times are in "
        'seconds. A number that is not finite is text: `"Infinity"`, `"-Infinity"`, `"NaN"`.\n',
        "What is called derived follows from the rest; it is there for other readers, and nothing "
        "reads it back. A reader should leave alone keys that it does not know: new ones do not "
        "change the version.\n",
        f"## The outermost object\n\nOne of {names}, with these keys before its own:\n",
        "| key | | meaning |",
        "|---|---|---|",
        *(
            f"| `{key}` | {'whole number' if key == 'schema' else 'text'} | {text} |"
            for key, text in HEADER.items()
        ),
    ]
    objects = written()
    for kind in classes():
        told = attributes(kind)
        first = (kind.__doc__ or "").strip().split("\n")[0]
        lines += [f"\n## {kind.__name__}\n\n{first}\n", "| key | | meaning |", "|---|---|---|"]
        for field, hint in kept_fields(kind):
            meaning = told.get(field.name, "").replace("|", "\\|").replace("``", "`")
            lines.append(f"| `{field.name}` | {type_text(hint)} | {meaning} |")
        for key, meaning in derived(kind, objects[kind]).items():
            lines.append(f"| `{key}` | derived | {meaning.replace('``', '`')} |")
        for name, field in sorted(NOT_KEPT):
            if name == kind.__name__:
                lines.append(f"\n`{field}` is not kept.")
    lines += [
        "\n## The environment\n\n`environment` of a comparison has these keys, each if it is "
        "known:\n",
        "| key | meaning |",
        "|---|---|",
        *(f"| `{key}` | {meaning} |" for key, meaning in RECORDED.items()),
    ]
    return "\n".join(lines) + "\n"
