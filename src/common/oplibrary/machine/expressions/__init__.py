"""Scalar expressions as instructions."""
