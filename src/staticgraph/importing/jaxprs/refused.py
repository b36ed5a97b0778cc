"""JAX's primitives that are not in the table, and why: what the error of each says."""

from __future__ import annotations

from collections.abc import Iterator

_DEVICES = (
    "it speaks to other devices, and a program here runs on one",
    "import what one device computes",
)
_KEYS = (
    "JAX's random numbers are those of its own generators",
    "draw the random numbers outside, and pass them as an argument",
)
_WRITES = (
    "it reads or writes a reference, and a graph's values do not change",
    "return the new value",
)
_HOST = ("it calls Python while the program runs", "leave it out, or call it with the results")
_FUNCTION = (
    "the library does not have this function",
    "compute it outside, and pass it as an argument",
)
_OWN = (
    "its computation is a function of its own, which no loop here runs",
    "write it with jax.lax.scan",
)
_BITS = ("it reads the bits of numbers as those of another dtype", "write x.astype(dtype)")

_NAMES = {
    _DEVICES: """all_gather all_to_all axis_index pmax pmin ppermute psum ragged_all_to_all
    sharding_constraint after_all create_token""",
    _KEYS: """random_bits random_clone random_fold_in random_gamma random_seed random_split
    random_unwrap random_wrap threefry2x32 rng_bit_generator rng_uniform iota_2x32_shape""",
    _WRITES: "get swap addupdate empty2 stage dce_sink",
    _HOST: "debug_callback debug_print pure_callback io_callback",
    _FUNCTION: """igamma igamma_grad_a igammac regularized_incomplete_beta zeta clz mulhi
    hessenberg schur tridiagonal tridiagonal_solve reduce_xor ragged_dot_general
    cholesky_update""",
    _OWN: "reduce reduce_window select_and_scatter select_and_gather_add call custom_lin",
    _BITS: "bitcast_convert_type",
}


def _by_name() -> Iterator[tuple[str, tuple[str, str]]]:
    for reason, names in _NAMES.items():
        for name in names.split():
            yield name, reason


REFUSED: dict[str, tuple[str, str]] = dict(_by_name())
"""By the primitive's name: the cause, and what to write in its place."""
