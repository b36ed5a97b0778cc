"""Fingerprints: what tells a program from others that would become other machine code.

A program that is found again by its fingerprint needs no planning; see `image`.
"""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from oplibrary.core.op import Op
from oplibrary.core.registry import REGISTRY
from oplibrary.machine.pool import thread_count
from oplibrary.machine.target import host_target, load_llvm
from oplibrary.values.keys import exact_key
from oplibrary.values.types import TensorType
from staticgraph.control.region import BoundRegion, bound_regions
from staticgraph.program.program import Program, Value

_PACKAGES = ("oplibrary", "staticgraph")
_PLAIN = (str, bytes, int, float, complex, type(None), type(Ellipsis), np.dtype, np.generic)


class _Unknown(Exception):
    """Something that cannot be compared between processes."""


def fingerprint(program: Program) -> str | None:
    """Return the hash of a program, this library, the processor and the versions of what it uses.

    Constants count by their contents, values by their types and not by their names. It is None for
    a program with something in it that cannot be compared between processes, such as an op of the
    user's own. O(instructions, and bytes of the constants).
    """
    regions: dict[BoundRegion, str] = {}
    try:
        for region in bound_regions(program):
            if region.program is not None:
                regions[region] = _digest(region.program, regions)
        return _digest(program, regions)
    except _Unknown:
        return None


def _digest(program: Program, regions: Mapping[BoundRegion, str]) -> str:
    """Return the hash of a program, the regions in it told apart by theirs."""
    digest = hashlib.sha256(f"{_surroundings()} {thread_count()}".encode())
    for part in _parts(program, regions):
        digest.update(part)
    return digest.hexdigest()


def _parts(program: Program, regions: Mapping[BoundRegion, str]) -> Iterator[Any]:
    numbers: dict[Value, int] = {}

    def declared(value: Value) -> bytes:
        numbers[value] = len(numbers)
        return f"{_type_text(value.type)} {value in program.owned}\n".encode()

    for values in (program.inputs, program.variables, program.constants):
        yield b"".join(map(declared, values)) + b";"
    for array in program.constants.values():
        if array.dtype.hasobject:
            raise _Unknown
        yield f"{array.strides}".encode()
        yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    for each in program.instructions:
        read = [numbers[value] for value in each.inputs]
        attrs = [(name, _text(value, regions)) for name, value in each.attrs.items()]
        numbers[each.output] = len(numbers)
        yield f"{_op_text(each.op)} {read} {attrs} {_type_text(each.output.type)}\n".encode()
    places = {variable: number for number, variable in enumerate(program.variables.values())}
    updated = [places.get(variable, -1) for variable, _ in program.updates]
    yield f"{[numbers[value] for value in program.results]} {updated}".encode()


@lru_cache(4096)
def _type_text(type_: TensorType) -> str:
    return f"{type_!r} {type_.dtype.str}"  # the name of a dtype leaves out the order of bytes


def _op_text(op: Op) -> str:
    if REGISTRY.get(op.name) is op:
        return op.name
    module = getattr(op.kernel, "__module__", "")
    if (op.control or op.projection) and module.partition(".")[0] in _PACKAGES:
        return f"{module} {op.name}"
    raise _Unknown


def _text(value: Any, regions: Mapping[BoundRegion, str]) -> str:
    """Return a text that tells an attribute's value from others: 1 from 1.0, 0.0 from -0.0."""
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__} {exact_key(value)!r}"
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} [{', '.join([_text(each, regions) for each in value])}]"
    if isinstance(value, slice):
        return f"slice {_text((value.start, value.stop, value.step), regions)}"
    if isinstance(value, Mapping):
        return f"mapping {[(_text(k, regions), _text(v, regions)) for k, v in value.items()]}"
    if isinstance(value, TensorType):
        return _type_text(value)
    if isinstance(value, BoundRegion) and value in regions:
        return f"region {regions[value]}"
    raise _Unknown


@lru_cache(maxsize=1)
def _surroundings() -> str:
    """Return what is the same for all programs of a process."""
    target, llvm = host_target(), load_llvm()
    python = (sys.version, sysconfig.get_config_var("SOABI"))
    versions = [version(package) for package in ("numpy", "scipy", "llvmlite")]
    blas = os.environ.get("OPENBLAS_CORETYPE")  # which functions it takes, with the processor
    parts = (*python, *versions, llvm.llvm_version_info, target, blas, _library_hash())
    return "\n".join(map(str, parts))


def _library_hash() -> str:
    """Return the hash of this library's own source, so that no entry outlives a change of it."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        folder = Path(sys.modules[package].__file__ or "").parent
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{path.relative_to(folder)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
