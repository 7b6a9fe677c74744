"""maintain: merges a data set's small files and removes those that are no longer used. The tables' rows stay."""

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.resolve import configured_dataset, configured_overlap
from pipelines.lakehouse import locks
from pipelines.maintenance.upkeep import maintain_tables
from pipelines.tracking.reports import MaintenanceReport
from pipelines.tracking.run_log import RunLog


def run(spark: SparkSession, config: Config) -> MaintenanceReport:
    """Compact the tables of a data set and of one feature set, then remove files that were replaced or never committed.

    It may be killed at any moment and repeated. Jobs that write these tables wait for it; trainings go on, and the
    files that they read are kept.

    Raises:
        UserError: the data set has no tables.
        Busy: another job holds the data set.
    """
    dataset = configured_dataset(spark, config)
    with locks.tables_lock(spark, dataset.folder, configured_overlap(config)):
        report = maintain_tables(dataset, config.maintain.retention_hours)
    if report.run:
        RunLog(dataset).record(report)
    return report


if __name__ == "__main__":
    main("maintain", run, __doc__)
