"""predict: labels for new documents, from a bundle alone. Each row in gives one row out; the lake is not touched."""

import time

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.evaluation.bundle_scoring import load_bundle, manifest_of, tokenizer_options
from pipelines.job.cli import main
from pipelines.job.resolve import bundle_models, configured_source
from pipelines.stages.prediction import check_output, predict_source, score_rows
from pipelines.tracking.reports import DONE, PredictionReport


def run(spark: SparkSession, config: Config) -> PredictionReport:
    """Predict every row of a source into the Delta table `output=`, which is replaced as a whole.

    A row that cannot be read has a reason instead of a prediction.

    Raises:
        UserError: `bundle=` or `output=` is missing or cannot be used, or there is nothing at the source's path.
    """
    if not config.bundle or not config.output:
        raise UserError("bundle=<folder> and output=<table> are both required")
    models, folder, output = bundle_models(), config.bundle, config.output
    manifest = manifest_of(folder, models)
    load_bundle(folder, models)  # so that a broken bundle is reported here, not by a worker
    check_output(spark, output)
    began = time.monotonic()
    worker = score_rows(folder, models, tokenizer_options(manifest))
    rows = predict_source(spark, configured_source(config), output, worker)
    return PredictionReport(
        job="predict",
        status=DONE,
        model=manifest.model,
        source=config.names.source,
        rows=rows,
        seconds={"predict": round(time.monotonic() - began, 2)},
        bundle=folder,
        output=output,
    )


if __name__ == "__main__":
    main("predict", run, __doc__)
