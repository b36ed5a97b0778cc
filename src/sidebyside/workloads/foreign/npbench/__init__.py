"""Stencils of NPBench, with gradients."""
