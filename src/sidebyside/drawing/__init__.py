"""Graphs and timelines of a workload in both modes."""
