"""maintain: a data set's tables in fewer, larger files, and without files that nobody needs. What is in them stays."""

import time
from typing import Any

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.job.cli import main
from pipelines.job.progress import spark_progress
from pipelines.lakehouse import delta_kernel, locks
from pipelines.lakehouse import tables as lakes
from pipelines.lakehouse.tables import TABLES, Lake
from pipelines.maintenance import compaction, vacuum
from pipelines.tracking import run_log


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Compact the tables of a data set and of one feature set, then remove files that were replaced or never committed.

    It may be killed at any moment and repeated. Other jobs that would write these tables wait for it, or it for them;
    trainings go on, and keep the files that they read.

    Raises:
        UserError: there is no such data set.
        Busy: another job has it.
    """
    lake = lakes.of(config)
    with locks.tables(spark, lake.folder, config.overlapping):
        result = held(spark, config, lake)
    if result["status"] == "done":
        result["run"] = run_log.new_run()
        run_log.keep(spark, lake, result)
    return result


def held(spark: SparkSession, config: Config, lake: Lake) -> dict[str, Any]:
    """`run`, the data set held."""
    began = time.monotonic()
    tables = {table.place: table for table in TABLES if lakes.version(spark, lake, table) >= 0}
    if not tables:
        raise UserError(f"{lake.folder} has no tables: name the lake= and the dataset= to maintain")
    before = {place: size(spark, lake, table) for place, table in tables.items()}
    with spark_progress(spark, "maintain: compacting"):
        compacted = [place for place, table in tables.items() if compaction.compact(spark, lake, table)]
    after = {place: size(spark, lake, table) for place, table in tables.items()}
    compacting = time.monotonic()
    with spark_progress(spark, "maintain: files that nobody needs"):
        removed = vacuum.sweep(spark, lake, list(tables.values()), config.maintain.retention_hours)
    return {
        "job": "maintain",
        "status": "done" if compacted or removed["files"] else "unchanged",
        "dataset": lake.dataset,
        "compacted": compacted,
        "files": {place: [before[place][0], after[place][0]] for place in tables},
        "bytes": {place: [before[place][1], after[place][1]] for place in tables},
        "removed": removed,
        "seconds": {
            "compact": round(compacting - began, 2),
            "vacuum": round(time.monotonic() - compacting, 2),
        },
    }


def size(spark: SparkSession, lake: Lake, table: lakes.Table) -> tuple[int, int]:
    """A table's files and bytes in its newest state."""
    found = delta_kernel.listed(spark, lake.path(table), table.key)
    return len(found), sum(item.size for item in found)


if __name__ == "__main__":
    main("maintain", run, __doc__)
