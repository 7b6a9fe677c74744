"""The jobs' reports: typed values, and the JSON object that `to_dict` makes of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from models.training.figures import TrainingCourse
from pipelines.evaluation.comparison_table import Difference, ModelRow, TrainingRow
from pipelines.evaluation.prediction_metrics import Evaluation, evaluation_from_dict

DONE, UNCHANGED, FAILED = "done", "unchanged", "failed"


def plain(value: Any) -> Any:
    """A value in terms of JSON: dataclasses as objects, tuples as lists."""
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


@dataclass(frozen=True, kw_only=True)
class Report:
    """What every job reports: `seconds` by stage, and `run` if the report is kept in the table `runs`."""

    job: str
    status: str
    run: str | None = None
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The report as a JSON object, without the fields that are None."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: plain(value) for name, value in values.items() if value is not None}

    def to_json(self) -> str:
        """The report as one line of JSON."""
        return json.dumps(self.to_dict())


@dataclass(frozen=True)
class RowCounts:
    """The rows of the batches that a job took: `read` = `kept` + `quarantined`.

    `duplicates` are among those kept; `two_labels` counts texts with two labels or more. Both are None before `clean`.
    """

    read: int
    kept: int
    quarantined: int
    duplicates: int | None = None
    two_labels: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The counts that are known."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}


@dataclass(frozen=True, kw_only=True)
class StageReport(Report):
    """The report of `ingest`, `clean` and `featurize`: which batches were taken, and how many rows they have."""

    source: str
    dataset: str
    batches: list[int]
    rows: RowCounts


@dataclass(frozen=True)
class TrainingMetrics:
    """Metrics of a training on its validation documents and on the test split; None if there were none."""

    validation: dict[str, float] | None
    test: Evaluation | None


@dataclass(frozen=True, kw_only=True)
class TrainingSummary(TrainingCourse):
    """The course of a training with its launches.

    Attributes:
        failures: launches that failed before the one that succeeded.
        launching: the seconds of that launch outside the ranks' own, which start and end their processes.
    """

    failures: int
    launching: float


@dataclass(frozen=True, kw_only=True)
class TrainingReport(Report):
    """The report of `train`: the run, its inputs, and its metrics."""

    model: str
    source: str
    dataset: str
    rows: RowCounts
    snapshot: int
    settings: str
    bundle: str
    metrics: TrainingMetrics | None = None
    train: TrainingSummary | None = None
    error: str | None = None

    @classmethod
    def from_json(cls, text: str) -> "TrainingReport":
        """Parse what `to_json` returned, in this version or an earlier one."""
        values = json.loads(text)
        metrics, train = values.get("metrics"), values.get("train")
        typed = {
            "rows": RowCounts(**values["rows"]),
            "metrics": metrics
            and TrainingMetrics(metrics["validation"], metrics["test"] and evaluation_from_dict(metrics["test"])),
            "train": train and TrainingSummary(**train),
        }
        return cls(**values | typed)


@dataclass(frozen=True, kw_only=True)
class EvaluationReport(Report):
    """The report of `evaluate`: a bundle's metrics on the test split of a snapshot."""

    model: str
    source: str
    dataset: str
    metrics: dict[str, Evaluation | None]
    rows: RowCounts
    snapshot: int
    bundle: str


@dataclass(frozen=True, kw_only=True)
class EnsembleReport(EvaluationReport):
    """The report of `ensemble`: that of `evaluate`, with the bundles that were united."""

    members: list[str]


@dataclass(frozen=True)
class PredictedRows:
    """The rows that `predict` read: each has a prediction, or the reason why it has none."""

    read: int
    predicted: int
    rejected: int


@dataclass(frozen=True, kw_only=True)
class PredictionReport(Report):
    """The report of `predict`: the bundle, the rows and the output table."""

    model: str
    source: str
    rows: PredictedRows
    bundle: str
    output: str


@dataclass(frozen=True, kw_only=True)
class ComparisonReport(Report):
    """The report of `compare`: a row for each training and for each model, and the differences between models."""

    source: str
    dataset: str
    snapshot: int
    trainings: list[TrainingRow]
    models: list[ModelRow]
    differences: list[Difference]


@dataclass(frozen=True)
class RemovedFiles:
    """How many files were removed, and their bytes."""

    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class MaintenanceReport(Report):
    """The report of `maintain`: the files and bytes of each table before and after, and what was removed."""

    dataset: str
    compacted: list[str]
    files: dict[str, tuple[int, int]]
    bytes: dict[str, tuple[int, int]]
    removed: RemovedFiles
