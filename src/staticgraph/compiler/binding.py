"""Compile the regions of a program by the backend that compiles the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from oplibrary.core.op import Kind
from staticgraph.backends import load_backend
from staticgraph.compiler.runners import build_runner, plan_program
from staticgraph.control.region import BoundRegion, Region, region_runner
from staticgraph.passes.pipeline import DEFAULT_PASSES, Pass, run_passes
from staticgraph.program.program import Program


def bind_region(region: Region, backend: str, passes: Sequence[Pass] | None) -> BoundRegion:
    """Return `region` bound to a backend: as any program is compiled, without a call's checks."""
    program = run_passes(region.lower(), DEFAULT_PASSES if passes is None else passes)
    program = bind_regions(program, backend, passes)
    loaded = load_backend(backend)
    bound = BoundRegion(
        region, lambda: build_runner(loaded, program, plan_program(loaded, program)).call, program
    )
    if not getattr(loaded, "WRITES_CONTROL", False):
        bound.prepare()
    return bound


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


region_runner.enter(lambda region: bind_region(region, "numpy", None).run)
