"""What a comparison is about: one program with its inputs, and the modes that are to run it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import numpy as np

from oplibrary.messages.errors import ArgumentError, WorkloadError
from oplibrary.values.dtypes import is_numeric
from oplibrary.values.types import Array
from sidebyside.measuring.travel import pack
from sidebyside.modes import Mode
from sidebyside.modes.own_code import of_variants
from sidebyside.workloads.workload import Workload, size_label


@dataclass(frozen=True)
class Subject:
    """One program of one size, and the modes by their labels.

    Attributes
    ----------
    workload : Workload
    inputs : tuple
    modes : mapping of str to Mode
    given_size : any
    several : bool
        Whether the program is measured in several sizes.
    parameter : str
        What `given_size` is the value of: ``size``, or a parameter of the program.
    may_return_nothing : bool
        Whether it is a step that may return nothing.
    named : bool
        Whether the modes are found by their names in any process.
    """

    workload: Workload
    inputs: tuple[Any, ...]
    modes: Mapping[str, Mode]
    given_size: Any = None
    several: bool = False
    may_return_nothing: bool = False
    named: bool = True
    parameter: str = "size"

    @property
    def size(self) -> str:
        """The size as a person writes it."""
        return size_label(self.given_size)

    @property
    def label(self) -> str:
        """The name with the size."""
        return f"{self.workload.name} {self.size}".strip()

    def packed(self) -> bytes:
        """Return the program with its inputs as another process takes it.

        Raises
        ------
        CannotTravelError
        """
        return pack((self.workload, self.inputs))

    def packed_modes(self) -> dict[str, str | bytes]:
        """Return the modes as another process takes them.

        Raises
        ------
        CannotTravelError
        """
        if self.named:
            return {label: mode.name for label, mode in self.modes.items()}
        return {label: pack(mode) for label, mode in self.modes.items()}

    def numbers(self, results: list[Any]) -> list[Array]:
        """Return the results of the program, if there are any and all of them are numbers.

        Raises
        ------
        WorkloadError
            If not: there would be nothing to compare.
        """
        return numbers_of(results, self.may_return_nothing)


def numbers_of(results: Sequence[Any], may_be_none: bool = False) -> list[Array]:
    """Return the results of a call as arrays, if there are any and all of them are numbers.

    Raises
    ------
    WorkloadError
        If not: there would be nothing to compare.
    """
    if not results and not may_be_none:
        raise WorkloadError(
            "the program returns nothing",
            cause="modes are compared by what the program computes, and this is None",
            fix="return an array, or several in a tuple, list or dict",
        )
    arrays = list(map(np.asarray, results))
    for position, found in enumerate(arrays):
        if not is_numeric(found.dtype):
            raise _no_numbers(position, found.item() if found.ndim == 0 else found)
    return arrays


def _no_numbers(position: int, found: Any) -> WorkloadError:
    """Return the error about a result that holds no numbers."""
    text = " ".join(repr(found).split())
    text = text if len(text) <= 60 else f"{text[:57]}..."
    fix = "return arrays only, in tuples, lists or dicts if there are several"
    if inspect.iscoroutine(found):
        found.close()  # else Python complains that nobody has waited for it
        fix = "measure what waits for it, such as lambda *inputs: asyncio.run(program(*inputs))"
    elif inspect.isgenerator(found):
        fix = "measure what takes all that it gives, such as lambda *inputs: list(program(*inputs))"
    elif is_dataclass(found):
        fix = "measure what returns its fields, such as lambda *inputs: asdict(program(*inputs))"
    return WorkloadError(
        f"result {position} of the program is no array of numbers, but {text}",
        cause="modes are compared by the numbers that the program computes",
        fix=fix,
    )


def each_once(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return what is named, once each, in the order in which it is named first."""
    values = tuple(values)
    return tuple(each for position, each in enumerate(values) if each not in values[:position])


def distinct_programs(workloads: Sequence[Workload]) -> list[Workload]:
    """Return programs whose names tell their rows apart: those of one name get that of their file.

    Raises
    ------
    ArgumentError
        If one program is named twice.
    """
    names = [each.name for each in workloads]
    found: list[Workload] = []
    for each in workloads:
        if names.count(each.name) > 1 and each.path:
            each = replace(each, name=f"{each.path}:{each.name}")
        if any(each is other or (each.name, each.path) == _known(other) for other in found):
            raise ArgumentError(
                f"{each.name} is named twice",
                cause="a row is a program of one size, and both would be called the same",
                fix="name it once; a mode that is named twice, as dynamic,dynamic, is compared "
                "with itself; give programs of your own names that differ",
            )
        found.append(each)
    return found


def _known(workload: Workload) -> tuple[str, str]:
    return workload.name, workload.path


Variants = Mapping[str, Callable[[], Callable[[], Any]]]
"""Functions that make fresh state and return a step, by the names of their modes."""


def subject_of(variants: Variants) -> Subject:
    """Return the subject of functions that make steps, each a mode.

    Raises
    ------
    ArgumentError
        If there are none, or something is no function.
    """
    if not variants:
        raise ArgumentError(
            "no variants", cause="there is nothing to compare", fix="pass at least two functions"
        )
    for name, make in variants.items():
        if not callable(make):
            raise ArgumentError(
                f"the variant {name!r} is a {type(make).__name__}",
                cause="a variant is a function that makes fresh state and returns a step",
                fix=f"pass it as {{{name!r}: lambda: step}}",
            )
    first = next(iter(variants.values()))
    workload = Workload(first, inputs=lambda rng, size: (), name="your code")
    modes = of_variants(variants)
    return Subject(workload, (), modes, may_return_nothing=True, named=False)
