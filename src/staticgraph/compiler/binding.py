"""Compile the regions of a program by the backend that compiles the program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from oplibrary.core.op import Kind
from staticgraph.backends.backend import Backend
from staticgraph.backends.registry import load_backend
from staticgraph.compiler.building import build_runner, plan_program
from staticgraph.control.region import BoundRegion, Region, Run, region_runner
from staticgraph.passes.pipeline import DEFAULT_PASSES, Pass, run_passes
from staticgraph.program.lengths import program_is_symbolic
from staticgraph.program.program import Program


def bind_regions(program: Program, backend: Backend, passes: Sequence[Pass]) -> Program:
    """Return the program with every region in it compiled, once each.

    A region is compiled as any program is, without a call's checks. Those inside of it come first,
    however deep they are, without a call for each level.
    """
    programs: dict[Region, Program] = {}
    bound: dict[Region, BoundRegion] = {}
    stack = _regions_in(program)
    while stack:
        region = stack[-1]
        if region in bound:
            stack.pop()
        elif region not in programs:
            programs[region] = run_passes(region.lower(), passes)
            stack += _regions_in(programs[region])
        else:
            inside = {each: bound[each] for each in _regions_in(programs[region])}
            bound[stack.pop()] = _bind(region, programs[region], inside, backend, passes)
    return _with_regions(program, bound)


def _bind(
    region: Region,
    program: Program,
    inside: Mapping[Region, BoundRegion],
    backend: Backend,
    passes: Sequence[Pass],
) -> BoundRegion:
    """Return a region with what runs it; those `inside` of it are bound once, however it lies."""
    program = _with_regions(program, inside)

    def build(program: Program) -> Run:
        return build_runner(backend, program, plan_program(backend, program)).call

    def build_for(strides: dict[int, tuple[int, ...]]) -> Run:
        lowered = region.lower()
        named = {lowered.inputs[position]: each for position, each in strides.items()}
        here = run_passes(replace(lowered, strides=named), passes)
        known = all(each in inside for each in _regions_in(here))
        return build(_with_regions(here, inside) if known else bind_regions(here, backend, passes))

    keeps = backend.keeps_layouts and not program_is_symbolic(program)
    bound = BoundRegion(region, lambda: build(program), program, build_for if keeps else None)
    if not backend.writes_control:
        bound.prepare()
    return bound


def _regions_in(program: Program) -> list[Region]:
    """Return the regions that the instructions of a program hold."""
    values = [
        v for i in program.instructions if i.op.kind is Kind.CONTROL for v in i.attrs.values()
    ]
    found: list[Region] = []
    while values:
        value = values.pop()
        if isinstance(value, Region):
            found.append(value)
        elif isinstance(value, tuple):
            values += value
    return found


def _with_regions(program: Program, bound: Mapping[Region, BoundRegion]) -> Program:
    """Return a program with what its regions are bound to in their place."""
    if not bound:
        return program

    def found(value: Any) -> Any:
        if isinstance(value, Region):
            return bound[value]
        return tuple([found(each) for each in value]) if isinstance(value, tuple) else value

    instructions = [
        replace(i, attrs={name: found(value) for name, value in i.attrs.items()})
        if i.op.kind is Kind.CONTROL
        else i
        for i in program.instructions
    ]
    return program.with_instructions(instructions)


def _run_alone(region: Region) -> BoundRegion:
    """Return what runs a region by itself."""
    backend = load_backend("numpy")
    program = bind_regions(run_passes(region.lower(), DEFAULT_PASSES), backend, DEFAULT_PASSES)
    return _bind(region, program, {}, backend, DEFAULT_PASSES)


region_runner.enter(_run_alone)
