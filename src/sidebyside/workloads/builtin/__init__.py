"""The builtin workloads: one program a file, each of which defines ``WORKLOAD``."""

from __future__ import annotations

from sidebyside.workloads.registry import enter

BUILTIN = (
    "seed",
    "chain",
    "layernorm_softmax",
    "mlp_digits",
    "cnn_digits",
    "lstm_text",
    "attention",
    "mlp",
    "control_flow",
)
"""Every one of them, in the order in which they are shown."""

for _name in BUILTIN:
    enter(_name, f"{__name__}.{_name}")
