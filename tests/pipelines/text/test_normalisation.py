"""Texts have one normal form, whether they are normalised one by one or as an array."""

import pyarrow as pa
import pytest

from pipelines.text.normalisation import normalise_array, normalise_text
from tests.pipelines.text.test_tokenizer import TEXTS


@pytest.mark.parametrize(
    ("raw", "normal"),
    [("e\u0301", "é"), ("a\x00b\x9fc", "abc"), (" a\t\n\u2003b ", "a b"), ("\x07", ""), ("a\x85b", "a b")],
)
def test_control_characters_decomposition_and_white_space_are_normalised(raw: str, normal: str) -> None:
    assert normalise_text(raw) == normal
    assert normalise_text(normal) == normal


def test_an_array_is_normalised_like_each_of_its_texts() -> None:
    edges = ["", " ", "a", " a", "a ", "a b", "a  b", "a\tb", "a\x7fb", "a\u00a0b", "~", "", "x"]
    texts = pa.array([*TEXTS, *edges, "a b c"] * 3)
    for part in (texts, texts.slice(2, 17), texts.slice(0, 0), pa.array(["clean already", ""])):
        assert normalise_array(part).to_pylist() == [normalise_text(text) for text in part.to_pylist()]
