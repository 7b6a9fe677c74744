"""evaluate: a bundle's metrics on a snapshot's test split, computed from the table of its predictions."""

import time

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.evaluation.bundle_scoring import manifest_of
from pipelines.job.cli import main
from pipelines.job.resolve import bundle_models, configured_dataset, update_settings, with_features_of
from pipelines.lakehouse import locks
from pipelines.stages.evaluation import EvaluatedBundle, evaluate_bundle, is_evaluated, name_bundle
from pipelines.stages.update import update_tables
from pipelines.tracking.reports import DONE, UNCHANGED, EvaluationReport
from pipelines.tracking.run_log import RunLog


def run(spark: SparkSession, config: Config) -> EvaluationReport:
    """Evaluate `bundle=` on `snapshot=`; the tables are brought up to date first.

    Raises:
        UserError: `bundle=` is missing or cannot be used.
        Busy: another job holds the data set, or evaluates the bundle.
    """
    if not config.bundle:
        raise UserError("bundle=<folder> is missing: name the bundle to evaluate")
    folder, models = config.bundle, bundle_models()
    manifest = manifest_of(folder, models)
    config = with_features_of(manifest, config)
    dataset, settings = configured_dataset(spark, config), update_settings(config)
    update = update_tables(dataset, settings)
    snapshot = dataset.snapshot(config.snapshot)
    name = name_bundle(dataset, folder, manifest)
    with locks.run_lock(spark, dataset.folder, name, settings.overlap):
        began = time.monotonic()
        bundle = EvaluatedBundle(folder, manifest, name, models)
        known = is_evaluated(dataset, name, snapshot)
        tested = evaluate_bundle(dataset, bundle, snapshot)
        report = EvaluationReport(
            job="evaluate",
            status=UNCHANGED if known else DONE,
            run=name,
            model=manifest.model,
            source=config.names.source,
            dataset=dataset.name,
            metrics={"test": tested},
            rows=update.rows,
            seconds=update.seconds | {"evaluate": round(time.monotonic() - began, 2)},
            snapshot=snapshot.batch,
            bundle=folder,
        )
        if not known:
            RunLog(dataset).record(report)
    return report


if __name__ == "__main__":
    main("evaluate", run, __doc__)
