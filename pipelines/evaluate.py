"""evaluate: a bundle on a snapshot's test split. Predictions go to a table; exact figures come from that table."""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from models.bundles.manifest import Manifest
from models.dataset.feature_reader import columns_for, stored_documents
from pipelines import featurize
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.evaluation import bundle_scoring, prediction_metrics
from pipelines.job.cli import main
from pipelines.job.progress import step
from pipelines.lakehouse import locks, parquet_scan, parquet_writer, tables
from pipelines.lakehouse.tables import FEATURES, PREDICTIONS, Lake
from pipelines.tracking import run_log


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Evaluate `bundle=` on `snapshot=`; the tables are brought up to date first.

    Raises:
        UserError: no bundle is given, or it cannot be used.
        Busy: another job has the data set, or evaluates the bundle.
    """
    if not config.bundle:
        raise UserError("bundle=<folder> is missing: the bundle to evaluate")
    manifest = bundle_scoring.manifest(config.bundle)
    config = bundle_scoring.with_features(config, manifest)
    lake = tables.of(config)
    before = run_log.rows(spark, config, featurize.update(spark, config))
    snapshot = tables.snapshot(spark, lake, config.snapshot)
    identity = identified(lake, bundle_scoring.folder(config.bundle), manifest)
    with locks.run(spark, lake.folder, identity, config.overlapping):
        return held(spark, config, lake, snapshot, identity, before)


def held(
    spark: SparkSession,
    config: Config,
    lake: Lake,
    snapshot: dict[str, Any],
    identity: str,
    before: dict[str, Any],
) -> dict[str, Any]:
    """`run`, the bundle's run held and the tables up to date, as the report `before` says."""
    began = time.monotonic()
    manifest = bundle_scoring.manifest(config.bundle)
    known = scored(spark, lake, identity, snapshot["batch"])
    scores = score(spark, lake, bundle_scoring.folder(config.bundle), snapshot, identity)
    result = {
        "job": "evaluate",
        "status": "unchanged" if known else "done",
        "run": identity,
        "model": manifest.model,
        "source": config.names.source,
        "dataset": lake.dataset,
        "metrics": {"test": scores},
        "rows": before["rows"],
        "seconds": before["seconds"] | {"evaluate": round(time.monotonic() - began, 2)},
        "snapshot": snapshot["batch"],
        "bundle": bundle_scoring.folder(config.bundle),
    }
    if not known:
        run_log.keep(spark, lake, result)
    return result


def identified(lake: Lake, folder: str, manifest: Manifest) -> str:
    """A bundle's name in this data set: its run's, where it was trained here; else with a digest of its content."""
    place, _, name = folder.rpartition("/")
    if place == f"{lake.root}/{lake.dataset}/bundles":
        return name
    return f"{name}-{hashlib.sha256(json.dumps(manifest.to_dict(), sort_keys=True).encode()).hexdigest()[:8]}"


def scored(spark: SparkSession, lake: Lake, identity: str, snapshot: int) -> bool:
    """Whether the bundle's predictions for a snapshot are there."""
    return tables.last_batch(spark, lake, PREDICTIONS, f"{identity}/{snapshot}") > 0


def score(
    spark: SparkSession, lake: Lake, folder: str, snapshot: dict[str, Any], identity: str
) -> dict[str, Any] | None:
    """Predict the labelled test documents of a snapshot (or those with a target) into `predictions`, and count.

    None where there is none.
    """
    paths = tables.file_paths(spark, lake, FEATURES, last=snapshot["batch"])
    target = tables.target(lake, PREDICTIONS)
    if not scored(spark, lake, identity, snapshot["batch"]):
        with step(spark, "evaluate: test documents"):
            predict = predictor(folder, identity, snapshot["batch"], paths, target.columns)
            told = parquet_writer.written(
                parquet_scan.spread(spark, paths), parquet_writer.chained(predict, parquet_writer.sink(target))
            )
            tables.commit(spark, lake, PREDICTIONS, identity, told, transaction=(f"{identity}/{snapshot['batch']}", 1))
    return prediction_metrics.of_run(spark, lake, identity, snapshot["batch"], bundle_scoring.manifest(folder))


def predictor(folder: str, identity: str, snapshot: int, paths: list[str], columns: pa.Schema) -> parquet_writer.Worker:
    """A worker's function: numbers of files in `paths` -> `lake.PREDICTIONS`, for test documents of known truth."""

    def predict(numbers: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bundle = bundle_scoring.loaded(folder)
        wanted = ["id", "split", "labels", "target", *columns_for(bundle.input_spec)]
        for path in parquet_scan.assigned(numbers, paths):
            for rows in parquet_scan.rows(path, wanted, last=snapshot):
                labelled = pc.greater(pc.list_value_length(rows["labels"]), 0)
                known = pc.is_valid(rows["target"]) if bundle.kind == "target" else labelled
                if bundle.input_spec.image:
                    known = pc.and_(known, pc.is_valid(rows["content"]))
                tests = rows.filter(pc.and_(known, pc.equal(rows["split"], "test")))
                run, number = pa.scalar(identity), pa.scalar(snapshot, pa.int64())
                named = [pa.repeat(value, tests.num_rows) for value in (run, number)]
                given = [tests[name] for name in ("id", "labels", "target")]
                found = [*named, *given, *bundle_scoring.answers(bundle, stored_documents(tests)).columns]
                yield pa.RecordBatch.from_arrays(found, schema=columns)

    return predict


if __name__ == "__main__":
    main("evaluate", run, __doc__)
