"""The failure of an instruction, told in the user's terms."""

from __future__ import annotations

from typing import NoReturn

from oplibrary.core.refusals import class_of_refusal
from oplibrary.messages.errors import OutOfMemoryError, SideBySideError
from staticgraph.program.program import Instruction

_RUN = "run"
"""What the line that runs the program is called, behind the line that declared what failed."""


def raise_explained(instruction: Instruction, error: Exception) -> NoReturn:
    """Raise the error that says why `instruction` failed with `error`."""
    explained = explain_failure(instruction, error)
    if explained is error:
        raise explained
    raise explained from error


def explain_failure(instruction: Instruction, error: Exception) -> Exception:
    """Return the error to raise where `instruction` failed with `error`.

    It names the op, the types of its operands, and every line that declared it. The class of an
    error that a kernel raised on purpose is kept. Where a branch or the body of a loop failed, the
    instruction is that of the control flow, and its line comes after the inner one.
    """
    op = instruction.op
    if isinstance(error, SideBySideError) and any(label == _RUN for label, _ in error.related):
        error.related += tuple((f"inside {op.name}", source) for source in instruction.sources[:1])
        return error
    call = f"{op.name}({', '.join(repr(value.type) for value in instruction.inputs)})"
    if isinstance(error, SideBySideError):
        return _located(error.with_context(op.name), instruction)
    kind = class_of_refusal(error)
    cause = "the kernel refused these values; their types were right when the graph was declared"
    fix = "check the values fed to this run; compile(..., debug=True) shows those of each step"
    if isinstance(error, IndexError):
        cause, fix = "", ""
    elif isinstance(error, MemoryError):
        kind, cause, fix = OutOfMemoryError, "", ""
    elif isinstance(error, FloatingPointError):
        cause = "NumPy was told to raise on this condition, by errstate or seterr"
        fix = 'keep the operands inside the domain, or use errstate(all="ignore")'
    return _located(kind(f"{call}: {error}", cause=cause, fix=fix), instruction)


def _located(error: SideBySideError, instruction: Instruction) -> SideBySideError:
    """Return `error` pointing at the declaration first, and at the running line after it."""
    if instruction.sources:
        declared, *others = instruction.sources
        also = tuple(("also declared", source) for source in others)
        error.related = (*also, (_RUN, error.source), *error.related)
        error.source = declared
    return error
