"""What NumPy's functions do with values of an executor."""
