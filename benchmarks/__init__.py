"""Benchmarks: `make bench`. Each measures ratios within one run, since machines differ and are noisy."""
