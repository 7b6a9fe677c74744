"""Where raw documents come from: one module a source, found by its name."""

from importlib import import_module
from types import ModuleType


def source_module(name: str) -> ModuleType:
    """The module of the source `name`."""
    return import_module(f"pipelines.sources.{name}")
