"""Functions on functions, once for all executors: derivatives, and many examples at once."""
