"""Studies: what is measured, and in which order."""
