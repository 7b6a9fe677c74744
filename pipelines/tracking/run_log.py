"""The tables `runs` and `metrics`: jobs' reports are added and looked up."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter

import pyarrow as pa

from pipelines.lakehouse.dataset import Dataset
from pipelines.tracking.reports import DONE, Report, TrainingReport

TRAIN, SEARCH = "train", "search"  # jobs that train a model; a search's candidates are not evaluated


def new_run() -> str:
    """A run's name, which sorts by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class RunLog:
    """The reports of a data set's runs."""

    dataset: Dataset

    def record(self, report: Report, steps: pa.Table | None = None) -> None:
        """Append a job's report to `runs`, and its metrics and those of its training's `steps` to `metrics`.

        `steps` has a column `step` and one for each metric.
        """
        assert report.run
        content = report.to_dict()
        row = {"job": report.job, "status": report.status, "report": json.dumps(content)}
        self.dataset.runs.append(report.run, pa.Table.from_pylist([row]))
        if "metrics" in content:
            values = flatten_metrics(content["metrics"])
            final = pa.table(
                {
                    "step": pa.nulls(len(values), pa.int64()),
                    "name": [name for name, _ in values],
                    "value": [value for _, value in values],
                }
            )
            pieces = [final, *([_one_row_per_metric(steps)] if steps else [])]
            rows = pa.concat_tables(pieces, promote_options="permissive")
            self.dataset.metrics.append(report.run, rows.append_column("snapshot", [[content["snapshot"]] * len(rows)]))

    def finished_training(self, run: str) -> TrainingReport | None:
        """The report of the training named `run`, if it is finished."""
        for row in self.dataset.runs.rows(run, run).to_pylist():
            if row["status"] == DONE and row["job"] in (TRAIN, SEARCH):
                return TrainingReport.from_json(row["report"])
        return None

    def newest_training(self, settings: str) -> TrainingReport | None:
        """The report of the newest finished training with these settings (a digest), if there is one."""
        for row in sorted(self.dataset.runs.rows().to_pylist(), key=itemgetter("run"), reverse=True):
            if (row["job"], row["status"]) == (TRAIN, DONE):
                report = TrainingReport.from_json(row["report"])
                if report.settings == settings:
                    return report
        return None

    def snapshots(self) -> set[int]:
        """The snapshots that reports name."""
        reports = (json.loads(text) for text in self.dataset.runs.rows()["report"].to_pylist())
        return {report["snapshot"] for report in reports if "snapshot" in report}


def _one_row_per_metric(steps: pa.Table) -> pa.Table:
    names = [name for name in steps.column_names if name != "step"]
    return pa.concat_tables(
        pa.table({"step": steps["step"], "name": [f"train.{name}"] * len(steps), "value": steps[name]})
        for name in names
    )


def flatten_metrics(metrics: Mapping[str, object], prefix: str = "") -> list[tuple[str, float]]:
    """Nested metrics as (`test.accuracy`, value) pairs; lists are left out."""
    pairs: list[tuple[str, float]] = []
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            pairs += flatten_metrics(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            pairs.append((f"{prefix}{key}", float(value)))
    return pairs
