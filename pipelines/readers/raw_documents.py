"""From planned files to raw documents, in Spark's workers: the reading side of `ingest` and `predict`."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, tee
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.lakehouse.parquet_writer import Worker, chain_workers
from pipelines.readers.row_rules import Document, RowRules, sha256, to_documents
from pipelines.readers.rows import BrokenFile, Row, UnknownColumn
from pipelines.text.normalisation import normalise_array

# One row for each row of a planned file: the file's path and name, the row's number, then a document's values or, if
# the row is rejected, the reason. `digest` is that of an image, of a normalised text, or of a rejected row.
RAW_DOCUMENT = pa.schema(
    {
        "path": pa.string(),
        "name": pa.string(),
        "row": pa.int64(),
        "id": pa.string(),
        "text": pa.string(),
        "content": pa.binary(),
        "labels": pa.list_(pa.string()),
        "target": pa.float64(),
        "split": pa.string(),
        "digest": pa.string(),
        "reason": pa.string(),
    }
)
MAX_DOCUMENT_BYTES = 1 << 30  # an Arrow string array holds twice as much in all
BATCH_ROWS, BATCH_BYTES = 2000, 8 << 20

RowReader = Callable[[str], Iterator[Row]]  # from a file's path to its rows
NumberedDocument = tuple[str, str, int, Document]  # with the path and the name of its file, and its row there


@dataclass(frozen=True)
class WorkerStep:
    """What a worker does with raw documents in the process that reads them, and the columns that it returns.

    Attributes:
        function: from record batches of `RAW_DOCUMENT` to record batches of `output`.
    """

    function: Worker
    output: pa.Schema


PASS_THROUGH = WorkerStep(iter, RAW_DOCUMENT)


def read_by_file(plan: DataFrame, read_rows: RowReader, rules: RowRules, step: WorkerStep) -> DataFrame:
    """Read the planned files (`path`, `name`), each in one task, into raw documents, passed through `step`."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for path, name in zip(batch["path"].to_pylist(), batch["name"].to_pylist(), strict=True):
                documents = to_documents(_read_planned(read_rows, path), name, rules)
                yield from _to_batches((path, name, row, document) for row, document in enumerate(documents))

    return plan.select("path", "name").mapInArrow(chain_workers(read, step.function), from_arrow_schema(step.output))


def _read_planned(read_rows: RowReader, path: str) -> Iterator[Row]:
    """A file's rows; if it has vanished or changed since it was planned, the last row is rejected for that reason."""
    try:
        yield from read_rows(path)
    except FileNotFoundError:
        yield Row(reason="the file is gone since it was planned", raw=path.encode())
    except (BrokenFile, UnknownColumn, UnicodeError) as error:
        yield Row(reason=f"the file has changed since it was planned: {error}", raw=path.encode())


def read_by_row(values: DataFrame, roles: list[str], rules: RowRules, step: WorkerStep) -> DataFrame:
    """Turn rows that Spark has read (`path`, `name`, `row`, a column per role) into raw documents, through `step`."""

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in batch.to_pylist())
        files = groupby(rows, key=itemgetter("path", "name"))
        yield from _to_batches(
            document for (path, name), group in files for document in _read_group(path, name, group, roles, rules)
        )

    # All rows of a file go to one task, in their order: ids depend on how often a text occurred before in the file.
    ordered = values.repartition("path").sortWithinPartitions("path", "row")
    return ordered.mapInArrow(chain_workers(read, step.function), from_arrow_schema(step.output))


def _read_group(
    path: str, name: str, group: Iterable[Any], roles: list[str], rules: RowRules
) -> Iterator[NumberedDocument]:
    """The documents of one file, whose rows carry their numbers."""
    numbered, unnumbered = tee(group)
    rows = (Row.from_values({role: values[role] for role in roles}) for values in unnumbered)
    for values, document in zip(numbered, to_documents(rows, name, rules), strict=True):
        yield path, name, values["row"], document


def _to_batches(documents: Iterable[NumberedDocument]) -> Iterator[pa.RecordBatch]:
    """Documents as record batches of `RAW_DOCUMENT`, bounded in rows and in bytes."""
    rows: list[tuple[object, ...]] = []
    size = 0
    for path, name, number, document in documents:
        rows.append((path, name, number, *document))
        size += len(document.text or "") + len(document.content or b"")
        if len(rows) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield _to_batch(rows)
            rows, size = [], 0
    if rows:
        yield _to_batch(rows)


def _to_batch(rows: list[tuple[object, ...]]) -> pa.RecordBatch:
    """Rows of `RAW_DOCUMENT`; a text's digest is that of its normalised form, by which `clean` finds duplicates."""
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, RAW_DOCUMENT, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=RAW_DOCUMENT)
    texts = normalise_array(batch["text"].fill_null("")).to_pylist()
    digests = [digest or sha256(text.encode()) for digest, text in zip(batch["digest"].to_pylist(), texts, strict=True)]
    position = RAW_DOCUMENT.get_field_index("digest")
    return batch.set_column(position, RAW_DOCUMENT.field(position), pa.array(digests, pa.string()))
