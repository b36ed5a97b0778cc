"""Workloads: programs with inputs, builtin ones and those of a user."""
