"""Figures of a profile: the memory over a call."""

from __future__ import annotations

from sidebyside.report.figures.comparison import WIDTH
from sidebyside.report.figures.drawing import Drawn, Values, colour_of, linear_axis, table
from sidebyside.results.profile import Profile


def profile_figures(profile: Profile) -> list[Drawn]:
    """Return the figures of a profile."""
    values: Values = [
        {"mode": mode.mode, "seconds": seconds, "bytes": size}
        for mode in profile.modes
        for seconds, size in mode.memory
    ]
    if not any(value["bytes"] for value in values):
        return []
    modes = [mode.mode for mode in profile.modes]
    layer = {
        **table(values),
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2},
        "encoding": {
            "x": linear_axis("seconds", "seconds", max(v["seconds"] for v in values), "s"),
            "y": linear_axis("bytes", "allocated", max(v["bytes"] for v in values), "B"),
            "color": colour_of("mode", modes),
        },
    }
    caption = (
        "Memory over a call, operation by operation: what is allocated at the end of each, "
        "and when that is."
    )
    return [Drawn(caption, {"width": WIDTH, "height": 220, "layer": [layer]})]
