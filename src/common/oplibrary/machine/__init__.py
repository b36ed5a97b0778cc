"""Machine code for scalar expressions: its generation, its pool of threads, its cache on disk."""
