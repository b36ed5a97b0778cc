"""Who is to blame: the errors of passes and backends that change what a program computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oplibrary.messages.errors import PassError
from oplibrary.messages.source import Source
from staticgraph.debugging.difference import Difference
from staticgraph.debugging.frame import call_text
from staticgraph.debugging.units import Unit
from staticgraph.program.program import Instruction, Program, Value

Key = tuple[str, int, Value]
"""What was computed: the path of the unit, its step, and the value."""

Found = dict[tuple[str, Value], tuple[Unit, Instruction]]
"""What computes a value, by the path of its unit."""


@contextmanager
def blamed(what: str, fix: str) -> Iterator[None]:
    """Turn whatever the block raises into an error that names who is to blame."""
    try:
        yield
    except PassError as error:
        error.fix = fix
        raise
    except Exception as error:
        source: Source | None = getattr(error, "source", None)
        raise PassError(
            f"{what} failed: {getattr(error, 'what', None) or error}",
            cause="the program ran as it was declared",
            fix=fix,
            source=source,
        ) from error


def _source(instruction: Instruction) -> Source | None:
    return instruction.sources[0] if instruction.sources else None


def value_changed(
    what: str,
    now: Found,
    before: Found,
    key: Key,
    difference: Difference | None,
    fix: str,
) -> PassError:
    """Return the error of an instruction whose value was another one before."""
    path, step, value = key
    unit, instruction = now[path, value]
    old_unit, old = before[path, value]
    where = f" in {path}, step {step}" if path else ""
    new_call, old_call = call_text(instruction, unit.names), call_text(old, old_unit.names)
    cause = f"{unit.names[value]} is computed by {new_call}"
    if new_call != old_call:
        cause += f"; before, it was by {old_call}"
    return PassError(
        f"{what} changed {unit.names[value]}{where}: {difference.text if difference else 'it'}",
        cause=cause,
        fix=fix,
        source=_source(old) or _source(instruction),
    )


def result_changed(
    what: str,
    program: Program,
    position: int,
    difference: Difference,
    fix: str,
) -> PassError:
    """Return the error of a result that no instruction known before computes."""
    value = program.results[position]
    maker = next((each for each in program.instructions if each.output is value), None)
    after = position - len(program.outputs)
    kind = f"output {position}" if after < 0 else f"variable {program.updates[after][0].name}"
    cause = f"it is {value.name or 'a value'}, which no instruction computes"
    if maker is not None:
        cause = f"{maker.op.name} computes it"
    return PassError(
        f"{what} changed {kind}: {difference.text}",
        cause=cause,
        fix=fix,
        source=None if maker is None else _source(maker),
    )
