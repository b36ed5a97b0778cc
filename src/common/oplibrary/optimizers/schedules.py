"""Schedules: a learning rate, or another number, as a function of the number of steps made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

from oplibrary.messages.errors import ArgumentError
from oplibrary.ops.arguments import require_int, require_number
from oplibrary.ops.comparison import greater_equal, less
from oplibrary.ops.elementwise import add, clip, divide, multiply, pow, subtract, where
from oplibrary.ops.rounding import floor
from oplibrary.ops.trigonometry import cos
from oplibrary.optimizers.transformation import Schedule


def _steps(function: str, name: str, value: Any, least: int = 1) -> int:
    steps = require_int(value, name)
    if steps < least:
        raise ArgumentError(
            f"{function}: {name} is {steps}",
            cause="it counts steps",
            fix=f"pass {name}=100, or another number of at least {least}",
        )
    return steps


def _numbers(**numbers: Any) -> None:
    for name, value in numbers.items():
        require_number(value, name)


def _fraction(count: Any, steps: int, begin: int = 0) -> Any:
    """Return which part of the steps is over, 0 to 1, float64."""
    return clip(divide(subtract(count, begin), float(steps)), min=0.0, max=1.0)


def constant_schedule(value: float) -> Schedule:
    """Return the schedule that is `value` in every step."""
    _numbers(value=value)
    return lambda count: add(multiply(count, 0.0), value)


def linear_schedule(
    init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """Return the schedule that goes from `init_value` to `end_value` in equal steps.

    Parameters
    ----------
    init_value, end_value : float
    transition_steps : int
        In how many steps.
    transition_begin : int
        After how many.

    Examples
    --------
    >>> [float(linear_schedule(1.0, 0.0, 4)(step)) for step in (0, 1, 2, 8)]
    [1.0, 0.75, 0.5, 0.0]
    """
    _numbers(init_value=init_value, end_value=end_value)
    steps = _steps("linear_schedule", "transition_steps", transition_steps)
    begin = _steps("linear_schedule", "transition_begin", transition_begin, 0)

    def schedule(count: Any) -> Any:
        done = _fraction(count, steps, begin)
        return add(multiply(subtract(1.0, done), init_value), multiply(done, end_value))

    return schedule


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """Return the schedule ``init_value * decay_rate ** (count / transition_steps)``.

    Parameters
    ----------
    init_value : float
    transition_steps : int
        After how many steps it has become `decay_rate` times as large.
    decay_rate : float
        Positive.
    transition_begin : int
        How many steps come before.
    staircase : bool
        Change every `transition_steps` steps only.
    end_value : float, optional
        Where it ends: from below if it grows, from above if it decays.
    """
    _numbers(init_value=init_value, decay_rate=decay_rate)
    steps = _steps("exponential_decay", "transition_steps", transition_steps)
    begin = _steps("exponential_decay", "transition_begin", transition_begin, 0)
    if not decay_rate > 0:
        raise ArgumentError(
            f"exponential_decay: decay_rate is {decay_rate}",
            cause="it is raised to powers that are no whole numbers",
            fix="pass decay_rate=0.9, or another positive number",
        )
    if end_value is not None:
        _numbers(end_value=end_value)

    def schedule(count: Any) -> Any:
        power = clip(divide(subtract(count, begin), float(steps)), min=0.0)
        value = multiply(pow(float(decay_rate), floor(power) if staircase else power), init_value)
        if end_value is None:
            return value
        return clip(value, **{"min" if decay_rate < 1 else "max": float(end_value)})

    return schedule


def cosine_decay_schedule(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """Return the schedule that falls from `init_value` to ``alpha * init_value`` along a cosine.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017).
    """
    _numbers(init_value=init_value, alpha=alpha, exponent=exponent)
    steps = _steps("cosine_decay_schedule", "decay_steps", decay_steps)

    def schedule(count: Any) -> Any:
        wave = multiply(add(cos(multiply(_fraction(count, steps), pi)), 1.0), 0.5)
        if exponent != 1:
            wave = pow(wave, float(exponent))
        return multiply(add(multiply(wave, 1.0 - alpha), alpha), init_value)

    return schedule


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
) -> Schedule:
    """Return the schedule that rises to a peak in equal steps, then falls along a cosine.

    Parameters
    ----------
    init_value, peak_value, end_value : float
    warmup_steps : int
        In how many steps it rises.
    decay_steps : int
        After how many steps in all it has fallen to `end_value`.
    """
    _numbers(peak_value=peak_value, end_value=end_value)
    name = "warmup_cosine_decay_schedule"
    warmup = _steps(name, "warmup_steps", warmup_steps, 0)
    fall = _steps(name, "decay_steps", decay_steps, warmup + 1) - warmup
    alpha = end_value / peak_value if peak_value else 0.0
    down = cosine_decay_schedule(peak_value, fall, alpha)
    if not warmup:
        return down
    return join_schedules([linear_schedule(init_value, peak_value, warmup), down], [warmup])


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float]
) -> Schedule:
    """Return the schedule that is multiplied with a number at each of some steps.

    Examples
    --------
    >>> schedule = piecewise_constant_schedule(1.0, {2: 0.5, 4: 0.1})
    >>> [float(schedule(step)) for step in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.05, 0.05]
    """
    _numbers(init_value=init_value)
    for step, factor in boundaries_and_scales.items():
        _steps("piecewise_constant_schedule", "a boundary", step, 0)
        _numbers(scale=factor)

    def schedule(count: Any) -> Any:
        value = constant_schedule(init_value)(count)
        for step, factor in sorted(boundaries_and_scales.items()):
            value = where(greater_equal(count, step), multiply(value, factor), value)
        return value

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Return the schedule that goes on with the next one at each of the boundaries.

    Parameters
    ----------
    schedules : sequence of callable
        Each counts from its own beginning.
    boundaries : sequence of int
        The steps at which the second, the third, ... begins.

    Raises
    ------
    ArgumentError
        If there is not one schedule more than boundaries.
    """
    schedules, boundaries = list(schedules), list(boundaries)
    if len(schedules) != len(boundaries) + 1:
        raise ArgumentError(
            f"join_schedules: {len(schedules)} schedules and {len(boundaries)} boundaries",
            cause="there is a boundary between any two that follow each other",
            fix="pass one boundary less than schedules",
        )

    def schedule(count: Any) -> Any:
        value = schedules[0](count)
        for each, begin in zip(schedules[1:], boundaries, strict=True):
            value = where(less(count, begin), value, each(subtract(count, begin)))
        return value

    return schedule
