"""The compiler's passes, one a file: pure functions from a program to a program."""

from staticgraph.passes.pipeline import (
    DEFAULT_PASSES,
    Observer,
    Pass,
    PassRecord,
    pass_name,
    run_passes,
    without,
)

__all__ = [
    "DEFAULT_PASSES",
    "Observer",
    "Pass",
    "PassRecord",
    "pass_name",
    "run_passes",
    "without",
]
