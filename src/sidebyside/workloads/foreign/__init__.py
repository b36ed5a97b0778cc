"""Programs of others' studies, written anew from their definitions; none is part of the table.

Their data is made by a seed, in the shapes that the study names. `FOREIGN` has them by name; a
module is imported when one of its programs is asked for.
"""

from __future__ import annotations

from sidebyside.workloads.registry import enter

_MODULES = {
    "tensorflow.l2hmc": ("l2hmc",),
    "tensorflow.mnist_linear": ("mnist_linear",),
    "tensorflow.tree_lstm": ("tree_lstm", "tree_lstm_fixed"),
    "gradbench.gaussian_mixture": ("gmm",),
    "gradbench.diagonal_lstm": ("lstm",),
    "gradbench.bundle_adjustment": ("ba",),
    "gradbench.hand_tracking": ("ht",),
    "gradbench.kmeans": ("kmeans",),
    "gradbench.log_sum_exp": ("lse",),
    "gradbench.runge_kutta": ("ode",),
    "gradbench.minors": ("det",),
    "gradbench.saddle_point": ("saddle",),
    "npbench.jacobi": ("jacobi_1d", "jacobi_2d", "heat_3d"),
    "npbench.seidel": ("seidel_2d",),
    "npbench.waves": ("fdtd_2d",),
    "npbench.diffusion": ("hdiff",),
    "sine_chain": ("sine_chain",),
    "perceptron": ("d2l_mlp",),
    "language_model": ("gpt",),
}
"""Which programs each module defines, as Workloads that are named like them in capitals."""

FOREIGN = tuple(name for names in _MODULES.values() for name in names)
"""Every one of them, in the order in which they are shown."""

for _module, _names in _MODULES.items():
    for _name in _names:
        enter(_name, f"{__name__}.{_module}", _name.upper())
