"""ingest: from a source's files to bronze. Plans a batch of the new files, then takes each of them once."""

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.resolve import configured_dataset, update_settings
from pipelines.job.stage_report import record_stage
from pipelines.stages.update import INGEST, update_tables
from pipelines.tracking.reports import StageReport


def run(spark: SparkSession, config: Config) -> StageReport:
    """Take the source's files that the data set does not have yet.

    Raises:
        UserError: there is nothing at the source's path, it is empty, or a column is unknown; nothing is written then.
        Busy: another job holds the data set.
    """
    dataset = configured_dataset(spark, config)
    update = update_tables(dataset, update_settings(config), through=INGEST)
    return record_stage(dataset, INGEST, config.names.source, update)


if __name__ == "__main__":
    main("ingest", run, __doc__)
