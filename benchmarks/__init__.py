"""Benchmarks: `make bench`. Each measures ratios within one run, since machines differ and are noisy."""

import os

# Servers are started while channels are open, and a program that is executed needs none of gRPC's care for forks. With it,
# gRPC writes into the tables that other threads were calling it. gRPC reads the variable when it is imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
