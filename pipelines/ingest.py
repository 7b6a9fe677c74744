"""ingest: from a source's files to bronze. Plans a batch of what is new, then takes it, each file once."""

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.progress import spark_progress
from pipelines.lakehouse import locks, parquet_scan, parquet_writer, tables
from pipelines.lakehouse.parquet_writer import TOLD
from pipelines.lakehouse.tables import BATCHES, DOCUMENTS, QUARANTINE, Lake
from pipelines.readers.probe import probe_new_files
from pipelines.readers.raw_documents import PASS_THROUGH, WorkerStep
from pipelines.sources import load_source
from pipelines.tracking import run_log


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update`, with its report."""
    return run_log.stage(spark, config, update(spark, config))


def update(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Take what the source has that the data set has not.

    Raises:
        UserError: nothing at the path, an unknown column, an empty source; nothing is written then.
        Busy: another job has the data set.
    """
    with locks.tables(spark, tables.of(config).folder, config.overlapping):
        return advance(spark, config)


def advance(spark: SparkSession, config: Config) -> dict[str, Any]:
    """`update` for one who holds the data set's lock already."""
    began = time.monotonic()
    lake = tables.of(config)
    first = 1 + tables.last_batch(spark, lake, DOCUMENTS)
    planned = tables.last_batch(spark, lake, BATCHES)
    taken = list(range(first, planned + 1))  # planned by a run that did not live to take them
    for batch in taken:
        take(spark, lake, batch)
    if plan(spark, config, lake, planned + 1):
        take(spark, lake, planned + 1)
        taken.append(planned + 1)
    seconds = {"ingest": round(time.monotonic() - began, 2)}
    return {"job": "ingest", "status": "done" if taken else "unchanged", "batches": taken, "seconds": seconds}


def plan(spark: SparkSession, config: Config, lake: Lake, batch: int) -> bool:
    """Record which files batch `batch` takes; False, and nothing recorded, where there is nothing new."""
    known = tables.rows(spark, lake, BATCHES).select(["path", "size", "modified", "digest"]) if batch > 1 else None
    found = probe_new_files(spark, load_source(config.names.source), config.source, known)
    if not found.num_rows:
        return False
    settings = json.dumps(dataclasses.asdict(config.source), sort_keys=True)
    found = found.append_column("source", [[config.names.source] * found.num_rows])
    found = found.append_column("settings", [[settings] * found.num_rows])
    return tables.keep(spark, lake, BATCHES, batch, found.sort_by("path"))


def take(spark: SparkSession, lake: Lake, batch: int) -> None:
    """Write a planned batch: what was rejected, then the documents, whose commit says that it is taken."""
    planned = tables.rows(spark, lake, BATCHES, batch, batch)
    good = planned.filter(pc.is_null(planned["problem"])).select(["path", "name"])
    targets = tables.target(lake, DOCUMENTS), tables.target(lake, QUARANTINE)
    with spark_progress(spark, f"ingest: batch {batch}, reading {good.num_rows:,} files"):
        told = _read(spark, lake, planned, good, batch, keeper(*targets, batch)) if good.num_rows else []
        bad_files = planned.filter(pc.is_valid(planned["problem"]))
        if bad_files.num_rows:
            rows = bad_files.append_column("row", pa.nulls(bad_files.num_rows, pa.int64()))
            rows = rows.append_column("reason", bad_files["problem"])
            told.append(parquet_writer.write(targets[1], f"{targets[1].token}-files.parquet", rows))
        # Readers look for the table even where nothing is wrong.
        if any(item["table"] == QUARANTINE.place for item in told) or tables.version(spark, lake, QUARANTINE) < 0:
            tables.commit(spark, lake, QUARANTINE, batch, told)
        tables.commit(spark, lake, DOCUMENTS, batch, told)


def _read(
    spark: SparkSession, lake: Lake, planned: pa.Table, good: pa.Table, batch: int, keep: parquet_writer.Worker
) -> list[parquet_writer.Told]:
    """Read a batch's good files through `keep`; what it tells of the files that it wrote."""
    source = load_source(planned["source"][0].as_py())
    options = source.Options(**json.loads(planned["settings"][0].as_py()))
    spread = spark.createDataFrame(good).repartition(parquet_scan.tasks(spark, good.num_rows))
    if not getattr(options, "id", None):
        return parquet_writer.collected(source.read_documents(spark, spread, options, WorkerStep(keep, TOLD)))
    # Whether an id is known can be told of all rows together only.
    raw = source.read_documents(spark, spread, options, PASS_THROUGH)
    return parquet_writer.written(with_conflicts(raw, tables.read(spark, lake, DOCUMENTS, last=batch - 1)), keep)


def keeper(documents: parquet_writer.Target, quarantine: parquet_writer.Target, batch: int) -> parquet_writer.Worker:
    """A worker's function: `RAW_DOCUMENT` -> `TOLD`, the good rows written to one table and the bad ones to another."""

    def work(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        kept, rejected = parquet_writer.Writer(documents), parquet_writer.Writer(quarantine)
        for raw in batches:
            good = pc.is_null(raw["reason"])
            yield from parquet_writer.told(kept.add(_as(raw.filter(good), documents.columns, batch)))
            yield from parquet_writer.told(rejected.add(_as(raw.filter(pc.invert(good)), quarantine.columns, batch)))
        yield from parquet_writer.told(kept.close())
        yield from parquet_writer.told(rejected.close())

    return work


def _as(rows: pa.RecordBatch, columns: pa.Schema, batch: int) -> pa.Table:
    """Rows with a table's columns: those it has, the batch, and null in the others."""
    arrays = [
        rows[field.name] if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
        for field in columns
    ]
    arrays[0] = pa.repeat(pa.scalar(batch, pa.int64()), rows.num_rows)
    return pa.Table.from_arrays(arrays, schema=columns)


def with_conflicts(rows: DataFrame, known: DataFrame) -> DataFrame:
    """Reject rows whose id is known, from an earlier batch or an earlier row, with another text."""
    older = known.groupBy("id").agg(F.any_value("digest").alias("known"))  # one id has one text
    first = F.first("digest").over(Window.partitionBy("id").orderBy("path", "row"))
    conflict = F.col("id").isNotNull() & (F.col("digest") != F.coalesce("known", first))
    reason = F.coalesce("reason", F.when(conflict, F.lit("the id is known with another text")))
    return rows.join(older, "id", "left").withColumn("reason", reason).select(*rows.columns)


if __name__ == "__main__":
    main("ingest", run, __doc__)
