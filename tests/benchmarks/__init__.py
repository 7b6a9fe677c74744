"""Figures, never verdicts: `make bench`, or `python -m tests.benchmarks <name> …`."""
