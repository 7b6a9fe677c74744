"""compare: trains models on one snapshot, and compares their accuracy and cost, and how sure the differences are."""

import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, replace

from pyspark.sql import SparkSession

from pipelines.config import Config, load
from pipelines.errors import UserError
from pipelines.evaluation import comparison_table
from pipelines.evaluation.comparison_table import TrainingRow
from pipelines.job.cli import main
from pipelines.job.resolve import (
    bundle_models,
    configured_dataset,
    configured_overlap,
    training_request,
    training_settings,
    update_settings,
)
from pipelines.lakehouse import locks
from pipelines.lakehouse.dataset import Dataset, Snapshot
from pipelines.launch import launcher
from pipelines.stages.comparison import compare_pairs, training_row
from pipelines.stages.training import train
from pipelines.stages.update import TableUpdate, update_tables
from pipelines.tracking.reports import DONE, ComparisonReport, TrainingReport
from pipelines.tracking.run_log import SEARCH, TRAIN, RunLog, new_run


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
    dataset, name = configured_dataset(spark, config), new_run()
    update = update_tables(dataset, update_settings(config))
    # The lock tells `maintain` that a job is reading; the name is new, so no other job holds it.
    with locks.run_lock(spark, dataset.folder, name, configured_overlap(config)):
        comparison = Comparison(config, dataset, dataset.snapshot(config.snapshot), update)
        report = comparison.run(name)
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


@dataclass(frozen=True)
class Comparison:
    """A configuration's trainings on one snapshot."""

    config: Config
    dataset: Dataset
    snapshot: Snapshot
    update: TableUpdate

    def run(self, name: str) -> ComparisonReport:
        """Train what has not been trained yet; returns the report of the comparison, whose run is called `name`."""
        began = time.monotonic()
        rows: list[TrainingRow] = []
        for model in self.config.models:
            chosen = self.search(model)
            for seed in range(self.config.seeds):
                trained = self.train(self.variant(model, *chosen, f"train.seed={seed}"), TRAIN)
                rows.append(
                    training_row(
                        self.dataset, self.snapshot, trained, models=bundle_models(), seed=seed, settings=chosen
                    )
                )
        return ComparisonReport(
            job="compare",
            status=DONE,
            run=name,
            source=self.config.names.source,
            dataset=self.dataset.name,
            snapshot=self.snapshot.batch,
            trainings=rows,
            models=comparison_table.summarize(rows),
            differences=compare_pairs(self.dataset, self.snapshot, rows),
            seconds=self.update.seconds | {"compare": round(time.monotonic() - began, 2)},
        )

    def search(self, model: str) -> list[str]:
        """The point of the grid with the highest validation accuracy; among equals, the one with the lowest loss.

        Without a grid, or with one point, nothing is trained. Candidates are not evaluated on the test split.

        Raises:
            UserError: there are no validation documents.
        """
        axes = [axis_values(axis) for axis in self.config.grid if has_key(self.config, model, axis)]
        points = [list(point) for point in itertools.product(*axes)]
        if len(points) < 2:
            return points[0]
        ranked = []
        for point in points:
            report = self.train(self.variant(model, "train.refit=false", *point), SEARCH)
            validation = report.metrics.validation if report.metrics else None
            if validation is None:
                raise UserError(
                    "grid= chooses by validation, but there are no validation documents: see split.validation"
                )
            ranked.append((-validation.get("accuracy", 0.0), validation["loss"], point))
        return min(ranked)[2]

    def variant(self, model: str, *arguments: str) -> Config:
        """The configuration of one training."""
        fixed = [f"model={model}", f"snapshot={self.snapshot.batch}", "run=", "bundle=", "report=", "output="]
        return load([*self.config.arguments, *fixed, *arguments])

    def train(self, config: Config, job: str) -> TrainingReport:
        """Train, or go on with what an earlier comparison began, or take the report of what it finished."""
        settings = training_settings(config)
        name = f"{job}-{settings.model}-{settings.train.seed}-{settings.digest(self.snapshot.batch)}"
        finished = RunLog(self.dataset).finished_training(name)
        if finished:
            return finished
        launcher.check_resources(self.dataset.session, config.train.ranks, self.dataset.root)
        return train(self.dataset, training_request(replace(config, run=name), job), self.update)


def check(config: Config) -> None:
    """Refuse what cannot be compared, before any work.

    Raises:
        UserError: there is no model, one twice, one that predicts a number, no seed, or a grid that no model takes.
    """
    if not config.models:
        raise UserError("models=[<name>,...] is missing: name the models to compare")
    if config.seeds < 1:
        raise UserError(f"seeds must be 1 or more, not {config.seeds}")
    if len(set(config.models)) < len(config.models):
        raise UserError("models= names a model twice")
    comparison_table.check_output(config.output)
    for model in config.models:
        _check_learns_labels(load([*config.arguments, f"model={model}"]), model)
    for axis in config.grid:
        takers = [model for model in config.models if has_key(config, model, axis)] or config.models[:1]
        for model, value in itertools.product(takers, axis_values(axis)):
            # `load` reports a value that is not valid.
            _check_learns_labels(load([*config.arguments, f"model={model}", value]), model)


def _check_learns_labels(config: Config, model: str) -> None:
    if config.train.kind == "target":
        loss = config.train.loss
        raise UserError(f"compare needs models that predict labels, and {model} predicts a number (train.loss={loss})")


def axis_values(axis: str) -> list[str]:
    """The arguments that an axis of the grid stands for: `key=a|b` is `key=a` and `key=b`.

    Raises:
        UserError: the axis has no value.
    """
    key, _, values = axis.partition("=")
    if not values:
        raise UserError(f"'{axis}' of grid= is not of the form key=value|value")
    return [f"{key}={value}" for value in values.split("|")]


def has_key(config: Config, model: str, axis: str) -> bool:
    """Whether a model has an axis's key: a model without dropout has no `model.dropout=0.3|0.5`."""
    for value in axis_values(axis):
        with suppress(UserError):
            load([*config.arguments, f"model={model}", value])
            return True
    return False


def render(report: ComparisonReport) -> str:
    """The comparison for people."""
    return comparison_table.render(report.models, report.differences)


if __name__ == "__main__":
    main("compare", run, __doc__, show=render)
