"""Functions that NumPy and SciPy have for compiled code, and that machine code calls."""
