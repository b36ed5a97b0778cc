"""Types, dtypes, and the structures that calls arrange values in."""
