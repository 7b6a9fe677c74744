"""ingest: from a source's files to bronze. Plans a batch of what is new, then takes it, each file once."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.config import Config, component
from pipelines.errors import Outage, UserError
from pipelines.job.cli import main
from pipelines.job.progress import step
from pipelines.lakehouse import locks, parquet_scan, parquet_writer, tables
from pipelines.lakehouse.parquet_writer import TOLD
from pipelines.lakehouse.tables import BATCHES, DOCUMENTS, QUARANTINE, Lake
from pipelines.readers.formats import BrokenFile, Row, UnknownColumn, check_file
from pipelines.readers.listing import Arrival, sha256
from pipelines.readers.raw_documents import AS_IT_IS, Step
from pipelines.tracking import run_log

PROBED = pa.schema(
    {
        "path": pa.string(),
        "digest": pa.string(),
        "problem": pa.string(),
        "rows": pa.bool_(),
        "unknown": pa.string(),
    }
)
JSON_SAMPLE = 1000  # rows that may lack a column before it is taken to be unknown


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
    found = probed(spark, config, known)
    if not found.num_rows:
        return False
    settings = json.dumps(dataclasses.asdict(config.source), sort_keys=True)
    found = found.append_column("source", [[config.names.source] * found.num_rows])
    found = found.append_column("settings", [[settings] * found.num_rows])
    return tables.keep(spark, lake, BATCHES, batch, found.sort_by("path"))


def probed(spark: SparkSession, config: Config, known: pa.Table | None = None) -> pa.Table:
    """The source's files that are not `known`: path, name, size, modified, and what `PROBED` says of each.

    Raises:
        UserError: nothing is at the path, no file has the columns asked for, or (with nothing known) any row.
        Outage: its file system does not answer.
    """
    source = component("source", config.names.source)
    with step(spark, "looking at what is new"):
        try:
            found = source.arrivals(spark, config.source)
        except FileNotFoundError as error:
            raise UserError(str(error)) from error
        except ConnectionError as error:
            raise Outage(str(error)) from error
        if not found:
            raise UserError(f"no file is at {config.source.path}")
        fresh = _table(found)
        if known is not None:
            fresh = fresh.join(known, ["path", "size", "modified"], join_type="left anti")
        if not fresh.num_rows:
            return fresh
        fresh = fresh.join(_probe(spark, fresh, config), "path")
        if known is not None:  # touched, but not changed
            fresh = fresh.join(known, ["path", "digest"], join_type="left anti")
    if fresh.num_rows:
        _check(fresh, config, first=known is None)
    return fresh


def take(spark: SparkSession, lake: Lake, batch: int) -> None:
    """Write a planned batch: what was rejected, then the documents, whose commit says that it is taken."""
    planned = tables.rows(spark, lake, BATCHES, batch, batch)
    good = planned.filter(pc.is_null(planned["problem"])).select(["path", "name"])
    targets = tables.target(lake, DOCUMENTS), tables.target(lake, QUARANTINE)
    with step(spark, f"ingest: batch {batch}, reading {good.num_rows:,} files"):
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
    source = component("source", planned["source"][0].as_py())
    options = source.Options(**json.loads(planned["settings"][0].as_py()))
    spread = spark.createDataFrame(good).repartition(parquet_scan.tasks(spark, good.num_rows))
    if not getattr(options, "id", None):
        return parquet_writer.collected(source.read(spark, spread, options, Step(keep, TOLD)))
    # Whether an id is known can be told of all rows together only.
    raw = source.read(spark, spread, options, AS_IT_IS)
    return parquet_writer.written(with_conflicts(raw, tables.read(spark, lake, DOCUMENTS, last=batch - 1)), keep)


def keeper(documents: parquet_writer.Target, quarantine: parquet_writer.Target, batch: int) -> parquet_writer.Worker:
    """A worker's function: `reading.RAW` -> `TOLD`, the good rows written to one table and the bad ones to another."""

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


def _table(found: list[Arrival]) -> pa.Table:
    names = [item.name for item in dataclasses.fields(Arrival)]
    return pa.table({name: [getattr(item, name) for item in found] for name in names})


def _probe(spark: SparkSession, fresh: pa.Table, config: Config) -> pa.Table:
    """Read every new file once: its digest, what is wrong with it as a whole, whether it has any row."""
    source, options = component("source", config.names.source), config.source

    def probe(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [_probed(path, source.rows, options) for path in batch["path"].to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, PROBED)

    paths = spark.createDataFrame(fresh.select(["path"])).repartition(parquet_scan.tasks(spark, fresh.num_rows))
    return paths.mapInArrow(probe, from_arrow_schema(PROBED)).toArrow()


def _probed(path: str, rows: Callable[[str, Any], Iterator[Row]], options: Any) -> dict[str, Any]:
    result = {"path": path, "digest": sha256(path), "problem": None, "rows": True, "unknown": None}
    try:
        check_file(path, getattr(options, "format", ""), getattr(options, "encoding", "utf-8"))
        sample = list(islice(rows(path, options), JSON_SAMPLE if getattr(options, "format", "") == "json" else 1))
    except UnknownColumn as error:
        return result | {"problem": str(error), "unknown": str(error)}
    except (BrokenFile, UnicodeDecodeError) as error:
        return result | {"problem": str(error)}
    missing = {row.reason for row in sample if row.reason and row.reason.startswith("no column ")}
    if len(missing) == 1 and all(row.reason for row in sample):
        return result | {"unknown": missing.pop()}
    return result | {"rows": bool(sample)}


def _check(rows: pa.Table, config: Config, *, first: bool) -> None:
    unknown = rows.filter(pc.is_valid(rows["unknown"]))
    readable = pc.and_(pc.is_null(rows["problem"]), pc.is_null(rows["unknown"]))
    if unknown.num_rows and not pc.any(readable).as_py():
        raise UserError(f"{unknown['path'][0]}: {unknown['unknown'][0]}")
    if first and not pc.any(rows["rows"]).as_py():
        raise UserError(f"{config.source.path} is empty: {rows.num_rows:,} files without a row")


if __name__ == "__main__":
    main("ingest", run, __doc__)
