"""Writes a table's Parquet files from record batches in Spark's workers, so that no row passes through the JVM.

A file appears under its name complete or not at all, and belongs to the table only when the driver has committed it.
Its name follows from the job and the task, so a task that runs twice writes one file.
"""

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from models.storage import files
from pipelines.lakehouse.data_files import DataFile, Key

Worker = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]  # a function for `DataFrame.mapInArrow`

ROW_GROUP = 16_384  # rows that a reader decodes at once
FILE_BYTES = 64 << 20  # of rows in memory, written as one file: bounds a worker's memory
WRITTEN = pa.schema({"file": pa.string()})  # what a writing worker returns: a `WrittenFile` as JSON in each row


@dataclass(frozen=True)
class WriteTarget:
    """Where a job writes a table's files: the table's name, folder and columns, and the layout of a file.

    `token` begins the names of this job's files; `order` names the columns that a file's rows are sorted by.
    """

    table: str
    folder: str
    columns: pa.Schema
    token: str
    order: tuple[str, ...] = ()
    row_group: int = ROW_GROUP


@dataclass(frozen=True)
class WrittenFile:
    """A file that a worker wrote and nothing has committed yet.

    `bounds`: the minimum and the maximum of the table's first column; `splits`: the rows of each split, in tables that
    have one; `labels`: those that models may learn from the file's documents, in feature files.
    """

    table: str
    name: str
    size: int
    modified: int  # milliseconds since 1970
    rows: int
    bounds: tuple[Key, Key]
    splits: dict[str, int] = field(default_factory=dict)
    labels: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, text: str) -> "WrittenFile":
        """Parse what `to_json` returned."""
        values = json.loads(text)
        return cls(**values | {"bounds": tuple(values["bounds"]), "labels": tuple(values["labels"])})

    def to_json(self) -> str:
        """One line of JSON, which takes the file from a worker to the driver."""
        return json.dumps(asdict(self))

    def data_file(self) -> DataFile:
        """The file as a commit adds it."""
        return DataFile(self.name, self.size, self.modified, self.rows, self.bounds)


class TableWriter:
    """Collects one task's rows of one table into files."""

    def __init__(self, target: WriteTarget) -> None:
        context = TaskContext.get()
        assert context, "only Spark's workers write"
        self.target = target
        self.stem = f"{target.token}-{context.partitionId():05}"
        self.number = self.rows = self.size = 0
        self.pending: list[pa.Table] = []

    @property
    def name(self) -> str:
        """The file that the next rows go into, from its row number `rows` on."""
        return f"{self.stem}-{self.number:03}.parquet"

    def add(self, rows: pa.RecordBatch | pa.Table) -> Iterator[WrittenFile]:
        """Add rows; yields the file that they complete, if they complete one."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self.pending.append(table.select(self.target.columns.names).cast(self.target.columns))
        self.rows += table.num_rows
        self.size += table.nbytes
        if self.size >= FILE_BYTES:
            yield from self.close()

    def close(self) -> Iterator[WrittenFile]:
        """Write the remaining rows; yields their file, if there are any."""
        if self.rows:
            yield write_file(self.target, self.name, pa.concat_tables(self.pending))
            self.number += 1
        self.rows = self.size = 0
        self.pending = []


def write_file(target: WriteTarget, name: str, rows: pa.Table) -> WrittenFile:
    """Write one file, sorted by the target's order."""
    if target.order:
        rows = rows.combine_chunks().take(pc.sort_indices(rows, [(column, "ascending") for column in target.order]))
    content = io.BytesIO()
    integers = [column.name for column in target.columns if pa.types.is_integer(column.type)]
    pq.write_table(
        rows,
        content,
        compression="zstd",
        store_schema=False,
        row_group_size=target.row_group,
        write_statistics=integers,
    )
    files.write(f"{target.folder}/{name}", content.getvalue())
    return _describe(target, name, rows, content.tell())


def _describe(target: WriteTarget, name: str, rows: pa.Table, size: int) -> WrittenFile:
    splits = {}
    if "split" in rows.column_names:
        splits = {entry["values"]: entry["counts"] for entry in pc.value_counts(rows["split"]).to_pylist()}
    least, greatest = pc.min_max(rows[target.columns.names[0]]).as_py().values()
    modified = int(time.time() * 1000)
    return WrittenFile(target.table, name, size, modified, rows.num_rows, (least, greatest), splits)


def table_sink(target: WriteTarget) -> Worker:
    """A worker that writes all rows to one table: the table's rows -> `WRITTEN`."""

    def write_all(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = TableWriter(target)
        for batch in batches:
            yield from as_batches(writer.add(batch))
        yield from as_batches(writer.close())

    return write_all


def chain_workers(first: Worker, second: Worker) -> Worker:
    """Two workers' functions as one, in one process."""

    def both(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return second(first(batches))

    return both


def as_batches(written: Iterable[WrittenFile]) -> Iterator[pa.RecordBatch]:
    """Written files as record batches of `WRITTEN`."""
    for file in written:
        yield pa.RecordBatch.from_pydict({"file": [file.to_json()]}, schema=WRITTEN)


def run_writers(rows: DataFrame, worker: Worker) -> list[WrittenFile]:
    """Run a Spark job whose worker returns `WRITTEN`."""
    return collect_written(rows.mapInArrow(worker, from_arrow_schema(WRITTEN)))


def collect_written(rows: DataFrame) -> list[WrittenFile]:
    """Run a Spark job whose rows are `WRITTEN`."""
    return [WrittenFile.from_json(row["file"]) for row in rows.collect()]


def repeat_integer(value: int, count: int) -> Any:
    """An Arrow column of `count` equal 64-bit integers."""
    return pa.repeat(pa.scalar(value, pa.int64()), count)
