"""Reads documents from feature files: Parquet, on a local disk or HDFS, by whole row groups.

Terms stay sparse from the file to the model: nothing of the size documents x vocabulary is ever allocated.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.dataset.encoder import EncodedDocuments, Encoder, StoredDocuments, concatenate_documents
from models.dataset.index import Index
from models.dataset.inputs import InputSpec
from models.dataset.ragged import Ints, Ragged
from models.storage.files import locate


@dataclass
class FeatureReader:
    """Reads and encodes the documents that an index names.

    `footers` caches the metadata of the files, by their number, so that a file's footer is parsed only once.
    """

    files: Sequence[str]
    index: Index
    encoder: Encoder
    footers: dict[int, Any] = field(default_factory=dict)

    def read(self, rows: Ints) -> EncodedDocuments:
        """The documents `rows` (at least one) of the index, in that order.

        Raises:
            ValueError: A document has more or fewer counts than terms, or a word that is not one of its terms.
        """
        order = np.lexsort((self.index.row[rows], self.index.file[rows]))
        files = self.index.file[rows[order]]
        pieces = [
            self._read_file(int(number), self.index.row[rows[order[files == number]]]) for number in np.unique(files)
        ]
        positions = np.empty_like(order)
        positions[order] = np.arange(len(order))
        return concatenate_documents(pieces).take(positions)

    def _read_file(self, number: int, rows: NDArray[np.int32]) -> EncodedDocuments:
        """The documents in the ascending `rows` of file `number`."""
        filesystem, inner = locate(self.files[number])
        with filesystem.open(inner, "rb") as stream:
            file = pq.ParquetFile(stream, metadata=self.footers.get(number))
            self.footers[number] = file.metadata
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
            groups = np.unique(np.searchsorted(ends, rows, side="right"))
            table = file.read_row_groups(groups.tolist(), columns=columns_for(self.encoder.spec))
        starts = ends - np.diff(ends, prepend=0)
        sizes = ends[groups] - starts[groups]
        skipped = starts[groups] - (np.cumsum(sizes) - sizes)  # rows of the file before each group that were not read
        positions = rows - skipped[np.searchsorted(groups, np.searchsorted(ends, rows, side="right"))]
        return self.encoder.encode(stored_documents(table).take(positions))


def columns_for(spec: InputSpec) -> list[str]:
    """The columns of a feature file that `stored_documents` needs for a model that reads `spec`."""
    return ["terms", "counts", *(["sequence"] if spec.length else []), *(["content"] if spec.image else [])]


def stored_documents(rows: Any) -> StoredDocuments:
    """The documents in rows of a feature file, an Arrow table or record batch with the columns of `columns_for`.

    Raises:
        ValueError: A document has more or fewer counts than terms.
    """
    terms, counts = flatten_lists(rows["terms"]), flatten_lists(rows["counts"])
    if not np.array_equal(terms.offsets, counts.offsets):
        raise ValueError("a document has more or fewer counts than terms")
    sequence = flatten_lists(rows["sequence"]) if "sequence" in rows.schema.names else None
    content = rows["content"] if "content" in rows.schema.names else None
    return StoredDocuments(Ragged(terms.columns + counts.columns, terms.offsets), sequence, content)


def flatten_lists(column: Any) -> Ragged:
    """An Arrow list column (B,) as one column of values; null becomes an empty row."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    values = column.combine_chunks().flatten() if isinstance(column, pa.ChunkedArray) else column.flatten()
    return Ragged((values.to_numpy(),), np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))))
