"""Feature files as a rank reads them: Parquet, local or on HDFS, with Arrow; nothing is ever made dense.

An index of all documents to learn from stays in memory (30 bytes each); their terms are read by row groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.dataset.encoder import Documents, Encoder, Reads, Stored, chained
from models.dataset.ragged import Ints, Ragged
from models.dataset.shuffle import scatter
from models.storage.files import locate

INDEXED = ["batch", "split", "labels", "key", "target"]
ROWS = 65_536  # of the index's columns, read at once


@dataclass(frozen=True)
class Index:
    """D documents to learn from, in the order of their files.

    `key` (D,) orders and shuffles them; `label` (D,) is the first label, an index into the labels (0 where none is
    asked for); `marks` (D, C) are all of them (D, 0 where they are not asked for); `target` (D,); `published` (D,) is
    true where the source itself put the document into its validation split. `length` (D,) is its number of words (0
    where none is asked for). The document stands in row `row` (D,) of file number `file` (D,).
    """

    key: Ints
    label: Ints
    marks: NDArray[np.bool_]
    target: NDArray[np.float64]
    published: NDArray[np.bool_]
    length: NDArray[np.int32]
    file: NDArray[np.int32]
    row: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Wanted:
    """What to look for: documents of batches up to `batch` with one of `labels` (or, with `targets`, a target).

    `several`: all labels of a document, not its first alone. `words`: how long their sequences are is asked for, too.
    """

    labels: Sequence[str]
    batch: int
    targets: bool = False
    several: bool = False
    words: bool = False


def read_index(files: Sequence[str], wanted: Wanted) -> Index:
    """The wanted documents of the train and validation splits.

    Raises:
        ValueError: there is none, or one has a label that `wanted` lacks.
    """
    pieces = [piece for number, path in enumerate(files) for piece in _indexed(path, number, wanted)]
    if not pieces:
        what = "document with a target" if wanted.targets else "labelled document"
        raise ValueError(f"the train split holds no {what}")
    names = [item.name for item in fields(Index)]
    return Index(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in names))


def _indexed(path: str, number: int, wanted: Wanted) -> Iterator[Index]:
    filesystem, inner = locate(path)
    start = 0
    columns = [*INDEXED, *(["sequence"] if wanted.words else [])]
    with filesystem.open(inner, "rb") as file:
        for rows in pq.ParquetFile(file).iter_batches(ROWS, columns=columns):
            chosen = np.flatnonzero(_chosen(rows, wanted))
            if len(chosen):
                yield _index_piece(rows.take(pa.array(chosen)), wanted, number, start + chosen)
            start += rows.num_rows


def _chosen(rows: Any, wanted: Wanted) -> NDArray[np.bool_]:
    learnt = pc.is_in(rows["split"], value_set=pa.array(["train", "validation"]))
    known = pc.is_valid(rows["target"]) if wanted.targets else pc.greater(pc.list_value_length(rows["labels"]), 0)
    found = pc.and_(pc.and_(learnt, known), pc.less_equal(rows["batch"], wanted.batch))
    return pc.fill_null(found, False).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _index_piece(rows: Any, wanted: Wanted, number: int, places: Ints) -> Index:
    """The documents of one record batch."""
    label = np.zeros(rows.num_rows, np.int64)
    length = pc.fill_null(pc.list_value_length(rows["sequence"]), 0).to_numpy() if wanted.words else label
    marks = np.zeros((rows.num_rows, len(wanted.labels) if wanted.several else 0), np.bool_)
    if not wanted.targets:
        label = _places(pc.list_element(rows["labels"], 0), wanted.labels)
    if wanted.several:
        owners = np.repeat(np.arange(rows.num_rows), pc.list_value_length(rows["labels"]).to_numpy())
        marks[owners, _places(rows["labels"].flatten(), wanted.labels)] = True
    return Index(
        key=rows["key"].to_numpy(),
        label=label,
        marks=marks,
        target=pc.fill_null(rows["target"], 0).to_numpy(),
        published=pc.equal(rows["split"], "validation").to_numpy(zero_copy_only=False),
        length=length.astype(np.int32),
        file=np.full(rows.num_rows, number, np.int32),
        row=places.astype(np.int32),
    )


def _places(names: Any, labels: Sequence[str]) -> Ints:
    """Where each name stands in `labels`.

    Raises:
        ValueError: one does not.
    """
    found = pc.index_in(names, value_set=pa.array(labels))
    if found.null_count:
        stranger = names.filter(pc.is_null(found))[0].as_py()
        raise ValueError(f"a train document has the label {stranger!r}, which is none of the {len(labels)} given")
    return found.to_numpy().astype(np.int64)  # type: ignore[no-any-return]


@dataclass
class Reader:
    """Reads documents from where the index says, whole row groups at a time, and encodes them."""

    files: Sequence[str]
    index: Index
    encoder: Encoder
    footers: dict[int, Any] = field(default_factory=dict)

    def read(self, rows: Ints) -> Documents:
        """The documents `rows` of the index, one at least, in their order.

        Raises:
            ValueError: a document has not as many counts as terms, or a word that is none of them.
        """
        order = np.lexsort((self.index.row[rows], self.index.file[rows]))
        files = self.index.file[rows[order]]
        pieces = [
            self._of_file(int(number), self.index.row[rows[order[files == number]]]) for number in np.unique(files)
        ]
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return chained(pieces).take(place)

    def _of_file(self, number: int, rows: NDArray[np.int32]) -> Documents:
        """Of one file's ascending `rows`."""
        filesystem, inner = locate(self.files[number])
        with filesystem.open(inner, "rb") as stream:
            file = pq.ParquetFile(stream, metadata=self.footers.get(number))
            self.footers[number] = file.metadata
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
            groups = np.unique(np.searchsorted(ends, rows, side="right"))
            table = file.read_row_groups(groups.tolist(), columns=needed(self.encoder.reads))
        starts = ends - np.diff(ends, prepend=0)
        sizes = ends[groups] - starts[groups]
        shift = starts[groups] - (np.cumsum(sizes) - sizes)  # what lies between the groups that were not read
        places = rows - shift[np.searchsorted(groups, np.searchsorted(ends, rows, side="right"))]
        found = stored(table)
        return self.encoder.encode(found.take(places))


def needed(reads: Reads) -> list[str]:
    """What of a feature file `stored` needs for a model."""
    return ["terms", "counts", *(["sequence"] if reads.length else []), *(["content"] if reads.image else [])]


def stored(rows: Any) -> Stored:
    """Documents out of rows of a feature file, a table or a record batch, with the columns `needed`.

    Raises:
        ValueError: a document has not as many counts as terms.
    """
    terms, counts = flat(rows["terms"]), flat(rows["counts"])
    if not np.array_equal(terms.offsets, counts.offsets):
        raise ValueError("a document has not as many counts as terms")
    sequence = flat(rows["sequence"]) if "sequence" in rows.schema.names else None
    content = rows["content"] if "content" in rows.schema.names else None
    return Stored(Ragged(terms.columns + counts.columns, terms.offsets), sequence, content)


def flat(column: Any) -> Ragged:
    """A list column; null as an empty list."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    values = column.combine_chunks().flatten() if isinstance(column, pa.ChunkedArray) else column.flatten()
    return Ragged((values.to_numpy(),), np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))


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
