"""Compile the regions of a program by the backend that compiles the program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from oplibrary.core.op import Kind
from oplibrary.core.types import Array
from oplibrary.messages.errors import FeedError
from staticgraph.compiler.runners import build_runner, plan_program
from staticgraph.control.region import Region
from staticgraph.passes.pipeline import DEFAULT_PASSES, Pass, run_passes
from staticgraph.program.program import Program


class BoundRegion:
    """A region with what runs it, in an instruction's attributes.

    Parameters
    ----------
    region : Region
    build : callable
        Returns what runs it: that takes row-major arrays of its input types, and gives a sequence
        of arrays.
    program : Program, optional
        The region after the passes, its own regions bound.

    Attributes
    ----------
    region : Region
    program : Program or None
    input_types, output_types : tuple of TensorType
    """

    __slots__ = ("_build", "_run", "input_types", "output_types", "program", "region")

    def __init__(
        self,
        region: Region,
        build: Callable[[], Callable[..., Sequence[Array]]],
        program: Program | None = None,
    ) -> None:
        self.region = region
        self.program = program
        self.input_types = region.input_types
        self.output_types = region.output_types
        self._build = build
        self._run: Callable[..., Sequence[Array]] | None = None

    @property
    def run(self) -> Callable[..., Sequence[Array]]:
        """What runs the region; built when it is first asked for."""
        return self._run or self.prepare()

    def prepare(self) -> Callable[..., Sequence[Array]]:
        """Build what runs the region, and return it."""
        self._run = self._build()
        return self._run

    def __repr__(self) -> str:
        return repr(self.region)


def bind_region(region: Region, backend: str, passes: Sequence[Pass] | None) -> BoundRegion:
    """Return `region` bound to a backend: as any program is compiled, without a call's checks."""
    from staticgraph.backends import load_backend

    program = run_passes(lower_region(region), DEFAULT_PASSES if passes is None else passes)
    program = bind_regions(program, backend, passes)
    loaded = load_backend(backend)
    bound = BoundRegion(
        region, lambda: build_runner(loaded, program, plan_program(loaded, program)).call, program
    )
    if not getattr(loaded, "WRITES_CONTROL", False):
        bound.prepare()
    return bound


def lower_region(region: Region) -> Program:
    """Return `region` as a program, before the passes and with regions of its own as they are.

    Raises
    ------
    FeedError
        If it assigns a variable.
    """
    from staticgraph.declare.lower import lower

    program = lower(region.graph, region.outputs, region.inputs, effects=not region.quiet)
    if program.updates:
        raise FeedError(
            "a variable is assigned inside a branch or a loop body",
            cause="assignments are made once, when a run ends",
            fix="carry the value through the loop, and assign the result",
        )
    return replace(program, owned=frozenset(program.inputs[: region.owned]))


def bind_regions(program: Program, backend: str, passes: Sequence[Pass] | None) -> Program:
    """Return the program with every region in it compiled, once each."""
    bound: dict[Region, BoundRegion] = {}

    def bind(value: Any) -> Any:
        if isinstance(value, Region):
            if value not in bound:
                bound[value] = bind_region(value, backend, passes)
            return bound[value]
        if isinstance(value, tuple):
            return tuple(map(bind, value))
        return value

    instructions = [
        replace(i, attrs={name: bind(value) for name, value in i.attrs.items()})
        if i.op.kind is Kind.CONTROL
        else i
        for i in program.instructions
    ]
    return program.with_instructions(instructions) if bound else program


def row_major(array: Array) -> Array:
    """Return `array` with its elements in row-major order, as regions expect them."""
    return array if array.flags.c_contiguous else np.array(array, order="C")
