"""Programs of GradBench, which took the first four from ADBench."""
