"""Stored documents become the words and weights that a model reads."""

from pathlib import Path

import numpy as np
import pytest

from models.dataset import shuffle
from models.dataset.encoder import MOST_WORDS, Documents, Encoder, Reads, Stored, at_once, chained, padded, pieces
from models.dataset.inputs import FIRST, PADDING, UNKNOWN
from models.dataset.loader import Feed, Place, Plan, batches, scored
from models.dataset.ragged import joined
from models.dataset.tfidf import Options, Weigher
from tests.models.cases import IDS, corpus, ragged, row, stored_of, write_features
from tests.models.dataset.test_index import WEIGHER, load

BOTH = Encoder(WEIGHER, Reads(bags=True, length=5))


def test_words_keep_their_order_and_are_cut() -> None:
    rows = [
        row(1, {IDS[3]: 2, 77: 1, IDS[0]: 3}) | {"sequence": [2, 0, 1, 2, 0, 2]},  # 77 is not in the vocabulary
        row(2, {}),
        row(3, {IDS[9]: 1}),
    ]
    found = BOTH.encode(stored_of(rows))
    assert found.words
    assert found.bags
    expected = [[FIRST + 0, FIRST + 3, UNKNOWN, FIRST + 0, FIRST + 3], [], [FIRST + 9]]
    assert [found.words.slice(number, number + 1).columns[0].tolist() for number in range(3)] == expected
    assert found.bags.lengths.tolist() == [2, 0, 1]
    tensor = padded(found.words)
    assert tensor.words_BT.tolist() == [expected[0], [UNKNOWN] + [PADDING] * 4, [FIRST + 9] + [PADDING] * 4]
    assert tensor.lengths_B.tolist() == [5, 1, 1]


def test_a_word_that_is_none_of_the_terms_is_refused() -> None:
    for position in (-1, 1):
        with pytest.raises(ValueError, match="a word of a document is none of its terms"):
            BOTH.encode(stored_of([row(1, {IDS[0]: 1}) | {"sequence": [position]}, row(2, {IDS[0]: 1})]))


def test_documents_are_taken_sliced_and_chained() -> None:
    whole = BOTH.encode(stored_of(corpus(9)))
    places = np.array([4, 0, 8, 8])
    taken = whole.take(places)
    assert (len(whole), len(taken)) == (9, 4)
    for number, place in enumerate(places):
        for name in ("bags", "words"):
            one, other = (getattr(some, name).slice(at, at + 1) for some, at in ((taken, number), (whole, int(place))))
            assert [column.tolist() for column in one.columns] == [column.tolist() for column in other.columns]
    again = chained([whole.slice(0, 3), whole.slice(3, 3), whole.slice(3, 9)])
    assert again.words
    assert whole.words
    assert again.bags
    np.testing.assert_array_equal(again.words.columns[0], whole.words.columns[0])
    np.testing.assert_array_equal(again.words.offsets, whole.words.offsets)
    assert whole.nbytes > again.bags.nbytes > 0
    only = Documents(bags=again.bags).take(places)
    assert only.words is None


def test_only_images_need_no_vocabulary() -> None:
    none = Weigher(np.zeros(0, np.int64), np.zeros(0, np.int64), documents=5, options=Options())
    for reads in (Reads(bags=True, length=0), Reads(bags=False, length=9)):
        with pytest.raises(ValueError, match="the vocabulary is empty"):
            Encoder(none, reads)
    assert Encoder(none, Reads(bags=False, length=0, image=(4, 4, 1))).terms == 0


def test_rows_of_different_lengths() -> None:
    some = ragged([[1, 2], [], [3, 4, 5], [6]], [[7, 8], [], [9, 0, 1], [2]])
    assert [column.tolist() for column in some.take(np.array([2, 0, 0, 1])).columns] == [
        [3, 4, 5, 1, 2, 1, 2],
        [9, 0, 1, 7, 8, 7, 8],
    ]
    assert some.take(np.array([2, 0, 0, 1])).offsets.tolist() == [0, 3, 5, 7, 7]
    assert (some.slice(1, 3).columns[0].tolist(), some.slice(1, 3).offsets.tolist()) == ([3, 4, 5], [0, 0, 3])
    assert some.slice(4, 4).offsets.tolist() == [0]
    assert (some.cut(2).columns[1].tolist(), some.cut(2).offsets.tolist()) == ([7, 8, 9, 0, 2], [0, 2, 2, 4, 5])
    assert some.cut(3) is some
    assert joined([some, some.slice(1, 3)]).offsets.tolist() == [0, 2, 2, 5, 6, 6, 9]


def test_few_enough_words_are_scored_at_once() -> None:
    lengths = np.sort(np.random.default_rng(0).integers(0, 3000, 500))
    found = pieces(lengths, 100)
    assert [number for some in found for number in range(some.start, some.stop)] == list(range(500))
    assert max(some.stop - some.start for some in found) == 100
    for some in found:
        assert (some.stop - some.start) * lengths[some.stop - 1] <= MOST_WORDS
    assert [(some.start, some.stop) for some in pieces(np.array([1, 2 * MOST_WORDS]), 9)] == [(0, 1), (1, 2)]
    assert pieces(np.zeros(0, np.int64), 9) == []
    shapes = (None, (8, 8, 1), (512, 1024, 3), (2048, 2048, 3))
    assert [at_once(Reads(bags=True, length=9, image=shape)) for shape in shapes] == [1024, 1024, 1, 1]


def lengthy(count: int) -> list[dict[str, object]]:
    """Documents of very different lengths."""
    random = np.random.default_rng(2)
    return [
        document | {"sequence": random.integers(0, len(document["terms"]), int(random.integers(1, 200))).tolist()}
        for document in corpus(count)
    ]


@pytest.mark.parametrize("buckets", [1, 3])
def test_batches_hold_documents_of_about_one_length(tmp_path: Path, buckets: int) -> None:
    """All documents once, the same for any number of ranks, in another order each epoch."""
    encoder = Encoder(WEIGHER, Reads(bags=False, length=150))
    feed = Feed.of(
        load(write_features(tmp_path / "a.parquet", lengthy(400)), encoder=encoder), buckets=buckets, cache=0
    )
    plan = Plan(np.arange(400), 8, 2, seed=1)
    alone = list(batches(feed, plan, Place(shards=2)))
    halves = [list(batches(feed, plan, Place(rank, 2, 2))) for rank in range(2)]
    filled = total = 0
    for (_, _, whole), *shared in zip(alone, *halves, strict=True):
        parts = [part for _, _, batch in shared for part in batch.parts]
        (theirs,) = whole.parts
        assert sum((part.shards for part in parts), ()) == theirs.shards
        assert theirs.inputs.words
        rows = [row for part in parts if part.inputs.words for row in part.inputs.words.words_BT.tolist()]
        assert rows == theirs.inputs.words.words_BT.tolist()
        filled += int(theirs.inputs.words.lengths_B.sum())
        total += theirs.inputs.words.words_BT.numel()
    assert filled / total > 0.85  # 0.6 in an order that does not see lengths
    first, second = ([batch for epoch, _, batch in alone if epoch == number] for number in (1, 2))
    longest = [
        [part.inputs.words.words_BT.shape[1] for batch in some for part in batch.parts if part.inputs.words]
        for some in (first, second)
    ]
    assert longest[0] != longest[1]
    assert sum(
        sum(part.inputs.words.lengths_B.tolist()) for batch in first for part in batch.parts if part.inputs.words
    ) == sum(np.minimum(feed.index.length, 150))


def test_documents_are_scored_by_length(tmp_path: Path) -> None:
    encoder = Encoder(WEIGHER, Reads(bags=False, length=150))
    feed = Feed.of(load(write_features(tmp_path / "a.parquet", lengthy(60)), encoder=encoder), buckets=2, cache=0)
    parts = [part for rank in range(2) for part in scored(feed, np.arange(5, 60), Place(rank, 2, 2))]
    assert sum(len(part.labels) for part in parts) == 55


def test_an_order_by_length_moves_documents_within_their_bucket_and_pool() -> None:
    random = np.random.default_rng(3)
    lengths, in_bucket = random.integers(1, 500, 1000), np.repeat([2, 0, 1], [333, 500, 167])
    places = shuffle.by_length(lengths, in_bucket, size=4, seed=0, epoch=1)
    assert sorted(places.tolist()) == list(range(1000))
    np.testing.assert_array_equal(in_bucket[places], in_bucket)
    np.testing.assert_array_equal(places // (4 * shuffle.POOL), np.arange(1000) // (4 * shuffle.POOL))
    whole = [lengths[places[start : start + 4]] for start in range(336, 832, 4)]
    assert np.mean([some.max() - some.min() for some in whole]) < 30  # of 500 / 32 batches of a pool
    again = shuffle.by_length(lengths, in_bucket, size=4, seed=0, epoch=2)
    assert (again != places).any()


def test_a_vocabulary_decides_what_is_known() -> None:
    few = Encoder(
        Weigher(np.array(IDS[:2]), np.ones(2, np.int64), documents=5, options=Options()), Reads(bags=False, length=9)
    )
    stored = Stored(ragged([[IDS[1], IDS[5]]], [[1, 1]]), ragged([[1, 0, 0]]))
    found = few.encode(stored).words
    assert found
    assert found.columns[0].tolist() == [UNKNOWN, FIRST + 1, FIRST + 1]
