"""The op library and everything that both executors must agree on. Loads NumPy only."""
