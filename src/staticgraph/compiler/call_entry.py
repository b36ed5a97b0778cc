"""The entry of a call: what stands between the caller's arrays and a program's runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oplibrary.messages.errors import out_of_memory
from oplibrary.values.tree import LEAF, Structure, unflatten
from oplibrary.values.types import Array
from staticgraph.backends.source import SourceWriter
from staticgraph.compiler.feeds import MISSING, Feed, convert_feeds
from staticgraph.program.polynomial import is_symbolic


def make_entry(
    feeds: Sequence[Feed], run: Callable[..., list[Array]], structure: Structure
) -> Callable[..., Any]:
    """Return a function that checks what it is passed, runs, and arranges the outputs.

    It is generated, with a test for each input: for arrays of the declared type it costs 70 ns an
    input. Whatever is not exactly that is left to `convert_feeds`.
    """
    writer = SourceWriter("call")
    names = [f"x{position}" for position in range(len(feeds))]
    for name in ("call", "rest", *names):
        writer.new_name(name)
    helpers = {"run": run, "missing": MISSING, "ndarray": np.ndarray, "unflatten": unflatten}
    helpers |= {
        "convert_feeds": convert_feeds,
        "feeds": tuple(feeds),
        "structure": structure,
        "memory_error": MemoryError,
        "out_of_memory": out_of_memory,
    }
    for name, helper in helpers.items():
        writer.bind(helper, name)
    tests = ["rest"]
    for name, feed in zip(names, feeds, strict=True):
        dtype = writer.dtype(feed.type.dtype)
        tests.append(f"type({name}) is not ndarray")
        tests.append(f"{name}.dtype is not {dtype} or {_other_shape(writer, name, feed)}")
        if feed.type.size > 1:  # one element is always in order
            tests.append(f"not {name}.flags.c_contiguous")
    parameters = "".join(f"{name}=missing, " for name in names)
    arguments = ", ".join(names)
    with writer.block(f"def call({parameters}*rest):"):
        with writer.block("try:"):  # which costs nothing
            with writer.block(f"if {' or '.join(tests)}:"):
                passed = f"({arguments}, *rest)" if names else "rest"
                converted = f"run(*convert_feeds(feeds, {passed}, {{}}))"
                writer.line(f"return {_arranged(converted, structure)}")
            writer.line(f"return {_arranged(f'run({arguments})', structure)}")
        with writer.block("except memory_error as error:"):
            writer.line('raise out_of_memory(error, "a run of the program") from None')
    call: Callable[..., Any] = writer.define("call")
    writer.show_lines(call)
    return call


def _other_shape(writer: SourceWriter, name: str, feed: Feed) -> str:
    """Return an expression that tells whether an array has another shape than a feed."""
    shape = feed.type.shape
    if not is_symbolic(shape):
        return f"{name}.shape != {writer.bind(shape, 'shape')}"
    # the run looks at the lengths that are not known
    known = [f"{name}.shape[{i}] != {n}" for i, n in enumerate(shape) if not is_symbolic(n)]
    return " or ".join([f"{name}.ndim != {len(shape)}", *known])


def _arranged(results: str, structure: Structure) -> str:
    """Return an expression that arranges the list `results` as the outputs were asked for."""
    if structure is LEAF:
        return f"{results}[0]"
    if structure is not None and all(child is LEAF for child in structure[2]):
        if structure[0] is list:
            return results
        if structure[0] is tuple:
            return f"tuple({results})"
    return f"unflatten(structure, {results})"
