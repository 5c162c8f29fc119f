"""Benchmarks: baseline and ours, interleaved in one run. Ratios count, machines are noisy."""
