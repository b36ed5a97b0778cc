"""Errors and warnings, and where in the user's code they point."""
