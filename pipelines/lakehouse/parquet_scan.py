"""Reads a table's Parquet files in Spark's workers, with Arrow, so that no row passes through the JVM."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from models.storage.files import locate
from pipelines.lakehouse.parquet_writer import ROW_GROUP


def num_tasks(session: SparkSession, num_files: int) -> int:
    """The number of tasks that read the files: a few per core, so that one large file does not delay the job."""
    return max(1, min(num_files, 4 * int(session.sparkContext.defaultParallelism)))


def distribute(session: SparkSession, paths: Sequence[str]) -> DataFrame:
    """One row per file, its index in `paths` (column `id`), for `assigned_paths` in the workers."""
    return session.range(0, len(paths), 1, num_tasks(session, len(paths)))


def assigned_paths(indices: Iterable[pa.RecordBatch], paths: Sequence[str]) -> Iterator[str]:
    """The files that `distribute` assigned to this task."""
    return (paths[index] for batch in indices for index in batch["id"].to_pylist())


def read_rows(
    path: str, columns: Sequence[str], *, first: int = 0, last: int, without: Sequence[int] = ()
) -> Iterator[pa.RecordBatch]:
    """A file's rows of the batches from `first` to `last`, except those at the positions `without`, batch by batch.

    `columns` are read beside `batch`.
    """
    filesystem, inner = locate(path)
    dropped = np.array(without, np.int64)
    with filesystem.open(inner, "rb") as file:
        for rows in pq.ParquetFile(file).iter_batches(ROW_GROUP, columns=["batch", *columns]):
            batch = rows["batch"].to_numpy()
            keep = (first <= batch) & (batch <= last)
            keep[dropped[(dropped >= 0) & (dropped < rows.num_rows)]] = False
            dropped -= rows.num_rows
            yield rows if keep.all() else rows.filter(pa.array(keep))
