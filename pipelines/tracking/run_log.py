"""What a job says when it is done, and where that is kept."""

import json
import secrets
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.lakehouse import tables
from pipelines.lakehouse.tables import CLEAN, DOCUMENTS, METRICS, QUARANTINE, RUNS, Lake

TRAININGS = ("train", "search")  # jobs of `pipelines.train`


def stage(spark: SparkSession, config: Config, done: dict[str, Any]) -> dict[str, Any]:
    """The report of a stage's `update`, kept in `runs` where the stage changed something."""
    lake = tables.of(config)
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
    lake = tables.of(config)
    taken = done["batches"] or [0]
    kept, quarantined, distinct = (
        tables.count(spark, lake, table, taken[0], taken[-1]) for table in (DOCUMENTS, QUARANTINE, CLEAN)
    )
    found = {"read": kept + quarantined, "kept": kept, "quarantined": quarantined}
    if "two_labels" in done:
        found |= {"duplicates": kept - distinct, "two_labels": done["two_labels"]}
    return done | {"rows": found}


def new_run() -> str:
    """A name that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def keep(spark: SparkSession, lake: Lake, result: dict[str, Any], steps: pa.Table | None = None) -> None:
    """Append a finished job to `runs`; its figures, and those of its training's `steps`, to `metrics`."""
    run = result["run"]
    kept = {"job": result["job"], "status": result["status"], "report": json.dumps(result)}
    tables.keep(spark, lake, RUNS, run, pa.Table.from_pylist([kept]))
    if "metrics" in result:
        figures = flat(result["metrics"])
        rows = pa.table(
            {
                "step": pa.nulls(len(figures), pa.int64()),
                "name": [n for n, _ in figures],
                "value": [v for _, v in figures],
            }
        )
        whole = pa.concat_tables([rows, *([_long(steps)] if steps else [])], promote_options="permissive")
        numbered = whole.append_column("snapshot", [[result["snapshot"]] * len(whole)])
        tables.keep(spark, lake, METRICS, run, numbered)


def _long(steps: pa.Table) -> pa.Table:
    """One row a step and figure, from one column a figure."""
    names = [name for name in steps.column_names if name != "step"]
    return pa.concat_tables(
        pa.table({"step": steps["step"], "name": [f"train.{name}"] * len(steps), "value": steps[name]})
        for name in names
    )


def flat(metrics: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """Nested figures as (`test.accuracy`, value) pairs; lists are left out."""
    found: list[tuple[str, float]] = []
    for key, value in metrics.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            found.append((f"{prefix}{key}", float(value)))
    return found


def finished(spark: SparkSession, lake: Lake, run: str) -> dict[str, Any] | None:
    """The report of a training of this name that is done."""
    rows = tables.rows(spark, lake, RUNS, run, run).to_pylist()
    done = (json.loads(row["report"]) for row in rows if row["status"] == "done" and row["job"] in TRAININGS)
    return next(done, None)


def find(spark: SparkSession, lake: Lake, settings: str) -> dict[str, Any] | None:
    """The report of a finished training with these settings, the newest."""
    reports = sorted(tables.rows(spark, lake, RUNS).to_pylist(), key=itemgetter("run"), reverse=True)
    trained = (json.loads(row["report"]) for row in reports if (row["job"], row["status"]) == ("train", "done"))
    return next((report for report in trained if report["settings"] == settings), None)
