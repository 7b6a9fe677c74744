"""ensemble: bundles whose probabilities are averaged, as a bundle of its own, evaluated on the test split."""

import time
from typing import Any

from pyspark.sql import SparkSession

from models.training import bundle as bundles
from models.training import files as store
from pipelines import evaluate, featurize, lock, report, scoring
from pipelines import lake as lakes
from pipelines.command import main
from pipelines.config import Config, UserError
from pipelines.lake import Lake


def run(spark: SparkSession, config: Config) -> dict[str, Any]:
    """Unite `bundles=` into one, which `evaluate` and `predict` take as they take any other.

    Raises:
        UserError: fewer than two bundles, one that cannot be used, some that do not fit together, or `run=` is taken.
    """
    if len(config.bundles) < 2:
        raise UserError("bundles=[<folder>,<folder>,...] is missing: two bundles or more")
    members = [scoring.folder(path) for path in config.bundles]
    config = scoring.with_features(config, scoring.manifest(members[0]))
    lake = lakes.of(config)
    identity = config.run or report.new_run()
    with lock.run(spark, lake.folder, identity, config.overlapping):
        return held(spark, config, lake, identity, members)


def held(spark: SparkSession, config: Config, lake: Lake, identity: str, members: list[str]) -> dict[str, Any]:
    """`run`, the new run held."""
    folder = f"{lake.folder}/bundles/{identity}"
    if store.names(folder):
        raise UserError(f"run={identity} is there already: {folder}")
    before = report.rows(spark, config, featurize.update(spark, config))
    snapshot = lakes.snapshot(spark, lake, config.snapshot)
    began = time.monotonic()
    try:
        bundles.unite(folder, members, models=scoring.known())
    except ValueError as error:
        raise UserError(str(error)) from error
    scores = evaluate.score(spark, lake, folder, snapshot, identity)
    result = {
        "job": "ensemble",
        "status": "done",
        "run": identity,
        "model": bundles.ENSEMBLE,
        "source": config.names.source,
        "dataset": lake.dataset,
        "members": members,
        "metrics": {"test": scores},
        "rows": before["rows"],
        "seconds": before["seconds"] | {"ensemble": round(time.monotonic() - began, 2)},
        "snapshot": snapshot["batch"],
        "bundle": folder,
    }
    report.keep(spark, lake, result)
    return result


if __name__ == "__main__":
    main("ensemble", run, __doc__)
