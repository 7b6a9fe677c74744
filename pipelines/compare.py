"""compare: trains models on one snapshot, and compares their accuracy and cost, and how sure the differences are."""

from collections.abc import Sequence

from pyspark.sql import SparkSession

from pipelines.config import Config, load
from pipelines.evaluation import comparison_table
from pipelines.job.cli import main
from pipelines.job.resolve import configured_dataset, training_request, update_settings
from pipelines.lakehouse import locks
from pipelines.stages.comparison import Comparison
from pipelines.stages.grid import Resolve, check_comparable
from pipelines.stages.training import TrainingRequest
from pipelines.stages.update import update_tables
from pipelines.tracking.reports import ComparisonReport
from pipelines.tracking.run_log import RunLog, new_run


def run(spark: SparkSession, config: Config) -> ComparisonReport:
    """Train each of `models=` with `seeds=` seeds on one snapshot, and compare what they predict for its test split.

    With `grid=` each model's settings are searched first, by validation alone. Trainings that an earlier, equal
    comparison finished are reused, and those that it began go on. `output=` names a CSV file that gets a row for each
    training, replacing an older one of the same data set, features, model and seed.

    Raises:
        UserError: as `train.run`, or there are no models, an unknown one, or a key of the grid that none of them has.
        Busy: another job holds the data set or one of the trainings.
    """
    check(config)
    dataset, settings, name = configured_dataset(spark, config), update_settings(config), new_run()
    update = update_tables(dataset, settings)
    # The lock tells `maintain` that a job is reading; the name is new, so no other job holds it.
    with locks.run_lock(spark, dataset.folder, name, settings.overlap):
        snapshot = dataset.snapshot(config.snapshot)
        comparison = Comparison(resolver(config), config.models, config.seeds, config.grid, dataset, snapshot, update)
        report = comparison.run(name, config.names.source)
        RunLog(dataset).record(report)
        if config.output:
            comparison_table.record_csv(
                config.output,
                report.trainings,
                dataset=config.dataset_name,
                features=config.names.features,
                arguments=config.arguments,
            )
    return report


def check(config: Config) -> None:
    """Refuse what cannot be compared, before any work.

    Raises:
        UserError: as `check_comparable`, or `output=` is a foreign file.
    """
    check_comparable(resolver(config), config.models, config.seeds, config.grid)
    comparison_table.check_output(config.output)


def resolver(config: Config) -> Resolve:
    """What the comparison's arguments ask for with another model and further arguments."""

    def resolve(model: str, arguments: Sequence[str]) -> TrainingRequest:
        return training_request(load([*config.arguments, f"model={model}", *arguments]))

    return resolve


def render(report: ComparisonReport) -> str:
    """The comparison for people."""
    return comparison_table.render(report.models, report.differences)


if __name__ == "__main__":
    main("compare", run, __doc__, show=render)
