"""Scores of bundles and the metrics computed from them."""
