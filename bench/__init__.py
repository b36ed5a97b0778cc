"""Benchmarks: pytest-benchmark suites, and `bench.ratios`, which checks what the project promises."""
