"""The right rows are read, the right ones held back, and their terms are their own."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.dataset.encoder import Encoder, Reads
from models.dataset.index import ROWS, Reader, Wanted, flat, read_index, validation
from models.dataset.tfidf import Options, Weigher
from tests.models.cases import IDS, LABELS, corpus, labelled, make_task, row, work_of, write_features

WEIGHER = Weigher(np.array(IDS), np.ones(len(IDS), dtype=np.int64), documents=5, options=Options(norm="none"))
BAGS = Encoder(WEIGHER, Reads(bags=True, length=0))


def load(*files: str, batch: int = 1, encoder: Encoder = BAGS) -> Reader:
    words = encoder.reads.length > 0
    return Reader(files, read_index(files, Wanted(LABELS, batch, words=words)), encoder)


def test_rows_are_picked_by_batch_split_and_label(tmp_path: Path) -> None:
    kinds = itertools.product([1, 2, 3], ["train", "validation", "test"], [["sea"], ["land", "sea"], []])
    rows = [
        row(key, {IDS[key]: key + 1}, labels, split=split, batch=batch)
        for key, (batch, split, labels) in enumerate(kinds)
    ]
    rows[0] |= {"labels": None}
    reader = load(write_features(tmp_path / "features.parquet", rows, row_group=5), batch=2)
    wanted = [row for row in rows if row["batch"] <= 2 and row["split"] != "test" and row["labels"]]
    found = reader.index
    assert found.key.tolist() == [row["key"] for row in wanted]
    assert [LABELS[label] for label in found.label] == [row["labels"][0] for row in wanted]
    assert found.published.tolist() == [row["split"] == "validation" for row in wanted]
    bags = reader.read(np.arange(len(found))).bags
    assert bags
    indices, weights = bags.columns
    assert [IDS[index] for index in indices] == [term for row in wanted for term in row["terms"]]
    expected = [1 + np.log(count) for row in wanted for count in row["counts"]]
    np.testing.assert_allclose(weights, np.array(expected) * (1 + np.log(6 / 2)), rtol=1e-6)
    assert bags.offsets.tolist() == list(range(len(wanted) + 1))


def test_documents_with_a_target_are_picked_for_regression(tmp_path: Path) -> None:
    rows = [row(key, {IDS[key]: 1}, []) | {"target": target} for key, target in enumerate([1.5, None, -2.0])]
    path = write_features(tmp_path / "features.parquet", rows)
    index = read_index([path], Wanted([], 1, targets=True))
    assert (index.key.tolist(), index.target.tolist()) == ([0, 2], [1.5, -2.0])
    with pytest.raises(ValueError, match="no labelled document"):
        read_index([path], Wanted(LABELS, 1))


@pytest.mark.parametrize("row_group", [7, 1000])
def test_terms_stay_with_their_document_in_any_order_of_files_and_gaps(tmp_path: Path, row_group: int) -> None:
    """More rows than are indexed at once; test rows, empty and null documents between the others."""
    count = ROWS + 500 if row_group == 1000 else 200
    sizes = [number % 4 for number in range(count)]
    rows = [
        row(key, {IDS[place]: key % 7 + 1 for place in range(size)}, split="test" if key % 5 == 0 else "train")
        for key, size in enumerate(sizes)
    ]
    rows[4] |= {"terms": None, "counts": None}
    paths = [
        write_features(tmp_path / f"{part}.parquet", rows[start:end], row_group=row_group)
        for part, (start, end) in enumerate([(0, 30), (30, 31), (31, count)])
    ]
    reader = load(*paths)
    assert len(reader.index) == sum(row["split"] == "train" for row in rows)
    for wanted in ([0], [3, 3, 1], np.random.default_rng(1).permutation(len(reader.index))[:90].tolist()):
        found = reader.read(np.array(wanted))
        for place, number in enumerate(wanted):
            document = rows[reader.index.key[number]]
            own = found.slice(place, place + 1).bags
            assert own
            assert [IDS[index] for index in own.columns[0]] == (document["terms"] or [])
            scale = (1 + np.log(document["key"] % 7 + 1)) * (1 + np.log(6 / 2))
            np.testing.assert_allclose(own.columns[1], scale, rtol=1e-6)


def test_only_the_row_groups_that_are_needed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    reader = load(write_features(tmp_path / "features.parquet", corpus(100), row_group=10))
    asked: list[list[int]] = []
    original = pq.ParquetFile.read_row_groups

    def read_row_groups(file: pq.ParquetFile, groups: list[int], **more: Any) -> Any:
        asked.append(groups)
        return original(file, groups, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", read_row_groups)
    reader.read(np.array([95, 31, 39, 12]))
    assert asked == [[1, 3, 9]]


def test_a_slice_of_a_list_column_is_flattened_alone() -> None:
    expected = [[1, 2], None, [3], [], [4, 5]]
    column = pa.array([[9], *expected, [8]], pa.list_(pa.int64())).slice(1, len(expected))
    found = flat(column)
    assert found.columns[0].tolist() == [1, 2, 3, 4, 5]
    assert found.offsets.tolist() == [0, 2, 2, 3, 3, 5]


def test_no_document_an_unknown_label_and_torn_counts_are_reported(tmp_path: Path) -> None:
    good = write_features(tmp_path / "good.parquet", corpus(3))
    with pytest.raises(ValueError, match="no labelled document"):
        load(good, batch=0)
    with pytest.raises(ValueError, match="'moon'"):
        load(good, write_features(tmp_path / "moon.parquet", [row(1, {}, ["moon"])]))
    torn = load(write_features(tmp_path / "torn.parquet", [row(1, {1: 1, 2: 1}) | {"counts": [1]}]))
    with pytest.raises(ValueError, match="counts"):
        torn.read(np.array([0]))


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
    work = work_of(make_task(tmp_path, rows))
    assert set(work.feed.index.key[work.held]) == {rows[2]["key"], rows[11]["key"]}


def test_validation_of_all_documents_leaves_nothing_to_learn(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no labelled document"):
        work_of(make_task(tmp_path, [document | {"split": "validation"} for document in corpus(4)]))
