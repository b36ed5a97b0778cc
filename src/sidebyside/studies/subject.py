"""What a comparison is about: one program with its inputs, and the modes that are to run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oplibrary.core.dtypes import is_numeric
from oplibrary.core.types import Array
from oplibrary.messages.errors import ArgumentError, WorkloadError
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
        if not results and not self.may_return_nothing:
            raise WorkloadError(
                "the program returns nothing",
                cause="modes are compared by what the program computes, and this is None",
                fix="return an array, or several in a tuple, list or dict",
            )
        arrays = list(map(np.asarray, results))
        for position, found in enumerate(arrays):
            if not is_numeric(found.dtype):
                raise WorkloadError(
                    f"result {position} of the program is no array of numbers, but {_shown(found)}",
                    cause="modes are compared by the numbers that the program computes",
                    fix="return arrays only, in tuples, lists or dicts if there are several",
                )
        return arrays


def _shown(found: Any) -> str:
    """Return what a result is that holds no numbers, in a few words."""
    text = repr(found.item() if found.ndim == 0 else found)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
