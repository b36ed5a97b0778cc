"""Planning: which values are written to memory, by which loops, in which order, and where."""
