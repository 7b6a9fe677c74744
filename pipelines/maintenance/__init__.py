"""Fewer and larger files, and no unused ones."""
