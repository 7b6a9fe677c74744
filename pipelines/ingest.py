"""ingest: from a source's files to bronze. Plans a batch of what is new, then takes it, each file once."""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines import lake as lakes
from pipelines import report
from pipelines.command import main
from pipelines.config import Config, UserError, component
from pipelines.files import Arrival, sha256
from pipelines.formats import BrokenFile, Row, UnknownColumn, check_file
from pipelines.lake import BATCHES, DOCUMENTS, QUARANTINE, Lake
from pipelines.progress import step

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
    return report.stage(spark, config, update(spark, config))


def update(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Take what the source has that the data set has not.

    Raises:
        UserError: nothing at the path, an unknown column, an empty source; nothing is written then.
    """
    began = time.monotonic()
    lake = lakes.of(config)
    first = 1 + min(lakes.last_batch(spark, lake.path(table)) for table in (DOCUMENTS, QUARANTINE))
    planned = lakes.last_batch(spark, lake.path(BATCHES))
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
    known = lakes.read(spark, lake, BATCHES) if batch > 1 else None
    rows = probed(spark, config, known)
    if not rows.num_rows:
        return False
    settings = json.dumps(dataclasses.asdict(config.source), sort_keys=True)
    planned = spark.createDataFrame(rows).select(
        F.lit(batch).cast("bigint").alias("batch"),
        F.lit(config.names.source).alias("source"),
        F.lit(settings).alias("settings"),
        *["path", "name", "size", "modified", "digest", "problem"],
    )
    lakes.append(planned.coalesce(1).sortWithinPartitions("path"), lake, BATCHES, batch)
    return True


def probed(spark: SparkSession, config: Config, known: DataFrame | None = None) -> pa.Table:
    """The source's files that are not `known`: path, name, size, modified, and what `PROBED` says of each.

    Raises:
        UserError: nothing is at the path, no file has the columns asked for, or (with nothing known) any row.
    """
    source = component("source", config.names.source)
    try:
        found = source.arrivals(spark, config.source)
    except FileNotFoundError as error:
        raise UserError(str(error)) from error
    if not found:
        raise UserError(f"no file is at {config.source.path}")
    fresh = _table(spark, found)
    with step(spark, f"looking at what is new among {len(found):,} files"):
        if known is not None:
            unseen = fresh.join(known, ["path", "size", "modified"], "left_anti").toArrow()
            if not unseen.num_rows:
                return unseen
            fresh = spark.createDataFrame(unseen)
        rows = fresh.join(_probe(spark, fresh, config, len(found)), "path")
        if known is not None:  # touched, but not changed
            rows = rows.join(known.select("path", "digest"), ["path", "digest"], "left_anti")
        table = rows.toArrow()
    if table.num_rows:
        _check(table, config, first=known is None)
    return table


def take(spark: SparkSession, lake: Lake, batch: int) -> None:
    """Write a planned batch's documents, then what was rejected. All of it follows from the plan."""
    planned = lakes.of_batch(spark, lake, BATCHES, batch)
    first = planned.select("source", "settings").first()
    assert first, f"batch {batch} has no plan"
    source = component("source", first["source"])
    options = source.Options(**json.loads(first["settings"]))
    files = {row["good"]: row["count"] for row in planned.groupBy(F.isnull("problem").alias("good")).count().collect()}
    good = planned.where("problem is null").repartition(tasks(spark, files.get(True, 0)))
    rows = source.read(spark, good, options)
    if getattr(options, "id", None):
        rows = with_conflicts(rows, lakes.read(spark, lake, DOCUMENTS).where(F.col("batch") < batch))
    seen = Observation("rows")
    if lakes.last_batch(spark, lake.path(DOCUMENTS)) < batch:
        with step(spark, f"ingest: batch {batch}, reading {files.get(True, 0):,} files"):
            watched = rows.observe(seen, F.count_if(F.col("reason").isNotNull()).alias("bad"))
            lakes.append(documents(watched, batch), lake, DOCUMENTS, batch)
            if not seen.get["bad"]:  # the files need not be read again for rows that are not there
                rows = rows.limit(0)
    with step(spark, f"ingest: batch {batch}, setting bad rows aside"):
        lakes.append(rejected(rows, planned, batch), lake, QUARANTINE, batch)


def documents(rows: DataFrame, batch: int) -> DataFrame:
    """The good rows as `lake.DOCUMENTS`."""
    return rows.where("reason is null").select(
        F.lit(batch).cast("bigint").alias("batch"),
        *["id", "path", "row", "text"],
        F.lit(None).cast("binary").alias("content"),
        "labels",
        F.lit(None).cast("double").alias("target"),
        *["split", "digest"],
    )


def rejected(rows: DataFrame, planned: DataFrame, batch: int) -> DataFrame:
    """The bad rows, and the bad files of the plan, as `lake.QUARANTINE`."""
    number = F.lit(batch).cast("bigint").alias("batch")
    bad_files = planned.where("problem is not null").select(
        number, "path", F.lit(None).cast("bigint").alias("row"), F.col("problem").alias("reason"), "digest"
    )
    bad_rows = rows.where("reason is not null").select(number, "path", "row", "reason", "digest")
    return bad_files.union(bad_rows)


def with_conflicts(rows: DataFrame, known: DataFrame) -> DataFrame:
    """Reject rows whose id is known, from an earlier batch or an earlier row, with another text."""
    columns = rows.columns
    older = known.select("id", "digest", F.lit(0).alias("age"))
    both = rows.withColumn("age", F.lit(1)).unionByName(older, allowMissingColumns=True)
    first = Window.partitionBy("id").orderBy("age", "path", "row")
    conflict = F.col("id").isNotNull() & (F.col("digest") != F.first("digest").over(first))
    reason = F.coalesce("reason", F.when(conflict, F.lit("the id is known with another text")))
    return both.withColumn("reason", reason).where("age = 1").select(*columns)


def tasks(spark: SparkSession, files: int) -> int:
    """How many tasks read so many files: a few for each core, so that a large file does not keep all waiting."""
    return max(1, min(files, 4 * int(spark.sparkContext.defaultParallelism)))


def _table(spark: SparkSession, found: list[Arrival]) -> DataFrame:
    names = [item.name for item in dataclasses.fields(Arrival)]
    return spark.createDataFrame(pa.table({name: [getattr(item, name) for item in found] for name in names}))


def _probe(spark: SparkSession, fresh: DataFrame, config: Config, files: int) -> DataFrame:
    """Read every new file once: its digest, what is wrong with it as a whole, whether it has any row."""
    source, options = component("source", config.names.source), config.source

    def probe(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [_probed(path, source.rows, options) for path in batch["path"].to_pylist()]
            yield pa.RecordBatch.from_pylist(rows, PROBED)

    return fresh.select("path").repartition(tasks(spark, files)).mapInArrow(probe, from_arrow_schema(PROBED))


def _probed(path: str, rows: Callable[[str, Any], Iterator[Row]], options: Any) -> dict[str, Any]:
    result = {"path": path, "digest": sha256(path), "problem": None, "rows": True, "unknown": None}
    try:
        check_file(path, getattr(options, "format", ""))
        sample = list(islice(rows(path, options), JSON_SAMPLE if getattr(options, "format", "") == "json" else 1))
    except UnknownColumn as error:
        return result | {"problem": str(error), "unknown": str(error)}
    except (BrokenFile, UnicodeDecodeError) as error:
        return result | {"problem": str(error)}
    missing = {row.reason for row in sample if row.reason and row.reason.startswith("no column ")}
    if sample and len(missing) == 1 and all(row.reason in missing for row in sample):
        return result | {"unknown": missing.pop()}
    return result | {"rows": bool(sample)}


def _check(rows: pa.Table, config: Config, *, first: bool) -> None:
    unknown = rows["unknown"].to_pylist()
    if all(unknown):
        raise UserError(f"{rows['path'][0].as_py()}: {unknown[0]}")
    if first and not any(rows["rows"].to_pylist()):
        raise UserError(f"{config.source.path} is empty: {len(unknown):,} files without a row")


if __name__ == "__main__":
    main("ingest", run, __doc__)
