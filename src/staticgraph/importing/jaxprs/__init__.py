"""JAX's functions, read through their jaxprs."""
