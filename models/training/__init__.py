"""Trains a model on feature files: the loop and everything that it needs."""
