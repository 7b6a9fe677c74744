"""Every source is found by its name and has the functions that jobs call."""

import inspect
from dataclasses import is_dataclass

import pytest

from pipelines.config import members
from pipelines.readers.source import Source
from pipelines.sources import load_source

FUNCTIONS = ("list_files", "read_rows", "read_documents")


@pytest.mark.parametrize("name", members("source"))
def test_every_source_has_options_and_functions_with_the_parameters_of_the_interface(name: str) -> None:
    source = load_source(name)
    assert is_dataclass(source.Options)
    for function in FUNCTIONS:
        expected = list(inspect.signature(getattr(Source, function)).parameters)[1:]  # without self
        assert list(inspect.signature(getattr(source, function)).parameters) == expected, function
