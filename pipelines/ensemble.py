"""ensemble: makes a bundle that averages the probabilities of others, and evaluates it on the test split."""

import time

from pyspark.sql import SparkSession

from models.bundles.bundle import ENSEMBLE, create_ensemble
from models.storage import files
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.evaluation.bundle_scoring import manifest_of
from pipelines.job.cli import main
from pipelines.job.resolve import bundle_models, configured_dataset, update_settings, with_features_of
from pipelines.lakehouse import locks
from pipelines.lakehouse.dataset import Dataset
from pipelines.stages.evaluation import EvaluatedBundle, evaluate_bundle
from pipelines.stages.update import update_tables
from pipelines.tracking.reports import DONE, EnsembleReport
from pipelines.tracking.run_log import RunLog, new_run


def run(spark: SparkSession, config: Config) -> EnsembleReport:
    """Unite `bundles=` into one, which `evaluate` and `predict` take like any other.

    Raises:
        UserError: there are fewer than two bundles, one cannot be used, they do not fit together, or `run=` exists.
        Busy: another job holds the data set or the run.
    """
    if len(config.bundles) < 2:
        raise UserError("bundles=[<folder>,<folder>,...] is missing: name two bundles or more")
    members = config.bundles
    config = with_features_of(manifest_of(members[0], bundle_models()), config)
    dataset, name = configured_dataset(spark, config), config.run or new_run()
    with locks.run_lock(spark, dataset.folder, name, update_settings(config).overlap):
        return _unite_locked(dataset, config, members, name)


def _unite_locked(dataset: Dataset, config: Config, members: list[str], name: str) -> EnsembleReport:
    """`run`, with the new run's lock held."""
    folder, models = dataset.bundle_folder(name), bundle_models()
    if files.names(folder):
        raise UserError(f"run={name} already exists: {folder}")
    update = update_tables(dataset, update_settings(config))
    snapshot = dataset.snapshot(config.snapshot)
    began = time.monotonic()
    try:
        manifest = create_ensemble(folder, members, models=models)
    except ValueError as error:
        raise UserError(str(error)) from error
    tested = evaluate_bundle(dataset, EvaluatedBundle(folder, manifest, name, models), snapshot)
    report = EnsembleReport(
        job="ensemble",
        status=DONE,
        run=name,
        model=ENSEMBLE,
        source=config.names.source,
        dataset=dataset.name,
        members=members,
        metrics={"test": tested},
        rows=update.rows,
        seconds=update.seconds | {"ensemble": round(time.monotonic() - began, 2)},
        snapshot=snapshot.batch,
        bundle=folder,
    )
    RunLog(dataset).record(report)
    return report


if __name__ == "__main__":
    main("ensemble", run, __doc__)
