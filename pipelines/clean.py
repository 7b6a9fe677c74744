"""clean: from bronze to silver. Normalises text, drops exact duplicates, and assigns each document to a split."""

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.resolve import configured_dataset, update_settings
from pipelines.job.stage_report import record_stage
from pipelines.stages.update import CLEAN, update_tables
from pipelines.tracking.reports import StageReport


def run(spark: SparkSession, config: Config) -> StageReport:
    """Bring silver up to date with the source; `ingest` runs first.

    Raises:
        UserError: as `ingest.run`, or the data set was divided with other `split.*` settings.
        Busy: another job holds the data set.
    """
    dataset = configured_dataset(spark, config)
    update = update_tables(dataset, update_settings(config), through=CLEAN)
    return record_stage(dataset, CLEAN, config.names.source, update)


if __name__ == "__main__":
    main("clean", run, __doc__)
