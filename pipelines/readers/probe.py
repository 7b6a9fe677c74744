"""Finds a source's new files, and whether each can be read, before a batch of them is planned."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.console.progress import spark_progress
from pipelines.errors import Outage, UserError
from pipelines.lakehouse.parquet_scan import num_tasks
from pipelines.readers.formats import check_file
from pipelines.readers.listing import SourceFile
from pipelines.readers.rows import BrokenFile, Row, UnknownColumn
from pipelines.readers.source import Source, SourceOptions
from pipelines.readers.streams import sha256

PROBE = pa.schema(
    {
        "path": pa.string(),
        "digest": pa.string(),  # of the file's bytes
        "problem": pa.string(),  # why the file as a whole is rejected, or null
        "has_rows": pa.bool_(),
        "unknown_column": pa.string(),  # the message about a column that the file lacks, or null
    }
)
JSON_SAMPLE = 1000  # rows: a column that is in none of them counts as unknown


@dataclasses.dataclass(frozen=True)
class Probe:
    """The result for one file: a row of `PROBE`."""

    path: str
    digest: str
    problem: str | None = None
    has_rows: bool = True
    unknown_column: str | None = None


def probe_new_files(
    spark: SparkSession, source: Source, options: SourceOptions, known: pa.Table | None = None
) -> pa.Table:
    """The source's files that are not `known` yet, each with path, name, size, modified, and the columns of `PROBE`.

    `known` has the columns path, size, modified and digest. A known file that was touched but not changed is left out.

    Raises:
        UserError: there is no file at the path, no file has the columns that the options name, or (if nothing is known
            yet) no file has a row.
        Outage: the source's file system does not answer.
    """
    with spark_progress(spark, "looking for new files"):
        files = _list_files(spark, source, options)
        if known is not None:
            files = files.join(known, ["path", "size", "modified"], join_type="left anti")
        if not files.num_rows:
            return files
        files = files.join(_probe_files(spark, files, source, options), "path")
        if known is not None:
            files = files.join(known, ["path", "digest"], join_type="left anti")
    if files.num_rows:
        _check_columns(files)
        if known is None and not pc.any(files["has_rows"]).as_py():
            raise UserError(f"{options.path} is empty: {files.num_rows:,} files without a row")
    return files


def _list_files(spark: SparkSession, source: Source, options: SourceOptions) -> pa.Table:
    """The source's files as a table with the columns of `SourceFile`."""
    try:
        files = source.list_files(spark, options)
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    except ConnectionError as error:
        raise Outage(str(error)) from error
    if not files:
        raise UserError(f"there is no file at {options.path}")
    columns = [field.name for field in dataclasses.fields(SourceFile)]
    return pa.table({column: [getattr(file, column) for file in files] for column in columns})


def _probe_files(spark: SparkSession, files: pa.Table, source: Source, options: SourceOptions) -> pa.Table:
    """Probe each file once, in Spark's workers."""
    read_rows = source.read_rows

    def probe(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            probes = [_probe_file(path, read_rows, options) for path in batch["path"].to_pylist()]
            yield pa.RecordBatch.from_pylist([dataclasses.asdict(probe) for probe in probes], PROBE)

    paths = spark.createDataFrame(files.select(["path"])).repartition(num_tasks(spark, files.num_rows))
    return paths.mapInArrow(probe, from_arrow_schema(PROBE)).toArrow()


def _probe_file(path: str, read_rows: Callable[[str, Any], Iterator[Row]], options: SourceOptions) -> Probe:
    """Read a file for its digest and to find damage, and then its first rows."""
    file_format = getattr(options, "format", "")
    digest = sha256(path)
    try:
        check_file(path, file_format, getattr(options, "encoding", "utf-8"))
        sample = list(islice(read_rows(path, options), JSON_SAMPLE if file_format == "json" else 1))
    except UnknownColumn as error:
        return Probe(path, digest, problem=str(error), unknown_column=str(error))
    except (BrokenFile, UnicodeDecodeError) as error:
        return Probe(path, digest, problem=str(error))
    missing = {row.reason for row in sample if row.reason and row.reason.startswith("no column ")}
    if len(missing) == 1 and all(row.reason for row in sample):
        return Probe(path, digest, unknown_column=missing.pop())
    return Probe(path, digest, has_rows=bool(sample))


def _check_columns(files: pa.Table) -> None:
    """Refuse options that name a column which no readable file has."""
    unknown = files.filter(pc.is_valid(files["unknown_column"]))
    readable = pc.and_(pc.is_null(files["problem"]), pc.is_null(files["unknown_column"]))
    if unknown.num_rows and not pc.any(readable).as_py():
        raise UserError(f"{unknown['path'][0]}: {unknown['unknown_column'][0]}")
