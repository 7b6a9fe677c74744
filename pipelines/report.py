"""What a job says when it is done, and where that is kept."""

import json
import secrets
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines import lake as lakes
from pipelines.config import Config
from pipelines.lake import CLEAN, DOCUMENTS, METRICS, QUARANTINE, RUNS, Lake


def stage(spark: SparkSession, config: Config, done: dict[str, Any]) -> dict[str, Any]:
    """The report of a stage's `update`, kept in `runs` where the stage changed something."""
    lake = lakes.of(config)
    done = rows(spark, config, done)
    result = {
        "job": done["job"],
        "status": done["status"],
        "source": config.names.source,
        "dataset": lake.dataset,
        "batches": done["batches"],
        "rows": done["rows"],
        "seconds": done["seconds"],
    }
    if done["status"] == "done":
        result["run"] = new_run()
        keep(spark, lake, result)
    return result


def rows(spark: SparkSession, config: Config, done: dict[str, Any]) -> dict[str, Any]:
    """Add the `rows` of the batches that an `update` took: read = kept + quarantined.

    `duplicates` are among those kept and `two_labels` counts texts; both are `clean`'s to tell.
    """
    lake = lakes.of(config)
    tables = {"kept": DOCUMENTS, "quarantined": QUARANTINE, "distinct": CLEAN}
    counts = dict.fromkeys(tables, 0)
    if done["batches"]:
        parts = [
            lakes.read(spark, lake, table)
            .where(F.col("batch").isin(done["batches"]))
            .agg(F.count("*").alias("rows"), F.lit(name).alias("name"))
            for name, table in tables.items()
        ]
        counts = {row["name"]: row["rows"] for row in parts[0].union(parts[1]).union(parts[2]).collect()}
    found = {
        "read": counts["kept"] + counts["quarantined"],
        "kept": counts["kept"],
        "quarantined": counts["quarantined"],
    }
    if "two_labels" in done:
        found |= {"duplicates": counts["kept"] - counts["distinct"], "two_labels": done["two_labels"]}
    return done | {"rows": found}


def new_run() -> str:
    """A name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def keep(spark: SparkSession, lake: Lake, result: dict[str, Any]) -> None:
    """Append a finished job to `runs`, and its figures to `metrics`."""
    run = result["run"]
    kept = [(run, result["job"], result["status"], json.dumps(result))]
    spark.createDataFrame(kept, RUNS.schema).coalesce(1).write.format("delta").mode("append").save(lake.path(RUNS))
    if "metrics" not in result:
        return
    figures = [(run, result["snapshot"], name, value) for name, value in flat(result["metrics"])]
    table = spark.createDataFrame(figures, METRICS.schema).coalesce(1)
    table.write.format("delta").mode("append").save(lake.path(METRICS))


def flat(metrics: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Nested figures as (`test.accuracy`, value) pairs; lists are left out."""
    found: list[tuple[str, float]] = []
    for key, value in metrics.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            found.append((f"{prefix}{key}", float(value)))
    return found


def find(spark: SparkSession, lake: Lake, settings: str) -> dict[str, Any] | None:
    """The report of a finished training with these settings, the newest."""
    same = F.get_json_object("report", "$.settings") == settings
    found = lakes.read(spark, lake, RUNS).where((F.col("job") == "train") & same).orderBy(F.desc("run")).first()
    return json.loads(found["report"]) if found else None
