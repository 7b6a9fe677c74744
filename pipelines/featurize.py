"""featurize: from silver to gold. Tokenizes each text once, and writes features, vocabulary and a snapshot."""

from pyspark.sql import DataFrame, SparkSession

from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.resolve import configured_dataset, update_settings
from pipelines.job.stage_report import record_stage
from pipelines.lakehouse.tfidf_query import tfidf_weights
from pipelines.stages.update import FEATURIZE, update_tables
from pipelines.tracking.reports import StageReport


def run(spark: SparkSession, config: Config) -> StageReport:
    """Bring a feature set up to date with the source; `ingest` and `clean` run first.

    Raises:
        UserError: as `clean.run`.
        Busy: another job holds the data set.
    """
    dataset = configured_dataset(spark, config)
    update = update_tables(dataset, update_settings(config), through=FEATURIZE)
    return record_stage(dataset, FEATURIZE, config.names.source, update)


def tfidf(spark: SparkSession, config: Config) -> DataFrame:
    """TF-IDF weights of the snapshot `snapshot=` for SQL users: (document, term, weight).

    Raises:
        UserError: there is no such snapshot.
    """
    dataset = configured_dataset(spark, config)
    return tfidf_weights(dataset, dataset.snapshot(config.snapshot), config.tfidf)


if __name__ == "__main__":
    main("featurize", run, __doc__)
