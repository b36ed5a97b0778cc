"""Benchmarks: pytest-benchmark suites, and `bench.ratios`, which checks promises."""
