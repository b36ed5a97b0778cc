"""Complex numbers: moved as integers of their size, computed with as pairs of parts."""
