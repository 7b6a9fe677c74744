"""A table's Parquet files in the hands of Spark's workers, which read them with Arrow: no row goes through the JVM."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from models.storage.files import locate
from pipelines.lakehouse.parquet_writer import ROW_GROUP


def tasks(spark: SparkSession, files: int) -> int:
    """How many tasks read so many files: a few for each core, so that a large file does not keep all waiting."""
    return max(1, min(files, 4 * int(spark.sparkContext.defaultParallelism)))


def spread(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """One row a file, its place in `paths` (`id`), for `assigned` in the workers."""
    return spark.range(0, len(paths), 1, tasks(spark, len(paths)))


def assigned(numbers: Iterable[pa.RecordBatch], paths: Sequence[str]) -> Iterator[str]:
    """The files that `spread` gave to this task."""
    return (paths[number] for batch in numbers for number in batch["id"].to_pylist())


def rows(
    path: str, columns: Sequence[str], *, first: int = 0, last: int, without: Sequence[int] = ()
) -> Iterator[pa.RecordBatch]:
    """A file's rows of the batches from `first` to `last`, but those at the places `without`; some at a time."""
    filesystem, inner = locate(path)
    places = np.array(without, np.int64)
    with filesystem.open(inner, "rb") as file:
        for found in pq.ParquetFile(file).iter_batches(ROW_GROUP, columns=["batch", *columns]):
            batch = found["batch"].to_numpy()
            stays = (first <= batch) & (batch <= last)
            stays[places[(places >= 0) & (places < found.num_rows)]] = False
            places -= found.num_rows
            yield found if stays.all() else found.filter(pa.array(stays))
