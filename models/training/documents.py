"""Feature files as a rank reads them: Parquet, local or on HDFS, with Arrow; nothing is ever made dense.

An index of all documents to learn from stays in memory (26 bytes each); their terms are read by row groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.training.files import locate
from models.training.order import scatter
from models.training.tfidf import Weigher

INDEXED = ["batch", "split", "labels", "key", "target"]
ROWS = 65_536  # of the index's columns, read at once

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """D documents to learn from, in the order of their files.

    `key` (D,) orders and shuffles them; `label` (D,) is an index into the labels (0 where none is asked for); `target`
    (D,); `published` (D,) is true where the source itself put the document into its validation split. The document
    stands in row `row` (D,) of file number `file` (D,).
    """

    key: Ints
    label: Ints
    target: NDArray[np.float32]
    published: NDArray[np.bool_]
    file: NDArray[np.int32]
    row: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Terms:
    """Weighted terms of B documents in compressed rows: document b has `indices[offsets[b]:offsets[b + 1]]`, each below
    the vocabulary's size, and as many `weights`; `offsets` is (B + 1,).
    """

    indices: Ints
    weights: NDArray[np.float32]
    offsets: Ints

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return self.indices.nbytes + self.weights.nbytes + self.offsets.nbytes

    def take(self, rows: Ints) -> "Terms":
        """Those of `rows`, in their order."""
        offsets, places = gathered(self.offsets, rows)
        return Terms(self.indices[places], self.weights[places], offsets)

    def slice(self, start: int, end: int) -> "Terms":
        """Those of the documents from `start` to before `end`; a view."""
        offsets = self.offsets[start : end + 1]
        part = slice(offsets[0], offsets[-1])
        return Terms(self.indices[part], self.weights[part], offsets - offsets[0])


def gathered(offsets: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """For compressed rows with `offsets`: the offsets (len(rows) + 1,) of `rows`, and the places of their values."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    result = np.concatenate(([0], np.cumsum(lengths)))
    return result, np.arange(result[-1]) + np.repeat(starts - result[:-1], lengths)


def read_index(files: Sequence[str], labels: Sequence[str], *, batch: int, targets: bool = False) -> Index:
    """The train and validation documents of the batches up to `batch` that have a label (or, with `targets`, a target).

    Raises:
        ValueError: there is none, or one has a label that `labels` lacks.
    """
    pieces = [piece for number, path in enumerate(files) for piece in _indexed(path, number, labels, batch, targets)]
    if not pieces:
        raise ValueError(f"the train split holds no {'document with a target' if targets else 'labelled document'}")
    columns = zip(*((p.key, p.label, p.target, p.published, p.file, p.row) for p in pieces), strict=True)
    return Index(*(np.concatenate(column) for column in columns))


def _indexed(path: str, number: int, labels: Sequence[str], batch: int, targets: bool) -> Iterator[Index]:
    filesystem, inner = locate(path)
    start = 0
    with filesystem.open(inner, "rb") as file:
        for rows in pq.ParquetFile(file).iter_batches(ROWS, columns=INDEXED):
            wanted = np.flatnonzero(_wanted(rows, batch, targets))
            if len(wanted):
                yield _index_piece(rows.take(pa.array(wanted)), labels, targets, number, start + wanted)
            start += rows.num_rows


def _wanted(rows: Any, batch: int, targets: bool) -> NDArray[np.bool_]:
    learnt = pc.is_in(rows["split"], value_set=pa.array(["train", "validation"]))
    known = pc.is_valid(rows["target"]) if targets else pc.greater(pc.list_value_length(rows["labels"]), 0)
    found = pc.and_(pc.and_(learnt, known), pc.less_equal(rows["batch"], batch))
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _index_piece(rows: Any, labels: Sequence[str], targets: bool, number: int, places: Ints) -> Index:
    """The documents of one record batch; the first label counts."""
    label = np.zeros(rows.num_rows, np.int64)
    if not targets:
        names = pc.list_element(rows["labels"], 0)
        found = pc.index_in(names, value_set=pa.array(labels))
        if found.null_count:
            stranger = names.filter(pc.is_null(found))[0].as_py()
            raise ValueError(f"a train document has the label {stranger!r}, which is none of the {len(labels)} given")
        label = found.to_numpy().astype(np.int64)
    return Index(
        key=rows["key"].to_numpy(),
        label=label,
        target=pc.fill_null(rows["target"], 0).to_numpy().astype(np.float32),
        published=pc.equal(rows["split"], "validation").to_numpy(zero_copy_only=False),
        file=np.full(rows.num_rows, number, np.int32),
        row=places.astype(np.int32),
    )


@dataclass
class Reader:
    """Reads documents' terms from where the index says, whole row groups at a time, and weighs them."""

    files: Sequence[str]
    index: Index
    weigher: Weigher
    footers: dict[int, Any] = field(default_factory=dict)

    def read(self, rows: Ints) -> Terms:
        """The terms of the documents `rows` of the index, in their order.

        Raises:
            ValueError: a document has not as many counts as terms.
        """
        order = np.lexsort((self.index.row[rows], self.index.file[rows]))
        files = self.index.file[rows[order]]
        pieces = [
            self._of_file(int(number), self.index.row[rows[order[files == number]]]) for number in np.unique(files)
        ]
        if not pieces:
            return Terms(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(1, np.int64))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return _joined(pieces).take(place)

    def _of_file(self, number: int, rows: NDArray[np.int32]) -> Terms:
        """Of one file's ascending `rows`."""
        filesystem, inner = locate(self.files[number])
        with filesystem.open(inner, "rb") as stream:
            file = pq.ParquetFile(stream, metadata=self.footers.get(number))
            self.footers[number] = file.metadata
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
            groups = np.unique(np.searchsorted(ends, rows, side="right"))
            table = file.read_row_groups(groups.tolist(), columns=["terms", "counts"])
        starts = ends - np.diff(ends, prepend=0)
        sizes = ends[groups] - starts[groups]
        shift = starts[groups] - (np.cumsum(sizes) - sizes)  # what lies between the groups that were not read
        places = rows - shift[np.searchsorted(groups, np.searchsorted(ends, rows, side="right"))]
        terms, offsets = flat(table["terms"])
        counts, also = flat(table["counts"])
        if not np.array_equal(offsets, also):
            raise ValueError("a document has not as many counts as terms")
        offsets, taken = gathered(offsets, places)
        return Terms(*self.weigher.weigh(terms[taken], counts[taken], offsets))


def _joined(pieces: list[Terms]) -> Terms:
    lengths = np.concatenate([np.diff(piece.offsets) for piece in pieces])
    return Terms(
        np.concatenate([piece.indices for piece in pieces]),
        np.concatenate([piece.weights for piece in pieces]),
        np.concatenate(([0], np.cumsum(lengths))),
    )


def flat(column: Any) -> tuple[NDArray[Any], Ints]:
    """The values of a list column and its offsets (B + 1,), from 0 even for a slice of a longer column."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    values = column.combine_chunks().flatten() if isinstance(column, pa.ChunkedArray) else column.flatten()
    return values.to_numpy(), np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def validation(index: Index, *, share: float, salt: int) -> NDArray[np.bool_]:
    """Which documents are for validation, (D,): the published ones, else `share` of each class.

    A class gives the documents whose keys hash lowest with `salt`, rounded to the nearest number, and
    never its last one.
    """
    if index.published.any():
        return index.published
    hashes = scatter(index.key, salt)
    order = np.lexsort((hashes, index.label))
    sizes = np.bincount(index.label)
    starts = np.cumsum(sizes) - sizes
    quota = np.minimum(np.floor(sizes * share + 0.5), sizes - 1)
    place = np.arange(len(order)) - starts[index.label[order]]
    chosen = np.zeros(len(order), dtype=np.bool_)
    chosen[order] = place < quota[index.label[order]]
    return chosen
