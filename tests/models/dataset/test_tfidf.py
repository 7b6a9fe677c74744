"""TF-IDF weights equal scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from models.dataset.tfidf import Options, TfidfTransformer

WORDS = [f"w{number:02}" for number in range(25)]
SEEN = [" ".join(np.random.default_rng(number).zipf(1.5, 12).clip(1, 25).astype(str)) for number in range(12)]
SEEN = [" ".join(WORDS[int(number) - 1] for number in text.split()) for text in SEEN]
UNSEEN = ["", "unknown words only", f"w00 {'w01 ' * 7} unknown w24", "w03", ""]
VOCABULARIES: list[dict[str, Any]] = [{}, {"min_df": 3}, {"max_df": 0.5}, {"max_features": 6}]


def rows(counts: Any, ids: Any) -> tuple[Any, Any, Any]:
    """A matrix of counts as ids, counts and offsets; int32 counts, as the features hold them."""
    documents, columns = counts.nonzero()
    values = counts.toarray()[documents, columns].astype(np.int32)
    return ids[columns], values, np.searchsorted(documents, np.arange(counts.shape[0] + 1))


def dense(indices: Any, weights: Any, offsets: Any, terms: int) -> Any:
    matrix = np.zeros((len(offsets) - 1, terms))
    for number in range(len(matrix)):
        own = slice(offsets[number], offsets[number + 1])
        matrix[number, indices[own]] = weights[own]
    return matrix


@pytest.mark.parametrize("chosen", VOCABULARIES, ids=str)
@pytest.mark.parametrize("norm", ["l2", "none"])
@pytest.mark.parametrize("smooth", [True, False], ids=["smooth", "plain"])
@pytest.mark.parametrize("sublinear", [True, False], ids=["sublinear", "linear"])
def test_weights_equal_scikit_learns(sublinear: bool, smooth: bool, norm: str, chosen: dict[str, Any]) -> None:
    reference = TfidfVectorizer(
        sublinear_tf=sublinear, smooth_idf=smooth, norm=None if norm == "none" else norm, **chosen
    ).fit(SEEN)
    vocabulary = reference.get_feature_names_out()
    everything = CountVectorizer().fit(SEEN + UNSEEN)
    names = everything.get_feature_names_out()
    ids = np.random.default_rng(1).integers(-(2**63), 2**63, len(names), dtype=np.int64)
    kept = np.searchsorted(names, vocabulary)
    df = np.bincount(everything.transform(SEEN).nonzero()[1], minlength=len(names))
    options = Options(sublinear=sublinear, smooth=smooth, norm=norm)
    transformer = TfidfTransformer(ids[kept], df[kept], documents=len(SEEN), options=options)
    for texts in (SEEN, UNSEEN, [""], []):
        counts = everything.transform(texts) if texts else everything.transform([""])[:0]
        mine = dense(*transformer.transform(*rows(counts, ids)), len(vocabulary))
        expected = reference.transform(texts).toarray() if texts else np.zeros((0, len(vocabulary)))
        np.testing.assert_allclose(mine, expected, rtol=1e-6, atol=1e-6)


def test_weights_are_in_32_bits_and_indexed_by_vocabulary_row() -> None:
    transformer = TfidfTransformer(np.array([7, -7, 0]), np.array([1, 2, 3]), documents=3, options=Options(norm="none"))
    indices, weights, offsets = transformer.transform(
        np.array([0, 5, 7, 9]), np.array([1, 1, 2, 1]), np.array([0, 2, 4])
    )
    assert weights.dtype == np.float32
    assert indices.tolist() == [2, 0]
    assert offsets.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "wrong", [{"min_df": 0}, {"max_df": 0.0}, {"max_df": 1.1}, {"size": 0}, {"norm": "l1"}], ids=str
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"tfidf.{next(iter(wrong))} must"):
        Options(**wrong)


@pytest.mark.parametrize(("ids", "df"), [([1, 2, 1], [1, 1, 1]), ([1, 2], [0, 1]), ([1, 2], [1, 5])], ids=str)
def test_impossible_vocabularies_are_refused(ids: list[int], df: list[int]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        TfidfTransformer(np.array(ids, dtype=np.int64), np.array(df, dtype=np.int64), documents=4, options=Options())
