"""From record batches to a table's Parquet files, in Spark's workers: no row goes back through the JVM.

A file appears under its name whole or not at all, and belongs to the table only once the driver has committed it. Its
name follows from the job and the task, so a task that runs twice writes one file.
"""

import io
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import from_arrow_schema

from models.storage import files
from pipelines.lakehouse.delta_kernel import DataFile

Worker = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
Told = dict[str, Any]

ROW_GROUP = 16_384  # rows: what a reader decodes at once
FILE_BYTES = 64 << 20  # of rows in memory, that become one file: bounds a worker's memory
TOLD = pa.schema({"file": pa.string()})  # what a worker hands back: one JSON object a file


@dataclass(frozen=True)
class Target:
    """Where a job writes a table: its folder, its columns, the job's own word, and how rows lie in a file."""

    table: str
    folder: str
    columns: pa.Schema
    token: str
    order: tuple[str, ...] = ()
    row_group: int = ROW_GROUP


class Writer:
    """Gathers a task's rows of one table into files; says of each its name, size, rows, and rows of each split."""

    def __init__(self, target: Target) -> None:
        context = TaskContext.get()
        assert context, "only Spark's workers write"
        self.target = target
        self.stem = f"{target.token}-{context.partitionId():05}"
        self.number = self.rows = self.size = 0
        self.pending: list[pa.Table] = []

    @property
    def name(self) -> str:
        """The file that the next rows go into, as its rows from number `rows` on."""
        return f"{self.stem}-{self.number:03}.parquet"

    def add(self, rows: pa.RecordBatch | pa.Table) -> Iterator[Told]:
        """Take rows; the file, where one is full."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self.pending.append(table.select(self.target.columns.names).cast(self.target.columns))
        self.rows += table.num_rows
        self.size += table.nbytes
        if self.size >= FILE_BYTES:
            yield from self.close()

    def close(self) -> Iterator[Told]:
        """Write what is left; the file, if there is any row."""
        if self.rows:
            yield write(self.target, self.name, pa.concat_tables(self.pending))
            self.number += 1
        self.rows = self.size = 0
        self.pending = []


def write(target: Target, name: str, rows: pa.Table) -> Told:
    """Write one file, in the target's order."""
    if target.order:
        rows = rows.combine_chunks().take(pc.sort_indices(rows, [(column, "ascending") for column in target.order]))
    content = io.BytesIO()
    numbers = [field.name for field in target.columns if pa.types.is_integer(field.type)]
    pq.write_table(
        rows, content, compression="zstd", store_schema=False, row_group_size=target.row_group, write_statistics=numbers
    )
    files.write(f"{target.folder}/{name}", content.getvalue())
    return describe(target, name, rows, content.tell())


def describe(target: Target, name: str, rows: pa.Table, size: int) -> Told:
    """What a worker tells of a file."""
    splits = {}
    if "split" in rows.column_names:
        splits = {item["values"]: item["counts"] for item in pc.value_counts(rows["split"]).to_pylist()}
    return {
        "table": target.table,
        "name": name,
        "size": size,
        "modified": int(time.time() * 1000),
        "rows": rows.num_rows,
        "splits": splits,
        "bounds": list(pc.min_max(rows[target.columns.names[0]]).as_py().values()),
    }


def sink(target: Target) -> Worker:
    """A worker's function: rows of the target's table -> `TOLD`."""

    def drain(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = Writer(target)
        for batch in batches:
            yield from told(writer.add(batch))
        yield from told(writer.close())

    return drain


def told(written: Iterable[Told]) -> Iterator[pa.RecordBatch]:
    """Descriptions of files as `TOLD`."""
    for item in written:
        yield pa.RecordBatch.from_pydict({"file": [json.dumps(item)]}, schema=TOLD)


def chained(first: Worker, second: Worker) -> Worker:
    """Two workers' functions as one, in one process."""

    def both(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return second(first(batches))

    return both


def written(rows: DataFrame, worker: Worker) -> list[Told]:
    """Run a job whose worker writes files; what it tells of them."""
    return collected(rows.mapInArrow(worker, from_arrow_schema(TOLD)))


def collected(rows: DataFrame) -> list[Told]:
    """Run a job that gives `TOLD`."""
    return [json.loads(row["file"]) for row in rows.collect()]


def data_files(told: Iterable[Told], table: str) -> list[DataFile]:
    """The files of one table, for a commit."""
    return [
        DataFile(item["name"], item["size"], item["modified"], item["rows"], tuple(item["bounds"]))
        for item in told
        if item["table"] == table
    ]
