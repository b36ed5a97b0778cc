"""TensorFlow's ops that draw random numbers, here of keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from staticgraph.importing.graphdefs.ops.table import entry, lengths, number

_SEEDS = "T seed seed2"
_STATELESS = "T Tseed seed"
_COUNTED = "Tshape key counter alg"


def _uniform(xp: Any, shape: Any, dtype: Any, draw: Any) -> Any:
    return draw(lambda key: xp.uniform(key, lengths(shape), dtype=dtype))


def _normal(xp: Any, shape: Any, dtype: Any, draw: Any) -> Any:
    return draw(lambda key: xp.normal(key, lengths(shape), dtype=dtype))


def _truncated(xp: Any, shape: Any, dtype: Any, draw: Any) -> Any:
    return draw(lambda key: xp.truncated_normal(key, -2.0, 2.0, lengths(shape), dtype=dtype))


for each, made in (("Uniform", _uniform), ("StandardNormal", _normal), ("", _truncated)):
    entry(f"Random{each}" if each else "TruncatedNormal", ignored=_SEEDS)(made)
for each, made in (("RandomUniform", _uniform), ("RandomNormal", _normal), ("", _truncated)):
    entry(f"Stateless{each or 'TruncatedNormal'}", ignored=_STATELESS)(made)
    entry(f"Stateless{each or 'TruncatedNormal'}V2", ignored=_COUNTED)(made)


def _whole(xp: Any, shape: Any, minval: Any, maxval: Any, draw: Any) -> Any:
    low, high = number(minval, "limit"), number(maxval, "limit")
    return draw(lambda key: xp.randint(key, lengths(shape), low, high))


entry("RandomUniformInt", ignored="T Tout seed seed2")(_whole)
entry("StatelessRandomUniformInt", ignored="dtype T Tseed seed")(_whole)
entry("StatelessRandomUniformIntV2", ignored="dtype Tshape key counter alg")(_whole)


@entry("StatelessRandomGetKeyCounter", ignored="seed Tseed")
def _key_and_counter(xp: Any) -> Any:
    """Return nothing that is read: what draws has a key of its own."""
    return [np.zeros(1, "uint64"), np.zeros(2, "uint64")]


@entry("StatelessRandomGetAlg", ignored="")
def _algorithm(xp: Any) -> Any:
    return np.zeros((), "int32")


@entry("StatelessRandomGetKeyCounterAlg", ignored="seed Tseed")
def _key_counter_and_algorithm(xp: Any) -> Any:
    return [*_key_and_counter(xp), _algorithm(xp)]
