"""Results in files, and what several of them say together."""
