"""What a job says when it is done, and where that is kept."""

import json
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from pipelines import lake as lakes
from pipelines.lake import CLEAN, DOCUMENTS, METRICS, QUARANTINE, RUNS, Lake


def rows(spark: SparkSession, lake: Lake, batches: list[int]) -> dict[str, int]:
    """Rows of the batches a run took: read = kept + quarantined; duplicates are among those kept."""
    counts = dict.fromkeys(("kept", "quarantined", "distinct"), 0)
    if batches:
        tables = zip(counts, (DOCUMENTS, QUARANTINE, CLEAN), strict=True)
        parts = [
            lakes.read(spark, lake, table)
            .where(F.col("batch").isin(batches))
            .agg(F.count("*").alias("rows"), F.lit(name).alias("name"))
            for name, table in tables
        ]
        union = parts[0].union(parts[1]).union(parts[2])
        counts = {row["name"]: row["rows"] for row in union.collect()}
    return {
        "read": counts["kept"] + counts["quarantined"],
        "kept": counts["kept"],
        "quarantined": counts["quarantined"],
        "duplicates": counts["kept"] - counts["distinct"],
    }


def keep(spark: SparkSession, lake: Lake, result: dict[str, Any]) -> None:
    """Append a finished job to `runs`, and its figures to `metrics`."""
    run = result["run"]
    kept = [(run, result["job"], result["status"], json.dumps(result))]
    spark.createDataFrame(kept, RUNS.schema).coalesce(1).write.format("delta").mode("append").save(lake.path(RUNS))
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
