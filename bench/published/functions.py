"""Published functions and models of JAX: flax, equinox, optax and JAX's own examples."""

FUNCTIONS = {}
