"""Where raw documents come from: one module for each source, found by its name.

Every module has the interface of `pipelines.readers.source.Source`.
"""

from importlib import import_module
from typing import cast

from pipelines.readers.source import Source


def load_source(name: str) -> Source:
    """The module of the source that `source=name` chooses."""
    return cast(Source, import_module(f"{__name__}.{name}"))
