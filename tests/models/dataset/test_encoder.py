"""Stored documents become the words and weights that a model reads."""

import numpy as np
import pytest

from models.dataset.encoder import (
    MAX_WORDS,
    EncodedDocuments,
    Encoder,
    StoredDocuments,
    concatenate_documents,
    max_documents,
    pad_words,
    scoring_slices,
)
from models.dataset.inputs import FIRST_TERM, PADDING, UNKNOWN, InputSpec
from models.dataset.tfidf import Options, TfidfTransformer
from tests.models.cases import IDS, corpus, ragged, row, stored_of
from tests.models.dataset.test_feature_reader import TFIDF

BOTH = Encoder(TFIDF, InputSpec(bags=True, length=5))


def test_words_keep_their_order_and_are_truncated() -> None:
    rows = [
        row(1, {IDS[3]: 2, 77: 1, IDS[0]: 3}) | {"sequence": [2, 0, 1, 2, 0, 2]},  # 77 is not in the vocabulary
        row(2, {}),
        row(3, {IDS[9]: 1}),
    ]
    encoded = BOTH.encode(stored_of(rows))
    assert encoded.words
    assert encoded.bags
    expected = [[FIRST_TERM + 0, FIRST_TERM + 3, UNKNOWN, FIRST_TERM + 0, FIRST_TERM + 3], [], [FIRST_TERM + 9]]
    assert [encoded.words.slice(number, number + 1).columns[0].tolist() for number in range(3)] == expected
    assert encoded.bags.lengths.tolist() == [2, 0, 1]
    words = pad_words(encoded.words)
    assert words.words_BT.tolist() == [expected[0], [UNKNOWN] + [PADDING] * 4, [FIRST_TERM + 9] + [PADDING] * 4]
    assert words.lengths_B.tolist() == [5, 1, 1]


def test_a_word_that_is_none_of_the_documents_terms_is_refused() -> None:
    for position in (-1, 1):
        with pytest.raises(ValueError, match="a document has a word that is not one of its terms"):
            BOTH.encode(stored_of([row(1, {IDS[0]: 1}) | {"sequence": [position]}, row(2, {IDS[0]: 1})]))


def test_documents_are_taken_sliced_and_concatenated() -> None:
    documents = BOTH.encode(stored_of(corpus(9)))
    rows = np.array([4, 0, 8, 8])
    taken = documents.take(rows)
    assert (len(documents), len(taken)) == (9, 4)
    for number, position in enumerate(rows.tolist()):
        for name in ("bags", "words"):
            one = getattr(taken, name).slice(number, number + 1)
            other = getattr(documents, name).slice(position, position + 1)
            assert [column.tolist() for column in one.columns] == [column.tolist() for column in other.columns]
    again = concatenate_documents([documents.slice(0, 3), documents.slice(3, 3), documents.slice(3, 9)])
    assert again.words
    assert documents.words
    assert again.bags
    np.testing.assert_array_equal(again.words.columns[0], documents.words.columns[0])
    np.testing.assert_array_equal(again.words.offsets, documents.words.offsets)
    assert documents.nbytes > again.bags.nbytes > 0
    assert EncodedDocuments(bags=again.bags).take(rows).words is None


def test_only_image_models_do_without_a_vocabulary() -> None:
    empty = TfidfTransformer(np.zeros(0, np.int64), np.zeros(0, np.int64), documents=5, options=Options())
    for spec in (InputSpec(bags=True, length=0), InputSpec(bags=False, length=9)):
        with pytest.raises(ValueError, match="the vocabulary is empty"):
            Encoder(empty, spec)
    assert Encoder(empty, InputSpec(bags=False, length=0, image=(4, 4, 1))).vocabulary_size == 0


def test_documents_are_scored_in_slices_of_few_enough_words() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(0, 3000, 500))
    slices = scoring_slices(lengths, 100)
    assert [number for chosen in slices for number in range(chosen.start, chosen.stop)] == list(range(500))
    assert max(chosen.stop - chosen.start for chosen in slices) == 100
    for chosen in slices:
        assert (chosen.stop - chosen.start) * lengths[chosen.stop - 1] <= MAX_WORDS
    long_documents = scoring_slices(np.array([1, 2 * MAX_WORDS]), 9)
    assert [(chosen.start, chosen.stop) for chosen in long_documents] == [(0, 1), (1, 2)]
    assert scoring_slices(np.zeros(0, np.int64), 9) == []


def test_large_images_are_scored_in_small_numbers() -> None:
    shapes = (None, (8, 8, 1), (512, 1024, 3), (2048, 2048, 3))
    assert [max_documents(InputSpec(bags=True, length=9, image=shape)) for shape in shapes] == [1024, 1024, 1, 1]


def test_words_outside_the_vocabulary_are_unknown() -> None:
    two_terms = TfidfTransformer(np.array(IDS[:2]), np.ones(2, np.int64), documents=5, options=Options())
    encoder = Encoder(two_terms, InputSpec(bags=False, length=9))
    words = encoder.encode(StoredDocuments(ragged([[IDS[1], IDS[5]]], [[1, 1]]), ragged([[1, 0, 0]]))).words
    assert words
    assert words.columns[0].tolist() == [UNKNOWN, FIRST_TERM + 1, FIRST_TERM + 1]
