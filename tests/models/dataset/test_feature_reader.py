"""Documents are read from whichever files and row groups they are in, each with its own terms."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.dataset.encoder import Encoder
from models.dataset.feature_reader import FeatureReader, columns_for, flatten_lists
from models.dataset.index import BATCH_ROWS, DocumentFilter, read_index
from models.dataset.inputs import InputSpec
from models.dataset.tfidf import Options, TfidfTransformer
from tests.models.cases import IDS, LABELS, corpus, row, write_features

TFIDF = TfidfTransformer(np.array(IDS), np.ones(len(IDS), dtype=np.int64), documents=5, options=Options(norm="none"))
BAGS = Encoder(TFIDF, InputSpec(bags=True, length=0))


def open_reader(*files: str, batch: int = 1, encoder: Encoder = BAGS) -> FeatureReader:
    wanted = DocumentFilter(LABELS, batch, count_words=encoder.spec.length > 0)
    return FeatureReader(files, read_index(files, wanted), encoder)


def test_weights_are_those_of_the_documents_counts(tmp_path: Path) -> None:
    rows = [row(key, {IDS[key]: key + 1}, split="test" if key % 3 == 0 else "train") for key in range(9)]
    reader = open_reader(write_features(tmp_path / "features.parquet", rows, row_group=5))
    learnt = [row for row in rows if row["split"] == "train"]
    bags = reader.read(np.arange(len(learnt))).bags
    assert bags
    indices, weights = bags.columns
    assert [IDS[index] for index in indices] == [term for row in learnt for term in row["terms"]]
    expected = [1 + np.log(count) for row in learnt for count in row["counts"]]
    np.testing.assert_allclose(weights, np.array(expected) * (1 + np.log(6 / 2)), rtol=1e-6)
    assert bags.offsets.tolist() == list(range(len(learnt) + 1))


@pytest.mark.parametrize("row_group", [7, 1000])
def test_terms_stay_with_their_document_in_any_order_of_files_and_gaps(tmp_path: Path, row_group: int) -> None:
    """More rows than are indexed at once; test rows, empty and null documents between the others."""
    count = BATCH_ROWS + 500 if row_group == 1000 else 200
    sizes = [number % 4 for number in range(count)]
    rows = [
        row(key, {IDS[number]: key % 7 + 1 for number in range(size)}, split="test" if key % 5 == 0 else "train")
        for key, size in enumerate(sizes)
    ]
    rows[4] |= {"terms": None, "counts": None}
    paths = [
        write_features(tmp_path / f"{part}.parquet", rows[start:end], row_group=row_group)
        for part, (start, end) in enumerate([(0, 30), (30, 31), (31, count)])
    ]
    reader = open_reader(*paths)
    assert len(reader.index) == sum(row["split"] == "train" for row in rows)
    for chosen in ([0], [3, 3, 1], np.random.default_rng(1).permutation(len(reader.index))[:90].tolist()):
        documents = reader.read(np.array(chosen))
        for position, number in enumerate(chosen):
            document = rows[reader.index.key[number]]
            own = documents.slice(position, position + 1).bags
            assert own
            assert [IDS[index] for index in own.columns[0]] == (document["terms"] or [])
            scale = (1 + np.log(document["key"] % 7 + 1)) * (1 + np.log(6 / 2))
            np.testing.assert_allclose(own.columns[1], scale, rtol=1e-6)


def test_only_the_row_groups_that_are_needed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = open_reader(write_features(tmp_path / "features.parquet", corpus(100), row_group=10))
    requested: list[list[int]] = []
    original = pq.ParquetFile.read_row_groups

    def read_row_groups(file: pq.ParquetFile, groups: list[int], **more: Any) -> Any:
        requested.append(groups)
        return original(file, groups, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", read_row_groups)
    reader.read(np.array([95, 31, 39, 12]))
    assert requested == [[1, 3, 9]]


def test_only_the_columns_that_the_model_reads_are_named() -> None:
    assert columns_for(InputSpec(bags=True, length=0)) == ["terms", "counts"]
    assert columns_for(InputSpec(bags=False, length=3)) == ["terms", "counts", "sequence"]
    assert columns_for(InputSpec(bags=False, length=0, image=(2, 2, 1))) == ["terms", "counts", "content"]


def test_a_slice_of_a_list_column_is_flattened_alone() -> None:
    expected = [[1, 2], None, [3], [], [4, 5]]
    column = pa.array([[9], *expected, [8]], pa.list_(pa.int64())).slice(1, len(expected))
    flat = flatten_lists(column)
    assert flat.columns[0].tolist() == [1, 2, 3, 4, 5]
    assert flat.offsets.tolist() == [0, 2, 2, 3, 3, 5]


def test_a_document_with_fewer_counts_than_terms_is_reported(tmp_path: Path) -> None:
    rows = [row(1, {1: 1, 2: 1}) | {"counts": [1]}]
    reader = open_reader(write_features(tmp_path / "torn.parquet", rows))
    with pytest.raises(ValueError, match="more or fewer counts than terms"):
        reader.read(np.array([0]))
