"""The documents to learn from: the right rows are selected, and the right ones kept for validation."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.dataset.index import DocumentFilter, read_index, validation_mask
from tests.models.cases import IDS, LABELS, corpus, make_context, make_index, make_task, row, write_features

SIZES = [1, 2, 3, 10, 101, 0, 40]  # documents of each class


def test_documents_are_selected_by_batch_split_and_label(tmp_path: Path) -> None:
    kinds = itertools.product([1, 2, 3], ["train", "validation", "test"], [["sea"], ["land", "sea"], []])
    rows = [
        row(key, {IDS[key]: key + 1}, labels, split=split, batch=batch)
        for key, (batch, split, labels) in enumerate(kinds)
    ]
    rows[0] |= {"labels": None}
    path = write_features(tmp_path / "features.parquet", rows, row_group=5)
    index = read_index([path], DocumentFilter(LABELS, 2))
    expected = [row for row in rows if row["batch"] <= 2 and row["split"] != "test" and row["labels"]]
    assert len(expected) == 7
    assert index.key.tolist() == [row["key"] for row in expected]
    assert [LABELS[label] for label in index.label] == [row["labels"][0] for row in expected]
    assert index.published.tolist() == [row["split"] == "validation" for row in expected]
    assert index.row.tolist() == [rows.index(row) for row in expected]
    assert index.multi_hot.shape == (7, 0)


def test_all_labels_of_a_document_are_indexed_on_request(tmp_path: Path) -> None:
    rows = [row(1, {}, ["sea", "air"]), row(2, {}, ["land"])]
    path = write_features(tmp_path / "features.parquet", rows)
    index = read_index([path], DocumentFilter(LABELS, 1, multi_label=True, count_words=True))
    assert index.multi_hot.tolist() == [[True, False, True], [False, True, False]]
    assert index.length.tolist() == [0, 0]


def test_documents_with_a_target_are_selected_for_regression(tmp_path: Path) -> None:
    rows = [row(key, {IDS[key]: 1}, []) | {"target": target} for key, target in enumerate([1.5, None, -2.0])]
    path = write_features(tmp_path / "features.parquet", rows)
    index = read_index([path], DocumentFilter([], 1, targets=True))
    assert (index.key.tolist(), index.target.tolist()) == ([0, 2], [1.5, -2.0])
    with pytest.raises(ValueError, match="no labelled document"):
        read_index([path], DocumentFilter(LABELS, 1))


def test_no_document_and_an_unknown_label_are_reported(tmp_path: Path) -> None:
    good = write_features(tmp_path / "good.parquet", corpus(3))
    with pytest.raises(ValueError, match="no labelled document"):
        read_index([good], DocumentFilter(LABELS, 0))
    with pytest.raises(ValueError, match="no document with a target"):
        read_index([good], DocumentFilter([], 1, targets=True))
    moon = write_features(tmp_path / "moon.parquet", [row(1, {}, ["moon"])])
    with pytest.raises(ValueError, match="'moon'"):
        read_index([good, moon], DocumentFilter(LABELS, 1))


def validation_keys(*, share: float, salt: int = 0, order: Any = None) -> tuple[set[int], Any]:
    """The keys kept for validation of classes of `SIZES`, and how many there are of each class."""
    labels = np.repeat(np.arange(len(SIZES)), SIZES)
    keys = np.random.default_rng(2).integers(-(2**63), 2**63, len(labels), dtype=np.int64)
    order = np.arange(len(labels)) if order is None else order
    index = make_index(keys[order], labels[order])
    mask = validation_mask(index, share=share, salt=salt)
    return set(index.key[mask].tolist()), np.bincount(index.label[mask], minlength=len(SIZES))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 0.99])
def test_validation_takes_its_share_of_each_class_but_never_the_last_document(share: float) -> None:
    _, counts = validation_keys(share=share)
    expected = [max(0, min(int(size * share + 0.5), size - 1)) for size in SIZES]
    assert counts.tolist() == expected


def test_validation_is_a_function_of_keys_and_salt() -> None:
    keys, _ = validation_keys(share=0.3)
    order = np.random.default_rng(0).permutation(sum(SIZES))
    assert validation_keys(share=0.3, order=order)[0] == keys
    assert validation_keys(share=0.3, salt=1)[0] != keys
    assert validation_keys(share=0.2)[0] < keys


def test_a_published_validation_split_is_kept(tmp_path: Path) -> None:
    published = np.arange(20) % 7 == 3
    assert np.array_equal(validation_mask(make_index(range(20), [0] * 20, published), share=0.5, salt=0), published)
    rows = [
        document | {"split": "validation"} if number in (2, 11) else document
        for number, document in enumerate(corpus(20))
    ]
    context = make_context(make_task(tmp_path, rows))
    assert set(context.cache.index.key[context.validation_mask]) == {rows[2]["key"], rows[11]["key"]}


def test_validation_of_all_documents_leaves_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no labelled document apart from those for validation"):
        make_context(make_task(tmp_path, [document | {"split": "validation"} for document in corpus(4)]))
