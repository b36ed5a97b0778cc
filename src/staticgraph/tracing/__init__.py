"""Functions that are traced and compiled at their first call, and what they read from outside."""
