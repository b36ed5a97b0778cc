"""Functions that are traced and compiled at their first call."""
