"""The order of samples depends on nothing but keys, seed and epoch; all ranks together see each document once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.dataset import shuffle
from models.dataset.index import Reader, Wanted, read_index
from models.dataset.loader import Batch, Feed, Place, Plan, batches, steps
from tests.models.cases import LABELS, corpus, write_features
from tests.models.dataset.test_index import BAGS

KEYS = np.random.default_rng(8).integers(-(2**63), 2**63, 300, dtype=np.int64)


def feed_of(*files: str, buckets: int = 1, cache: int = 1 << 30) -> Feed:
    index = read_index(files, Wanted(LABELS, 1))
    return Feed.of(Reader(files, index, BAGS), buckets=buckets, cache=cache)


def taken(feed: Feed, place: Place, *, size: int = 8, epochs: int = 2, **where: int) -> list[tuple[int, int, Batch]]:
    plan = Plan(np.arange(len(feed.index)), size, epochs, seed=3)
    return list(batches(feed, plan, place, **where))


def documents(batch: Batch) -> list[tuple[Any, ...]]:
    """What a document is known by, in the order of the parts: its terms, weights and label."""
    found = []
    for part in batch.parts:
        bags = part.inputs.bags
        assert bags
        ends = [*bags.offsets_B.tolist()[1:], len(bags.indices_N)]
        for start, end, label in zip(bags.offsets_B.tolist(), ends, part.labels.tolist(), strict=True):
            found.append((*bags.indices_N[start:end].tolist(), *bags.weights_N[start:end].tolist(), label))
    return found


@pytest.mark.parametrize("buckets", [1, 5])
def test_batches_are_the_same_in_any_file_layout_and_cache(tmp_path: Path, buckets: int) -> None:
    rows = corpus(100)
    by_key = sorted(rows, key=lambda row: row["key"])
    one = feed_of(write_features(tmp_path / "one.parquet", by_key), buckets=buckets)
    paths = [write_features(tmp_path / f"{part}.parquet", rows[part::3][::-1], row_group=7) for part in (2, 0, 1)]
    expected = [(epoch, step, documents(batch)) for epoch, step, batch in taken(one, Place())]
    assert len({document for _, _, found in expected for document in found}) > 95
    for cache in (0, 3000, 1 << 30):
        feed = feed_of(*paths, buckets=buckets, cache=cache)
        assert [(epoch, step, documents(batch)) for epoch, step, batch in taken(feed, Place())] == expected
        assert sum(held.nbytes for held in feed.held.values()) <= cache
        assert (len(feed.held) == buckets) == (cache > 3000)


@pytest.mark.parametrize("place", [(1, 0), (1, 5), (2, 12), (2, 13)])
def test_a_run_goes_on_in_the_middle(tmp_path: Path, place: tuple[int, int]) -> None:
    feed = feed_of(write_features(tmp_path / "one.parquet", corpus(100)), buckets=3)
    whole = [(epoch, step, documents(batch)) for epoch, step, batch in taken(feed, Place())]
    epoch, step = place
    rest = taken(feed, Place(), epoch=epoch, step=step)
    assert [(epoch, step, documents(batch)) for epoch, step, batch in rest] == whole[(epoch - 1) * 13 + step :]


def by_shard(batch: Batch) -> list[tuple[int, list[tuple[Any, ...]]]]:
    """Each shard's documents, in their order."""
    found, start = documents(batch), 0
    result = []
    for part in batch.parts:
        for shard, count in part.shards:
            result.append((shard, found[start : start + count]))
            start += count
    return result


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
def test_ranks_take_equal_steps_and_each_document_once(
    tmp_path: Path, count: int, size: int, ranks: int, shards: int
) -> None:
    feed = feed_of(write_features(tmp_path / "one.parquet", corpus(count)), buckets=3)
    alone = taken(feed, Place(shards=shards), size=size)
    parts = [taken(feed, Place(rank, ranks, shards), size=size) for rank in range(ranks)]
    assert {len(found) for found in [alone, *parts]} == {2 * steps(count, size)}
    for (_, step, whole), *shared in zip(alone, *parts, strict=True):
        mine = [batch for _, _, batch in shared]
        assert {batch.documents for batch in mine} == {min(size, count - (step - 1) * size)} == {whole.documents}
        assert sorted(document for batch in mine for document in documents(batch)) == sorted(documents(whole))
        # A shard has the same documents, in the same order, wherever it is computed.
        assert [found for batch in mine for found in by_shard(batch)] == by_shard(whole)
    first = [document for epoch, _, batch in alone for document in documents(batch) if epoch == 1]
    assert len(first) == count


@pytest.mark.parametrize(("ranks", "shards"), [(1, 1), (1, 6), (2, 3), (3, 7), (4, 4), (5, 64)])
def test_each_shard_has_one_owner(ranks: int, shards: int) -> None:
    owned = [list(Place(rank, ranks, shards).own) for rank in range(ranks)]
    assert [shard for some in owned for shard in some] == list(range(shards))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


def test_pieces_of_a_part_are_the_part(tmp_path: Path) -> None:
    feed = feed_of(write_features(tmp_path / "one.parquet", corpus(20)))
    plan = Plan(np.arange(20), 8, 1, seed=3)
    whole = [documents(batch) for _, _, batch in batches(feed, plan, Place(shards=2))]
    cut = Plan(np.arange(20), 8, 1, seed=3, pieces=3)
    pieces = [batch for _, _, batch in batches(feed, cut, Place(shards=2))]
    assert [sorted(documents(batch)) for batch in pieces] == [sorted(some) for some in whole]
    assert [part.shards for part in pieces[0].parts] == [((0, 2), (1, 2)), ((0, 1), (1, 1)), ((0, 1), (1, 1))]
    assert [part.shards for part in pieces[2].parts] == [((0, 1), (1, 1)), ((0, 1), (1, 1))]


def test_a_batch_weighs_what_its_documents_weigh(tmp_path: Path) -> None:
    feed = feed_of(write_features(tmp_path / "one.parquet", corpus(20)))
    weight = np.array([1.0, 2.0, 4.0], np.float32)
    plan = Plan(np.arange(20), 8, 1, seed=3, class_weight=weight)
    ranks = [[batch for _, _, batch in batches(feed, plan, Place(rank, 2, 2))] for rank in range(2)]
    for both in zip(*ranks, strict=True):
        labels = [document[-1] for batch in both for document in documents(batch)]
        assert {batch.weight for batch in both} == {sum(weight[label] for label in labels)}


def test_a_reader_that_fails_is_heard_of(tmp_path: Path) -> None:
    path = write_features(tmp_path / "one.parquet", corpus(20))
    feed = feed_of(path)
    Path(path).unlink()
    with pytest.raises(FileNotFoundError):
        taken(feed, Place())


def test_order_is_a_function_of_seed_epoch_and_key() -> None:
    in_bucket = shuffle.bucket(KEYS, 4)
    rows = np.arange(300)
    orders = {
        (seed, epoch): tuple(KEYS[shuffle.shuffled(KEYS, in_bucket, seed=seed, epoch=epoch)].tolist())
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(set(orders.values())) == 16
    assert all(sorted(keys) == sorted(KEYS.tolist()) for keys in orders.values())
    some = rows[::3]
    left = KEYS[some][shuffle.shuffled(KEYS[some], in_bucket[some], seed=2, epoch=3)]
    assert left.tolist() == [key for key in orders[2, 3] if key in set(KEYS[some].tolist())]


def test_no_document_stays_near_its_place() -> None:
    one = np.zeros(300, np.int32)
    places = np.array([np.argsort(shuffle.shuffled(KEYS, one, seed=0, epoch=epoch)) for epoch in range(4)])
    assert np.abs(np.corrcoef(places)[np.triu_indices(4, 1)]).max() < 0.25


def test_a_bucket_is_a_range_of_keys() -> None:
    found = shuffle.bucket(np.sort(KEYS), 7)
    assert (np.diff(found) >= 0).all()
    assert np.bincount(found, minlength=7).min() > 20
    assert shuffle.bucket(np.array([-(2**63), -1, 0, 2**63 - 1]), 4).tolist() == [0, 1, 2, 3]
    assert [shuffle.buckets(number) for number in (0, 10, 4097, 100_000, 10_000_000)] == [1, 1, 2, 25, 153]
