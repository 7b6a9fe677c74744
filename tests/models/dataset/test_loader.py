"""Batches are the same for any files, cache and number of ranks; all ranks together get each document once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.dataset.bucket_cache import BucketCache
from models.dataset.encoder import Encoder
from models.dataset.feature_reader import FeatureReader
from models.dataset.index import DocumentFilter, read_index
from models.dataset.inputs import InputSpec
from models.dataset.loader import evaluation_batches, training_batches
from models.dataset.micro_batches import Batch, MicroBatch
from models.dataset.sampling import SamplingPlan, ShardAssignment, count_batches
from tests.models.cases import LABELS, corpus, write_features
from tests.models.dataset.test_feature_reader import BAGS, TFIDF, open_reader

WORDS = Encoder(TFIDF, InputSpec(bags=False, length=150))


def make_cache(*files: str, buckets: int = 1, capacity: int = 1 << 30) -> BucketCache:
    index = read_index(files, DocumentFilter(LABELS, 1))
    return BucketCache.of(FeatureReader(files, index, BAGS), buckets=buckets, capacity=capacity)


def batches_of(
    cache: BucketCache, assignment: ShardAssignment, *, size: int = 8, epochs: int = 2, **start: int
) -> list[tuple[int, int, Batch]]:
    plan = SamplingPlan(np.arange(len(cache.index)), size, epochs, seed=3)
    return list(training_batches(cache, plan, assignment, **start))


def documents_of(batch: Batch) -> list[tuple[Any, ...]]:
    """Each document's terms, weights and label, in the order of the micro-batches."""
    documents = []
    for part in batch.micro_batches:
        bags = part.inputs.bags
        assert bags
        ends = [*bags.offsets_B.tolist()[1:], len(bags.indices_N)]
        for start, end, label in zip(bags.offsets_B.tolist(), ends, part.labels.tolist(), strict=True):
            documents.append((*bags.indices_N[start:end].tolist(), *bags.weights_N[start:end].tolist(), label))
    return documents


@pytest.mark.parametrize("buckets", [1, 5])
def test_batches_are_the_same_for_any_file_layout_and_cache(tmp_path: Path, buckets: int) -> None:
    rows = corpus(100)
    by_key = sorted(rows, key=lambda row: row["key"])
    one_file = make_cache(write_features(tmp_path / "one.parquet", by_key), buckets=buckets)
    paths = [write_features(tmp_path / f"{part}.parquet", rows[part::3][::-1], row_group=7) for part in (2, 0, 1)]
    alone = ShardAssignment()
    expected = [(epoch, step, documents_of(batch)) for epoch, step, batch in batches_of(one_file, alone)]
    assert len({document for _, _, documents in expected for document in documents}) > 95
    for capacity in (0, 3000, 1 << 30):
        cache = make_cache(*paths, buckets=buckets, capacity=capacity)
        assert [(epoch, step, documents_of(batch)) for epoch, step, batch in batches_of(cache, alone)] == expected
        assert sum(documents.nbytes for documents in cache.cached.values()) <= capacity
        assert (len(cache.cached) == buckets) == (capacity > 3000)


@pytest.mark.parametrize("start", [(1, 0), (1, 5), (2, 12), (2, 13)])
def test_batches_go_on_in_the_middle_of_an_epoch(tmp_path: Path, start: tuple[int, int]) -> None:
    cache = make_cache(write_features(tmp_path / "one.parquet", corpus(100)), buckets=3)
    alone = ShardAssignment()
    expected = [(epoch, step, documents_of(batch)) for epoch, step, batch in batches_of(cache, alone)]
    epoch, step = start
    rest = batches_of(cache, alone, epoch=epoch, step=step)
    assert [(epoch, step, documents_of(batch)) for epoch, step, batch in rest] == expected[(epoch - 1) * 13 + step :]


def by_shard(batch: Batch) -> list[tuple[int, list[tuple[Any, ...]]]]:
    """Each shard's documents, in their order."""
    documents, start = documents_of(batch), 0
    shards = []
    for part in batch.micro_batches:
        for shard, count in part.shards:
            shards.append((shard, documents[start : start + count]))
            start += count
    return shards


@pytest.mark.parametrize(
    ("count", "size", "ranks", "shards"),
    [
        (7, 4, 4, 4),
        (7, 64, 4, 4),
        (7, 3, 2, 3),
        (1, 8, 3, 3),
        (8, 4, 2, 4),
        (33, 8, 3, 7),
        (5, 2, 2, 2),
        (100, 16, 2, 5),
    ],
)
def test_ranks_take_equally_many_steps_and_each_document_once(
    tmp_path: Path, count: int, size: int, ranks: int, shards: int
) -> None:
    cache = make_cache(write_features(tmp_path / "one.parquet", corpus(count)), buckets=3)
    alone = batches_of(cache, ShardAssignment(shards=shards), size=size)
    parts = [batches_of(cache, ShardAssignment(rank, ranks, shards), size=size) for rank in range(ranks)]
    assert {len(batches) for batches in [alone, *parts]} == {2 * count_batches(count, size)}
    for (_, step, together), *shared in zip(alone, *parts, strict=True):
        of_ranks = [batch for _, _, batch in shared]
        expected = {min(size, count - (step - 1) * size)}
        assert {batch.documents for batch in of_ranks} == expected == {together.documents}
        assert sorted(document for batch in of_ranks for document in documents_of(batch)) == sorted(
            documents_of(together)
        )
        # A shard has the same documents, in the same order, wherever it is computed.
        assert [shard for batch in of_ranks for shard in by_shard(batch)] == by_shard(together)
    first = [document for epoch, _, batch in alone for document in documents_of(batch) if epoch == 1]
    assert len(first) == count


@pytest.mark.parametrize(("ranks", "shards"), [(1, 1), (1, 6), (2, 3), (3, 7), (4, 4), (5, 64)])
def test_each_shard_has_one_owner(ranks: int, shards: int) -> None:
    owned = [list(ShardAssignment(rank, ranks, shards).own_shards) for rank in range(ranks)]
    assert [shard for own in owned for shard in own] == list(range(shards))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


def test_micro_batches_divide_each_shard_of_a_batch(tmp_path: Path) -> None:
    cache, both = make_cache(write_features(tmp_path / "one.parquet", corpus(20))), ShardAssignment(shards=2)
    single = [documents_of(batch) for _, _, batch in training_batches(cache, plan_of(1), both)]
    divided = [batch for _, _, batch in training_batches(cache, plan_of(3), both)]
    assert [sorted(documents_of(batch)) for batch in divided] == [sorted(documents) for documents in single]
    sizes = [[part.shards for part in batch.micro_batches] for batch in divided]
    assert sizes[0] == [((0, 2), (1, 2)), ((0, 1), (1, 1)), ((0, 1), (1, 1))]
    assert sizes[2] == [((0, 1), (1, 1)), ((0, 1), (1, 1))]


def plan_of(accumulate: int) -> SamplingPlan:
    return SamplingPlan(np.arange(20), 8, 1, seed=3, accumulate=accumulate)


def test_a_batch_weighs_what_its_documents_weigh(tmp_path: Path) -> None:
    cache = make_cache(write_features(tmp_path / "one.parquet", corpus(20)))
    weight = np.array([1.0, 2.0, 4.0], np.float32)
    plan = SamplingPlan(np.arange(20), 8, 1, seed=3, class_weight=weight)
    ranks = [[batch for _, _, batch in training_batches(cache, plan, ShardAssignment(rank, 2, 2))] for rank in range(2)]
    for both in zip(*ranks, strict=True):
        labels = [document[-1] for batch in both for document in documents_of(batch)]
        assert {batch.weight for batch in both} == {sum(weight[label] for label in labels)}


def test_an_error_of_the_reading_thread_is_raised(tmp_path: Path) -> None:
    path = write_features(tmp_path / "one.parquet", corpus(20))
    cache = make_cache(path)
    Path(path).unlink()
    with pytest.raises(FileNotFoundError):
        batches_of(cache, ShardAssignment())


def lengthy(count: int) -> list[dict[str, object]]:
    """Documents of very different lengths."""
    random = np.random.default_rng(2)
    return [
        document | {"sequence": random.integers(0, len(document["terms"]), int(random.integers(1, 200))).tolist()}
        for document in corpus(count)
    ]


def word_rows(parts: list[MicroBatch]) -> list[list[int]]:
    """The padded words of each document."""
    return [row for part in parts if part.inputs.words for row in part.inputs.words.words_BT.tolist()]


def word_count(batches: list[Batch]) -> int:
    """All words without the padding."""
    words = [part.inputs.words for batch in batches for part in batch.micro_batches]
    return sum(int(some.lengths_B.sum()) for some in words if some)


@pytest.mark.parametrize("buckets", [1, 3])
def test_documents_of_a_batch_have_similar_lengths(tmp_path: Path, buckets: int) -> None:
    """All documents once, the same for any number of ranks, in another order each epoch."""
    reader = open_reader(write_features(tmp_path / "a.parquet", lengthy(400)), encoder=WORDS)
    cache = BucketCache.of(reader, buckets=buckets, capacity=0)
    plan = SamplingPlan(np.arange(400), 8, 2, seed=1)
    alone = list(training_batches(cache, plan, ShardAssignment(shards=2)))
    halves = [list(training_batches(cache, plan, ShardAssignment(rank, 2, 2))) for rank in range(2)]
    for (_, _, together), *shared in zip(alone, *halves, strict=True):
        parts = [part for _, _, batch in shared for part in batch.micro_batches]
        (single,) = together.micro_batches
        assert sum((part.shards for part in parts), ()) == single.shards
        assert word_rows(parts) == word_rows([single])
    first, second = ([batch for epoch, _, batch in alone if epoch == number] for number in (1, 2))
    padded = sum(len(row) for batch in [*first, *second] for row in word_rows(batch.micro_batches))
    assert word_count([*first, *second]) / padded > 0.85  # 0.6 in an order that ignores lengths
    widths = [[len(word_rows(batch.micro_batches)[0]) for batch in epoch] for epoch in (first, second)]
    assert widths[0] != widths[1]
    assert word_count(first) == sum(np.minimum(cache.index.length, 150))


def test_evaluation_gives_each_document_to_one_rank(tmp_path: Path) -> None:
    reader = open_reader(write_features(tmp_path / "a.parquet", lengthy(60)), encoder=WORDS)
    cache, rows = BucketCache.of(reader, buckets=2, capacity=0), np.arange(5, 60)
    parts = [part for rank in range(2) for part in evaluation_batches(cache, rows, ShardAssignment(rank, 2, 2))]
    words = [tuple(word for word in row if word) for row in word_rows(parts)]
    encoded = reader.read(rows).words
    assert encoded
    expected = [tuple(encoded.slice(number, number + 1).columns[0].tolist()) for number in range(len(rows))]
    assert sorted(words) == sorted(expected)
