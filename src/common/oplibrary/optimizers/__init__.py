"""Optimisers as pure functions of a state, alike in every mode.

Examples
--------
>>> import numpy as np
>>> from oplibrary import optimizers
>>> optimizer = optimizers.chain(optimizers.clip_by_global_norm(1.0), optimizers.adam(0.1))
>>> parameters = {"w": np.array([3.0, -2.0])}
>>> state = optimizer.init(parameters)
>>> for _ in range(100):
...     gradients = {"w": 2 * parameters["w"]}
...     updates, state = optimizer.update(gradients, state, parameters)
...     parameters = optimizers.apply_updates(parameters, updates)
>>> bool(abs(parameters["w"]).max() < 0.05)
True
"""

from oplibrary.optimizers.algorithms import (
    adagrad,
    adam,
    adamw,
    lion,
    rmsprop,
    scale_by_adam,
    scale_by_lion,
    scale_by_rms,
    scale_by_sum_of_squares,
    sgd,
    trace,
)
from oplibrary.optimizers.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    warmup_cosine_decay_schedule,
)
from oplibrary.optimizers.transformation import (
    GradientTransformation,
    add_decayed_weights,
    apply_updates,
    chain,
    clip,
    clip_by_global_norm,
    global_norm,
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
)

__all__ = [
    "GradientTransformation",
    "adagrad",
    "adam",
    "adamw",
    "add_decayed_weights",
    "apply_updates",
    "chain",
    "clip",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "exponential_decay",
    "global_norm",
    "join_schedules",
    "linear_schedule",
    "lion",
    "piecewise_constant_schedule",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_schedule",
    "scale_by_sum_of_squares",
    "sgd",
    "trace",
    "warmup_cosine_decay_schedule",
]
