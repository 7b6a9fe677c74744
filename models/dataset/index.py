"""The index of the documents that a training learns from, and the choice of those for validation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.dataset.ragged import Ints
from models.dataset.shuffle import hash_keys
from models.storage.files import locate

COLUMNS = ["batch", "split", "labels", "key", "target"]
BATCH_ROWS = 65_536  # rows of these columns that are read at once


@dataclass(frozen=True)
class Index:
    """D documents to learn from, in the order of the feature files; 37 bytes each, and C more with several labels.

    Attributes:
        key: by which documents are shuffled, (D,).
        label: the first label's position among the labels, (D,); 0 in a regression.
        multi_hot: for each label whether the document has it, (D, C); (D, 0) unless documents have several labels.
        target: the number to predict, (D,).
        published: whether the source itself assigns the document to its validation split, (D,).
        length: its number of words, (D,); 0 if the model reads no words.
        file, row: where it is stored: the number of the file, and the row in it, (D,).
    """

    key: Ints
    label: Ints
    multi_hot: NDArray[np.bool_]
    target: NDArray[np.float64]
    published: NDArray[np.bool_]
    length: NDArray[np.int32]
    file: NDArray[np.int32]
    row: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class DocumentFilter:
    """Selects documents of batches up to `batch` that have one of `labels`, or a target if `targets`.

    `multi_label` asks the index for all labels of a document instead of its first one, `count_words` for the lengths of
    the word sequences.
    """

    labels: Sequence[str]
    batch: int
    targets: bool = False
    multi_label: bool = False
    count_words: bool = False


def read_index(files: Sequence[str], selection: DocumentFilter) -> Index:
    """The selected documents of the train and validation splits, in the order of `files` and of their rows.

    Raises:
        ValueError: No document is selected, or one has a label that is not among the filter's.
    """
    pieces = [piece for number, path in enumerate(files) for piece in _read_file(path, number, selection)]
    if not pieces:
        what = "document with a target" if selection.targets else "labelled document"
        raise ValueError(f"the train split holds no {what}")
    names = [item.name for item in fields(Index)]
    return Index(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in names))


def _read_file(path: str, number: int, selection: DocumentFilter) -> Iterator[Index]:
    filesystem, inner = locate(path)
    start = 0
    columns = [*COLUMNS, *(["sequence"] if selection.count_words else [])]
    with filesystem.open(inner, "rb") as file:
        for rows in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns):
            selected = np.flatnonzero(_selection_mask(rows, selection))
            if len(selected):
                yield _index_rows(rows.take(pa.array(selected)), selection, number, start + selected)
            start += rows.num_rows


def _selection_mask(rows: Any, selection: DocumentFilter) -> NDArray[np.bool_]:
    in_split = pc.is_in(rows["split"], value_set=pa.array(["train", "validation"]))
    has_truth = (
        pc.is_valid(rows["target"]) if selection.targets else pc.greater(pc.list_value_length(rows["labels"]), 0)
    )
    selected = pc.and_(pc.and_(in_split, has_truth), pc.less_equal(rows["batch"], selection.batch))
    return pc.fill_null(selected, False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _index_rows(rows: Any, selection: DocumentFilter, file: int, positions: Ints) -> Index:
    """The index of the documents `rows` of a record batch, which lie at `positions` of file number `file`."""
    label = np.zeros(rows.num_rows, np.int64)
    length = pc.fill_null(pc.list_value_length(rows["sequence"]), 0).to_numpy() if selection.count_words else label
    multi_hot = np.zeros((rows.num_rows, len(selection.labels) if selection.multi_label else 0), np.bool_)
    if not selection.targets:
        label = _label_positions(pc.list_element(rows["labels"], 0), selection.labels)
    if selection.multi_label:
        documents = np.repeat(np.arange(rows.num_rows), pc.list_value_length(rows["labels"]).to_numpy())
        multi_hot[documents, _label_positions(rows["labels"].flatten(), selection.labels)] = True
    return Index(
        key=rows["key"].to_numpy(),
        label=label,
        multi_hot=multi_hot,
        target=pc.fill_null(rows["target"], 0).to_numpy(),
        published=pc.equal(rows["split"], "validation").to_numpy(zero_copy_only=False),
        length=length.astype(np.int32),
        file=np.full(rows.num_rows, file, np.int32),
        row=positions.astype(np.int32),
    )


def _label_positions(names: Any, labels: Sequence[str]) -> Ints:
    """The position of each name among `labels`.

    Raises:
        ValueError: A name is not among them.
    """
    positions = pc.index_in(names, value_set=pa.array(labels))
    if positions.null_count:
        unknown = names.filter(pc.is_null(positions))[0].as_py()
        raise ValueError(f"a train document has the label {unknown!r}, which is not one of the model's {len(labels)}")
    return positions.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def validation_mask(index: Index, *, share: float, salt: int) -> NDArray[np.bool_]:
    """Which documents are for validation, (D,): the published validation split, or else `share` of each class.

    Each class contributes the documents whose keys have the lowest hashes with `salt`: `share` of its documents,
    rounded to the nearest number, but never its last one.
    """
    if index.published.any():
        return index.published
    hashes = hash_keys(index.key, salt)
    order = np.lexsort((hashes, index.label))
    sizes = np.bincount(index.label)
    starts = np.cumsum(sizes) - sizes
    quotas = np.minimum(np.floor(sizes * share + 0.5), sizes - 1)
    label = index.label[order]
    rank_in_class = np.arange(len(order)) - starts[label]
    mask = np.zeros(len(order), dtype=np.bool_)
    mask[order] = rank_in_class < quotas[label]
    return mask
