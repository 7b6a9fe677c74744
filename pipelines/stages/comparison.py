"""Trains models on one snapshot and compares them: each one's grid is searched by validation, then all seeds run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.errors import UserError
from pipelines.evaluation.comparison_table import TrainingRow, summarize
from pipelines.lakehouse.dataset import Dataset, Snapshot
from pipelines.launch.launcher import check_resources
from pipelines.stages.comparison_rows import compare_pairs, training_row
from pipelines.stages.grid import Resolve, grid_points
from pipelines.stages.training import train
from pipelines.stages.update import TableUpdate
from pipelines.tracking.reports import DONE, ComparisonReport, TrainingReport
from pipelines.tracking.run_log import SEARCH, TRAIN, RunLog


@dataclass(frozen=True)
class Comparison:
    """What to compare on which snapshot; `update` is what brought the tables up to date."""

    resolve: Resolve
    models: Sequence[str]
    seeds: int
    grid: Sequence[str]
    dataset: Dataset
    snapshot: Snapshot
    update: TableUpdate

    def run(self, name: str, source: str) -> ComparisonReport:
        """Train what has not been trained yet; returns the report of the comparison, whose run is called `name`.

        Raises:
            UserError: there are no validation documents to search a grid by, or no test documents to compare on.
        """
        began = time.monotonic()
        rows = [row for model in self.models for row in self._train_seeds(model)]
        return ComparisonReport(
            job="compare",
            status=DONE,
            run=name,
            source=source,
            dataset=self.dataset.name,
            snapshot=self.snapshot.batch,
            trainings=rows,
            models=summarize(rows),
            differences=compare_pairs(self.dataset, self.snapshot, rows),
            seconds=self.update.seconds | {"compare": round(time.monotonic() - began, 2)},
        )

    def _train_seeds(self, model: str) -> list[TrainingRow]:
        """A row for each seed of a model, with the settings that its grid chose."""
        chosen = self._search(model)
        rows = []
        for seed in range(self.seeds):
            report = self._train(model, [*chosen, f"train.seed={seed}"], TRAIN)
            rows.append(training_row(self.dataset, self.snapshot, report, seed=seed, settings=chosen))
        return rows

    def _search(self, model: str) -> list[str]:
        """The point of the grid with the highest validation accuracy; among equals, the one with the lowest loss.

        Without a grid, or with one point, nothing is trained. Candidates are not evaluated on the test split.
        """
        points = grid_points(self.resolve, model, self.grid)
        if len(points) < 2:
            return points[0]
        ranked = []
        for point in points:
            report = self._train(model, ["train.refit=false", *point], SEARCH)
            validation = report.metrics.validation if report.metrics else None
            if validation is None:
                raise UserError(
                    "grid= chooses by validation, but there are no validation documents: see split.validation"
                )
            ranked.append((-validation.get("accuracy", 0.0), validation["loss"], point))
        return min(ranked)[2]

    def _train(self, model: str, arguments: Sequence[str], job: str) -> TrainingReport:
        """Train, or go on with what an earlier comparison began, or take the report of what it finished."""
        request, batch = self.resolve(model, arguments), self.snapshot.batch
        settings = request.settings
        name = f"{job}-{settings.model}-{settings.train.seed}-{settings.digest(batch)}"
        finished = RunLog(self.dataset).finished_training(name)
        if finished:
            return finished
        check_resources(self.dataset.session, settings.train.ranks, self.dataset.root)
        return train(self.dataset, replace(request, run=name, snapshot=str(batch), job=job), self.update)
