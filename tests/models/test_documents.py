"""The right rows are read, the right ones held back, and their order depends on nothing but their keys."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.training.batches import cut, shuffled, steps
from models.training.documents import ROWS, Documents, flat, read, selected, validation
from models.training.loop import prepare
from models.training.tfidf import Options, Weigher
from tests.models.cases import IDS, LABELS, corpus, labelled, make_task, row, write_features

WEIGHER = Weigher(np.array(IDS), np.ones(len(IDS), dtype=np.int64), documents=5, options=Options(norm="none"))


def load(*files: str, batch: int = 1) -> Documents:
    return read(files, WEIGHER, LABELS, batch=batch)


def test_rows_are_picked_by_batch_split_and_label(tmp_path: Path) -> None:
    kinds = itertools.product([1, 2, 3], ["train", "validation", "test"], [["sea"], ["land", "sea"], []])
    rows = [
        row(key, {IDS[key]: key + 1}, labels, split=split, batch=batch)
        for key, (batch, split, labels) in enumerate(kinds)
    ]
    rows[0] |= {"labels": None}
    path = write_features(tmp_path / "features.parquet", rows, row_group=5)
    wanted = [row for row in rows if row["batch"] <= 2 and row["split"] != "test" and row["labels"]]
    found = load(path, batch=2)
    assert found.key.tolist() == [row["key"] for row in wanted]
    assert [LABELS[label] for label in found.label] == [row["labels"][0] for row in wanted]
    assert found.published.tolist() == [row["split"] == "validation" for row in wanted]
    assert [IDS[index] for index in found.indices] == [term for row in wanted for term in row["terms"]]
    expected = [1 + np.log(count) for row in wanted for count in row["counts"]]
    np.testing.assert_allclose(found.weights, np.array(expected) * (1 + np.log(6 / 2)), rtol=1e-6)
    assert found.offsets.tolist() == list(range(len(wanted) + 1))
    assert found.terms == len(IDS)


def test_terms_stay_with_their_document_over_pieces_and_gaps(tmp_path: Path) -> None:
    """More rows than are read at once; dropped rows, empty and null documents between the others."""
    sizes = [number % 4 for number in range(ROWS + 500)]
    rows = [
        row(key, {IDS[place]: key % 7 + 1 for place in range(size)}, split="test" if key % 5 == 0 else "train")
        for key, size in enumerate(sizes)
    ]
    rows[4] |= {"terms": None, "counts": None}
    found = load(write_features(tmp_path / "features.parquet", rows))
    assert len(found.key) == sum(row["split"] == "train" for row in rows)
    for place in [*range(60), *range(len(found.key) - 60, len(found.key))]:
        document = rows[found.key[place]]
        indices, weights, _ = found.take(np.array([place]))
        assert [IDS[index] for index in indices] == (document["terms"] or [])
        scale = (1 + np.log(document["key"] % 7 + 1)) * (1 + np.log(6 / 2))
        np.testing.assert_allclose(weights, scale, rtol=1e-6)


def test_a_slice_of_a_list_column_is_flattened_alone() -> None:
    expected = [[1, 2], None, [3], [], [4, 5]]
    column = pa.array([[9], *expected, [8]], pa.list_(pa.int64())).slice(1, len(expected))
    values, offsets = flat(column)
    assert values.tolist() == [1, 2, 3, 4, 5]
    assert offsets.tolist() == [0, 2, 2, 3, 3, 5]


def test_documents_are_taken_in_any_order(tmp_path: Path) -> None:
    found = load(write_features(tmp_path / "features.parquet", corpus(9)))
    rows = np.array([7, 0, 0, 3])
    indices, weights, offsets = found.take(rows)
    for place, number in enumerate(rows):
        own, theirs = slice(*offsets[place : place + 2]), slice(*found.offsets[number : number + 2])
        assert np.array_equal(indices[own], found.indices[theirs])
        assert np.array_equal(weights[own], found.weights[theirs])
    assert [len(part) for part in found.take(rows[:0])] == [0, 0, 1]


def test_no_document_an_unknown_label_and_torn_counts_are_reported(tmp_path: Path) -> None:
    good = write_features(tmp_path / "good.parquet", corpus(3))
    assert not list(selected(good, batch=0))
    with pytest.raises(ValueError, match="no labelled document"):
        load(good, batch=0)
    with pytest.raises(ValueError, match="'moon'"):
        load(good, write_features(tmp_path / "moon.parquet", [row(1, {}, ["moon"])]))
    with pytest.raises(ValueError, match="counts"):
        load(write_features(tmp_path / "torn.parquet", [row(1, {1: 1, 2: 1}) | {"counts": [1]}]))


SIZES = [1, 2, 3, 10, 101, 0, 40]


def carved(*, share: float, salt: int = 0, order: Any = None) -> tuple[set[int], Any]:
    """Keys held back of classes of `SIZES`, and how many of each class."""
    labels = np.repeat(np.arange(len(SIZES)), SIZES)
    keys = np.random.default_rng(2).integers(-(2**63), 2**63, len(labels), dtype=np.int64)
    order = np.arange(len(labels)) if order is None else order
    documents = labelled(keys[order], labels[order])
    held = validation(documents, share=share, salt=salt)
    return set(documents.key[held].tolist()), np.bincount(documents.label[held], minlength=len(SIZES))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.99])
def test_validation_takes_its_share_of_each_class_but_never_the_last_document(share: float) -> None:
    _, counts = carved(share=share)
    expected = [max(0, min(int(size * share + 0.5), size - 1)) for size in SIZES]
    assert counts.tolist() == expected


def test_validation_is_a_function_of_keys_and_salt() -> None:
    keys, _ = carved(share=0.3)
    order = np.random.default_rng(0).permutation(sum(SIZES))
    assert carved(share=0.3, order=order)[0] == keys
    assert carved(share=0.3, salt=1)[0] != keys
    assert carved(share=0.2)[0] < keys


def test_a_published_validation_split_is_kept(tmp_path: Path) -> None:
    published = np.arange(20) % 7 == 3
    assert np.array_equal(validation(labelled(range(20), [0] * 20, published), share=0.5, salt=0), published)
    rows = [
        document | {"split": "validation"} if place in (2, 11) else document
        for place, document in enumerate(corpus(20))
    ]
    documents, held = prepare(make_task(tmp_path, rows))
    assert set(documents.key[held]) == {rows[2]["key"], rows[11]["key"]}


def test_validation_of_all_documents_leaves_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no labelled document"):
        prepare(make_task(tmp_path, [document | {"split": "validation"} for document in corpus(4)]))


def test_order_of_samples_is_independent_of_the_file_layout(tmp_path: Path) -> None:
    rows = corpus(200)
    one = load(write_features(tmp_path / "one.parquet", rows))
    parts = [write_features(tmp_path / f"{part}.parquet", rows[part::3][::-1], row_group=7) for part in (2, 0, 1)]
    many = load(*parts)
    assert one.key.tolist() != many.key.tolist()
    for seed, epoch in itertools.product([0, 1, -5], [1, 2]):
        first, second = (
            documents.key[shuffled(documents, np.arange(200), seed=seed, epoch=epoch)] for documents in (one, many)
        )
        assert first.tolist() == second.tolist()


def test_order_of_samples_is_a_function_of_seed_epoch_and_key() -> None:
    keys = np.random.default_rng(8).integers(-(2**63), 2**63, 300, dtype=np.int64)
    documents = labelled(keys, [0] * 300)
    rows = np.arange(300)
    orders = {
        (seed, epoch): tuple(keys[shuffled(documents, rows, seed=seed, epoch=epoch)].tolist())
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(set(orders.values())) == 16
    assert all(sorted(order) == sorted(keys.tolist()) for order in orders.values())
    some = rows[::3]
    left = keys[shuffled(documents, some, seed=2, epoch=3)]
    assert left.tolist() == [key for key in orders[2, 3] if key in set(keys[some].tolist())]
    # No document stays near its place from one epoch to the next.
    places = np.argsort(np.array([np.argsort(orders[0, epoch]) for epoch in range(4)]), axis=1)
    assert np.abs(np.corrcoef(places)[np.triu_indices(4, 1)]).max() < 0.25


@pytest.mark.parametrize(
    ("count", "size", "ranks"),
    [(7, 4, 4), (7, 64, 4), (7, 3, 2), (1, 8, 3), (8, 4, 2), (33, 8, 3), (0, 4, 2), (5, 1, 2)],
)
def test_ranks_take_equal_steps_and_each_document_once(count: int, size: int, ranks: int) -> None:
    lengths = np.arange(count) % 3
    documents = Documents(
        key=np.arange(count),
        label=np.arange(count),  # says which document it is
        published=np.zeros(count, dtype=np.bool_),
        indices=np.repeat(np.arange(count), lengths),
        weights=np.repeat(np.arange(count), lengths).astype(np.float32),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        terms=count,
    )
    order = shuffled(documents, np.arange(count), seed=1, epoch=1)
    alone = list(cut(documents, order, size=size))
    parts = [list(cut(documents, order, size=size, rank=rank, ranks=ranks)) for rank in range(ranks)]
    assert {len(batches) for batches in [alone, *parts]} == {steps(count, size)}
    assert [label for batch in alone for label in batch.labels.tolist()] == order.tolist()
    for whole, *shared in zip(alone, *parts, strict=True):
        assert {batch.documents for batch in shared} == {len(whole.labels)}
        taken = [label for batch in shared for label in batch.labels.tolist()]
        assert sorted(taken) == sorted(whole.labels.tolist())
        assert max(len(batch.labels) for batch in shared) - min(len(batch.labels) for batch in shared) <= 1
        for batch in shared:
            mine = batch.labels.numpy()
            assert batch.indices.tolist() == np.repeat(mine, lengths[mine]).tolist()
            assert batch.weights.tolist() == batch.indices.tolist()
            starts = np.cumsum([0, *lengths[mine]])[:-1]
            assert batch.offsets.tolist() == starts.tolist()
