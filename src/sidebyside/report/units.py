"""Numbers as a person reads them: seconds, bytes, ratios and their intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sidebyside.measuring.statistics import BreakEven, Estimate

NOTHING = "–"

_TIMES = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_BYTES = ((1, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))

LEAST_WRITTEN_OUT, MOST_WRITTEN_OUT = 1e-9, 1e12
"""Numbers outside of these have a power of ten: ends of intervals of a machine that is busy."""


def three_digits(value: float) -> str:
    """Return `value` with three digits that count.

    Examples
    --------
    >>> [three_digits(x) for x in (0.15634, 1.5, 23.46, 456.7, 12345.0, 0.0, 2e73)]
    ['0.156', '1.50', '23.5', '457', '12,345', '0', '2.00e+73']
    """
    if value == 0:
        return "0"
    if not LEAST_WRITTEN_OUT <= abs(value) < MOST_WRITTEN_OUT:
        return f"{value:.2e}"
    magnitude = math.floor(math.log10(abs(value)) + 1e-9)
    if f"{abs(value):.2e}".startswith("1.00"):  # 9.996 rounds up to the next power of ten
        magnitude = int(f"{abs(value):.2e}"[-3:])
    return f"{value:,.{max(0, 2 - magnitude)}f}"


def _unit(value: float, units: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    chosen = units[0]
    for scale, name in units:
        if abs(value) >= scale * 0.9995:
            chosen = (scale, name)
    return chosen


def scale_of(value: float) -> float:
    """Return the seconds of the unit that a time is shown in.

    Examples
    --------
    >>> scale_of(0.0123)
    0.001
    """
    return _unit(value, _TIMES)[0]


def seconds(value: float) -> str:
    """Return a time.

    Examples
    --------
    >>> seconds(2.5e-7), seconds(0.0123), seconds(65)
    ('250 ns', '12.3 ms', '65.0 s')
    """
    scale, name = _unit(value, _TIMES)
    return f"{three_digits(value / scale)} {name}"


def seconds_with_interval(estimate: Estimate) -> str:
    """Return a time with its interval, ``12.3 ms (12.1–12.6)``."""
    scale, name = _unit(estimate.value, _TIMES)
    return f"{three_digits(estimate.value / scale)} {name} {interval(estimate, scale)}"


def signed_with_interval(estimate: Estimate) -> str:
    """Return a difference of times with its interval.

    Examples
    --------
    >>> signed_with_interval(Estimate(-1.5e-6, -1.7e-6, -1.3e-6, 0.99, 8))
    '−1.50 µs (−1.70 to −1.30)'
    """
    scale, name = _unit(estimate.value, _TIMES)
    ends = f"{signed(estimate.low / scale)} to {signed(estimate.high / scale)}"
    note = "" if estimate.known else f", {estimate.count} runs"
    return f"{signed(estimate.value / scale)} {name} ({ends}{note})"


def signed(value: float) -> str:
    """Return a number with three digits that count, and its sign.

    Examples
    --------
    >>> signed(1.5), signed(-1.5), signed(0.0)
    ('+1.50', '−1.50', '0')
    """
    sign = "" if value == 0 else "−" if value < 0 else "+"
    return f"{sign}{three_digits(abs(value))}"


def interval(estimate: Estimate, scale: float = 1.0) -> str:
    """Return the interval of an estimate, in units of `scale`.

    Where there are too few samples for one, their range and number are shown.

    Examples
    --------
    >>> from sidebyside.measuring.statistics import median_estimate
    >>> interval(median_estimate(range(1, 10))), interval(median_estimate([1, 2, 3]))
    ('(1.00–9.00)', '(1.00–3.00 in 3 runs)')
    """
    if estimate.count == 1:
        return "(1 run)"
    note = "" if estimate.known else f" in {estimate.count} runs"
    return f"({three_digits(estimate.low / scale)}–{three_digits(estimate.high / scale)}{note})"


def size_in_bytes(value: float) -> str:
    """Return a number of bytes.

    Examples
    --------
    >>> size_in_bytes(0), size_in_bytes(4096), size_in_bytes(16e6)
    ('0 B', '4.10 kB', '16.0 MB')
    """
    scale, name = _unit(value, _BYTES)
    if scale == 1:
        return f"{value:.0f} B"
    return f"{three_digits(value / scale)} {name}"


def factor(value: float) -> str:
    """Return a factor: two decimals from 0.1 to 10, else digits that count.

    Examples
    --------
    >>> factor(0.1534), factor(1.0), factor(12.34), factor(1234.5), factor(0.01234)
    ('0.15', '1.00', '12.3', '1,234', '0.0123')
    """
    return f"{value:.2f}" if 0.095 < value < 9.995 else three_digits(value)


def times(value: float) -> str:
    """Return a factor with its sign, ``12.3x``."""
    return f"{factor(value)}x"


def times_with_interval(estimate: Estimate) -> str:
    """Return a factor with its interval, ``12.3x (12.1–12.6)``; of one run there is none."""
    if estimate.count == 1:
        return f"{times(estimate.value)} (1 run)"
    return f"{times(estimate.value)} ({factor(estimate.low)}–{factor(estimate.high)})"


def percent(part: float) -> str:
    """Return a part in per cent, to two digits that count.

    Examples
    --------
    >>> percent(0.0123), percent(0.4), percent(12.0)
    ('1.2%', '40%', '1200%')
    """
    return f"{float(f'{100 * part:.2g}'):g}%"


LARGEST_UNSEEN = 1000.0
"""The largest factor that a sentence names as what cannot be seen."""


def unseen(part: float) -> str:
    """Return what is too small a relative difference to be seen, in words.

    Examples
    --------
    >>> unseen(0.04), unseen(12.0), unseen(284.0), unseen(5.3e5)
    ('a difference under 4%', 'a factor under 13', 'a factor under 280', 'even a factor of 1,000')
    """
    if part < 1:
        return f"a difference under {percent(part)}"
    if part >= LARGEST_UNSEEN:
        return "even a factor of 1,000"
    return f"a factor under {float(f'{1 + part:.2g}'):,g}"


def calls(value: float) -> str:
    """Return a number of calls, to three digits; ``never`` where it is infinite.

    Examples
    --------
    >>> calls(7.0), calls(12345.0), calls(float("inf"))
    ('7', '12,300', 'never')
    """
    if math.isinf(value):
        return "never"
    if value >= 1000:
        value = float(f"{value:.3g}")
    return f"{value:,.0f}"


def amount(value: float) -> str:
    """Return a size, or the value of a parameter, to three digits.

    Examples
    --------
    >>> amount(12345.0), amount(7.0), amount(0.00123)
    ('12,300', '7', '0.00123')
    """
    return calls(value) if value >= 1000 else f"{value:.3g}"


def break_even(value: BreakEven | None) -> str:
    """Return a break-even with its interval, ``57 (50–64)``."""
    if value is None:
        return NOTHING
    if not value.known:
        return "no sure gain"
    if value.never:
        return "never"
    if value.at_once:
        return "at once"
    return f"{calls(value.calls)} ({calls(value.low)}–{calls(value.high)})"


UNITS: dict[str, Callable[[Any], str]] = {
    "": str,
    "1": lambda count: f"{count:,}",
    "%": lambda part: f"{part:.1%}",
    "s": lambda x: seconds(x.value if isinstance(x, Estimate) else x),
    "s±": seconds_with_interval,
    "x": times,
    "x±": times_with_interval,
    "B": size_in_bytes,
    "calls±": break_even,
    "G": lambda count: three_digits(count / 1e9),
}
"""How a value of each unit is shown; ``±`` stands for an estimate with its interval."""


def in_unit(value: Any, unit: str) -> str:
    """Return a value as its unit is shown.

    Examples
    --------
    >>> in_unit(0.25, "%"), in_unit(4096, "B"), in_unit(None, "s")
    ('25.0%', '4.10 kB', '–')
    """
    return NOTHING if value in (None, "") else UNITS[unit](value)
