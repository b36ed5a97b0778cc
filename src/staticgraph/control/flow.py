"""How an op runs its regions, from which a backend can make machine code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Loop:
    """A body that is run again and again, each time on what the step before gave.

    The operands are the first carries, then sequences, of which each step gets one position of
    axis 0, then values that are the same in every step. The results are the last carries, then a
    stack of each step's carries as they were before it, and of the body's further outputs.

    Attributes
    ----------
    body : BoundRegion
    carries, sequences : int
    condition : BoundRegion or None
        Gives one bool of what the body is given: whether there is another step.
    length : int or None
        The number of steps, where no condition decides it.
    reverse : bool
        Whether the steps go from the last position to the first.
    keep : tuple of bool
        For each output of the body whether it is stacked; empty where nothing is.
    max_steps : int or None
        More than that many steps are an error.
    """

    body: Any
    carries: int
    sequences: int = 0
    condition: Any = None
    length: int | None = None
    reverse: bool = False
    keep: tuple[bool, ...] = ()
    max_steps: int | None = None

    @property
    def regions(self) -> tuple[Any, ...]:
        """The regions, the body first."""
        return (self.body,) if self.condition is None else (self.body, self.condition)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several branches: the first operand is its number, the others are what it is given.

    A number below zero means the first branch, one past the end the last.

    Attributes
    ----------
    branches : tuple of BoundRegion
    """

    branches: tuple[Any, ...]

    @property
    def regions(self) -> tuple[Any, ...]:
        """The branches."""
        return self.branches


@dataclass(frozen=True, slots=True)
class Rewind:
    """A loop that is run again, and then gone back through from its last step to its first.

    The operands are the first carries, then values that are the same in every step, then what each
    step back takes and gives anew: the results are what the last one gives, the operands themselves
    where there is no step.

    Attributes
    ----------
    condition : BoundRegion
        Gives one bool of the carries and the values: whether there is another step.
    body : BoundRegion
        Gives the next carries, then what its step back reads of the step.
    pullback : BoundRegion
        A step back: it is given the carries as they were before the step, the values, what goes
        from step to step, and what the body gave for it.
    first : tuple of BoundRegion
        What the first steps back are in place of `pullback`. They read nothing of the body's.
    carries : int
    moving : int
        How many of the results are gradients of carries; the others are sums over the steps.
    max_steps : int or None
        More than that many steps are an error.
    """

    condition: Any
    body: Any
    pullback: Any
    first: tuple[Any, ...]
    carries: int
    moving: int
    max_steps: int | None = None

    @property
    def regions(self) -> tuple[Any, ...]:
        """The regions: the body first, those of the steps back last."""
        return self.body, self.condition, self.pullback, *self.first


Flow = Loop | Choice | Rewind
