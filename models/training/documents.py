"""Feature files to flat arrays: Parquet, local or on HDFS, read with Arrow; nothing is ever made dense."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.training.files import locate
from models.training.order import scatter
from models.training.tfidf import Weigher

COLUMNS = ["batch", "split", "labels", "key", "terms", "counts"]
ROWS = 4096  # at once; bounds the Arrow buffers beside the result


@dataclass(frozen=True)
class Documents:
    """D labelled documents with N weights in all.

    `key` (D,) orders them, `label` (D,) is an index into the labels, `published` (D,) is true where the
    source itself put the document into its validation split. Document d has the terms
    `indices[offsets[d]:offsets[d + 1]]` and as many `weights`; `offsets` is (D + 1,).
    Indices lie in 0..terms - 1.
    """

    key: NDArray[np.int64]
    label: NDArray[np.int64]
    published: NDArray[np.bool_]
    indices: NDArray[np.int64]
    weights: NDArray[np.float32]
    offsets: NDArray[np.int64]
    terms: int

    def take(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Indices, weights and offsets (len(rows) + 1,) of `rows`, in their order."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return self.indices[places], self.weights[places], offsets


def read(files: Sequence[str], weigher: Weigher, labels: Sequence[str], *, batch: int) -> Documents:
    """The labelled train and validation documents of the batches up to `batch`.

    Raises:
        ValueError: there is none, or one has a label that `labels` lacks.
    """
    pieces = [document_piece(rows, weigher, labels) for path in files for rows in selected(path, batch=batch)]
    if not pieces:
        raise ValueError("the train split holds no labelled document")
    lengths = np.concatenate([np.diff(piece.offsets) for piece in pieces])
    return Documents(
        key=np.concatenate([piece.key for piece in pieces]),
        label=np.concatenate([piece.label for piece in pieces]),
        published=np.concatenate([piece.published for piece in pieces]),
        indices=np.concatenate([piece.indices for piece in pieces]),
        weights=np.concatenate([piece.weights for piece in pieces]),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        terms=len(weigher.ids),
    )


def selected(path: str, *, batch: int) -> Iterator[Any]:
    """Record batches of the labelled train and validation rows of one file, none of them empty."""
    filesystem, inner = locate(path)
    with filesystem.open(inner, "rb") as file:
        for rows in pq.ParquetFile(file).iter_batches(ROWS, columns=COLUMNS):
            learnt = pc.is_in(rows["split"], value_set=pa.array(["train", "validation"]))
            labelled = pc.greater(pc.list_value_length(rows["labels"]), 0)
            wanted = pc.and_(pc.and_(learnt, labelled), pc.less_equal(rows["batch"], batch))
            rows = rows.filter(wanted)  # noqa: PLW2901
            if rows.num_rows:
                yield rows


def document_piece(rows: Any, weigher: Weigher, labels: Sequence[str]) -> Documents:
    """The documents of one record batch; the first label counts."""
    terms, offsets = flat(rows["terms"])
    counts, also = flat(rows["counts"])
    if not np.array_equal(offsets, also):
        raise ValueError("a document has not as many counts as terms")
    indices, weights, offsets = weigher.weigh(terms, counts, offsets)
    names = pc.list_element(rows["labels"], 0)
    found = pc.index_in(names, value_set=pa.array(labels))
    if found.null_count:
        stranger = names.filter(pc.is_null(found))[0].as_py()
        raise ValueError(f"a train document has the label {stranger!r}, which is none of the {len(labels)} given")
    return Documents(
        key=rows["key"].to_numpy(),
        label=found.to_numpy().astype(np.int64),
        published=pc.equal(rows["split"], "validation").to_numpy(zero_copy_only=False),
        indices=indices,
        weights=weights,
        offsets=offsets,
        terms=len(weigher.ids),
    )


def flat(column: Any) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The values of a list column and its offsets (B + 1,), from 0 even for a slice of a longer column."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    return column.flatten().to_numpy(), np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def validation(documents: Documents, *, share: float, salt: int) -> NDArray[np.bool_]:
    """Which documents are for validation, (D,): the published ones, else `share` of each class.

    A class gives the documents whose keys hash lowest with `salt`, rounded to the nearest number, and
    never its last one.
    """
    if documents.published.any():
        return documents.published
    hashes = scatter(documents.key, salt)
    order = np.lexsort((hashes, documents.label))
    sizes = np.bincount(documents.label)
    starts = np.cumsum(sizes) - sizes
    quota = np.minimum(np.floor(sizes * share + 0.5), sizes - 1)
    place = np.arange(len(order)) - starts[documents.label[order]]
    chosen = np.zeros(len(order), dtype=np.bool_)
    chosen[order] = place < quota[documents.label[order]]
    return chosen
