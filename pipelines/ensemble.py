"""ensemble: bundles whose probabilities are averaged, as a bundle of its own, evaluated on the test split."""

import time
from typing import Any

from pyspark.sql import SparkSession

from models.bundles import bundle
from models.storage import files
from pipelines import evaluate, featurize
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.evaluation import bundle_scoring
from pipelines.job.cli import main
from pipelines.lakehouse import locks, tables
from pipelines.lakehouse.tables import Lake
from pipelines.tracking import run_log


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Unite `bundles=` into one, which `evaluate` and `predict` take as they take any other.

    Raises:
        UserError: fewer than two bundles, one that cannot be used, some that do not fit together, or `run=` is taken.
    """
    if len(config.bundles) < 2:
        raise UserError("bundles=[<folder>,<folder>,...] is missing: two bundles or more")
    members = [bundle_scoring.folder(path) for path in config.bundles]
    config = bundle_scoring.with_features(config, bundle_scoring.manifest(members[0]))
    lake = tables.of(config)
    identity = config.run or run_log.new_run()
    with locks.run(spark, lake.folder, identity, config.overlapping):
        return held(spark, config, lake, identity, members)


def held(spark: SparkSession, config: Config, lake: Lake, identity: str, members: list[str]) -> dict[str, Any]:
    """`run`, the new run held."""
    folder = f"{lake.folder}/bundles/{identity}"
    if files.names(folder):
        raise UserError(f"run={identity} is there already: {folder}")
    before = run_log.rows(spark, config, featurize.update(spark, config))
    snapshot = tables.snapshot(spark, lake, config.snapshot)
    began = time.monotonic()
    try:
        bundle.create_ensemble(folder, members, models=bundle_scoring.known())
    except ValueError as error:
        raise UserError(str(error)) from error
    scores = evaluate.score(spark, lake, folder, snapshot, identity)
    result = {
        "job": "ensemble",
        "status": "done",
        "run": identity,
        "model": bundle.ENSEMBLE,
        "source": config.names.source,
        "dataset": lake.dataset,
        "members": members,
        "metrics": {"test": scores},
        "rows": before["rows"],
        "seconds": before["seconds"] | {"ensemble": round(time.monotonic() - began, 2)},
        "snapshot": snapshot["batch"],
        "bundle": folder,
    }
    run_log.keep(spark, lake, result)
    return result


if __name__ == "__main__":
    main("ensemble", run, __doc__)
