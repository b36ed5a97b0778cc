"""Compile the regions of a program by the backend that compiles the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from oplibrary.core.op import Kind
from staticgraph.backends.backend import Backend
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.building import build_runner, plan_program
from staticgraph.control.region import BoundRegion, Region, region_runner
from staticgraph.passes.pipeline import DEFAULT_PASSES, Pass, run_passes
from staticgraph.program.program import Program


def bind_region(region: Region, backend: Backend, passes: Sequence[Pass]) -> BoundRegion:
    """Return `region` bound to a backend: as any program is compiled, without a call's checks."""
    program = bind_regions(run_passes(region.lower(), passes), backend, passes)
    bound = BoundRegion(
        region, lambda: build_runner(backend, program, plan_program(backend, program)).call, program
    )
    if not backend.writes_control:
        bound.prepare()
    return bound


def bind_regions(program: Program, backend: Backend, passes: Sequence[Pass]) -> Program:
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


region_runner.enter(lambda region: bind_region(region, load_backend("numpy"), DEFAULT_PASSES).run)
