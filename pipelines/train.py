"""train: from raw text to a trained and evaluated model. Brings the tables up to date, trains, evaluates."""

from pyspark.sql import SparkSession

from pipelines.config import Config
from pipelines.job.cli import main
from pipelines.job.resolve import configured_dataset, training_request, update_settings
from pipelines.launch.launcher import check_resources
from pipelines.stages.training import train
from pipelines.stages.update import update_tables
from pipelines.tracking.reports import TrainingReport


def run(spark: SparkSession, config: Config) -> TrainingReport:
    """Train a model on the newest snapshot (or `snapshot=`) and evaluate it on the test split.

    `run=` of an unfinished run goes on from its last checkpoint, with the snapshot that it started with. Meanwhile
    other jobs may take new text, but none can train the same run.

    Raises:
        UserError: there are fewer than two labels, no train document or too few slots, `run=` names a finished run or
            one with other settings, or the loss is not finite.
        Busy: another job holds the data set or the run.
        RankFailure: as `launcher.launch`; the failure is kept in `runs`.
    """
    settings = update_settings(config)
    request = training_request(config)
    dataset = configured_dataset(spark, config)
    check_resources(spark, request.settings.train.ranks, dataset.root)
    return train(dataset, request, update_tables(dataset, settings))


if __name__ == "__main__":
    main("train", run, __doc__)
