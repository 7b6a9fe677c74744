"""Exact metrics of a run's predictions, from the table `predictions`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.storage.json_values import JsonObject
from models.training.metrics import ClassScores, MultiLabelMetrics, RegressionMetrics, SingleLabelMetrics
from pipelines.lakehouse.dataset import Dataset

TRUTH_COLUMNS = {"label": "labels", "labels": "labels", "target": "target"}  # by the kind of a bundle's task
PREDICTION_COLUMNS = {"label": "predicted", "labels": "predicted_labels", "target": "predicted_value"}
MOST_CONFUSION_CLASSES = 50  # with more, the matrix is left out; the table `predictions` has every pair


@dataclass(frozen=True, kw_only=True)
class LabelCounts:
    """Test documents whose labels were predicted.

    Attributes:
        documents: how many there are.
        unknown_label: those with a label that the bundle does not have; they count as wrong.
        classes: precision, recall, F1 and support of each class.
    """

    documents: int
    unknown_label: int
    classes: dict[str, dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class SingleLabelEvaluation(LabelCounts, SingleLabelMetrics):
    """Metrics for one label per document.

    `confusion`: documents by true (row) and predicted class (column), in the order of `classes`; None if there are more
    than `MOST_CONFUSION_CLASSES`.
    """

    confusion: list[list[int]] | None = None

    def to_dict(self) -> JsonObject:
        """The metrics as a JSON object, without a matrix that was left out."""
        return {name: value for name, value in super().to_dict().items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class MultiLabelEvaluation(LabelCounts, MultiLabelMetrics):
    """Metrics for any number of labels per document."""


@dataclass(frozen=True, kw_only=True)
class RegressionEvaluation(RegressionMetrics):
    """Metrics for `documents` test documents with a target."""

    documents: int


Evaluation = SingleLabelEvaluation | MultiLabelEvaluation | RegressionEvaluation


def evaluation_from_dict(values: Mapping[str, Any]) -> Evaluation:
    """The evaluation that `to_dict` turned into `values`, whatever its task."""
    if "rmse" in values:
        return RegressionEvaluation(**values)
    kind = MultiLabelEvaluation if "micro_f1" in values else SingleLabelEvaluation
    return kind(**{**values, "interval": tuple(values["interval"])})


def metrics_of_run(dataset: Dataset, run: str, batch: int, kind: str, labels: Sequence[str]) -> Evaluation | None:
    """Metrics of a run's predictions for the snapshot `batch`; None if there are no predictions.

    `kind` is the kind of the bundle's task, `labels` are the bundle's labels.
    """
    batches = predictions(dataset, run, batch, [TRUTH_COLUMNS[kind], PREDICTION_COLUMNS[kind]])
    if kind == "target":
        return regression_metrics(list(batches))
    pairs = (pair for rows in batches for pair in zip(*(column.to_pylist() for column in rows.columns), strict=True))
    evaluation = multi_label_metrics(pairs, labels) if kind == "labels" else single_label_metrics(pairs, labels)
    return evaluation if evaluation.documents else None


def predictions(dataset: Dataset, run: str, batch: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a run's predictions for the snapshot `batch`."""
    for rows in dataset.predictions.scan(["snapshot", *columns], run, run):
        yield rows.filter(pc.equal(rows["snapshot"], batch)).select(columns)


def regression_metrics(batches: Sequence[pa.RecordBatch]) -> RegressionEvaluation | None:
    """Metrics of rows (target, predicted value); None if there are none."""
    if not sum(rows.num_rows for rows in batches):
        return None
    true, predicted = (np.concatenate([rows.column(index).to_numpy() for rows in batches]) for index in (0, 1))
    return RegressionEvaluation(documents=len(true), **asdict(RegressionMetrics.of(true, predicted)))


def single_label_metrics(pairs: Iterable[tuple[Sequence[str], str]], labels: Sequence[str]) -> SingleLabelEvaluation:
    """Metrics of pairs (true labels, predicted label): the first true label counts; one outside `labels` is wrong."""
    counts = Counter((true[0], predicted) for true, predicted in pairs)
    names = sorted({*labels, *(label for label, _ in counts)})
    index = {name: number for number, name in enumerate(names)}
    true, predicted, hits = (np.zeros(len(names), np.int64) for _ in range(3))
    for (label, answer), number in counts.items():
        true[index[label]] += number
        predicted[index[answer]] += number
        hits[index[label]] += number if label == answer else 0
    unknown = [index[name] for name in names if name not in set(labels)]
    return SingleLabelEvaluation(
        **asdict(SingleLabelMetrics.of_counts(hits, predicted, true)),
        documents=int(true.sum()),
        unknown_label=int(true[unknown].sum()),
        classes=ClassScores.of_counts(hits, predicted, true).to_dict(names),
        confusion=_confusion(counts, index) if len(names) <= MOST_CONFUSION_CLASSES else None,
    )


def _confusion(counts: Mapping[tuple[str, str], int], index: Mapping[str, int]) -> list[list[int]]:
    matrix = [[0] * len(index) for _ in index]
    for (label, answer), number in counts.items():
        matrix[index[label]][index[answer]] = number
    return matrix


def multi_label_metrics(
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]], labels: Sequence[str]
) -> MultiLabelEvaluation:
    """Metrics of pairs (true labels, predicted labels): a true label outside `labels` is never predicted."""
    hits: Counter[str] = Counter()
    predicted: Counter[str] = Counter()
    true: Counter[str] = Counter()
    exact = documents = unknown = 0
    for true_labels, predicted_labels in pairs:
        truth, answer = set(true_labels), set(predicted_labels)
        hits.update(truth & answer)
        predicted.update(answer)
        true.update(truth)
        exact += truth == answer
        documents += 1
        unknown += not truth <= set(labels)
    names = sorted({*labels, *true})
    counts = [np.array([counter[name] for name in names]) for counter in (hits, predicted, true)]
    return MultiLabelEvaluation(
        **asdict(MultiLabelMetrics.of_counts(*counts, exact=exact, documents=documents)),
        documents=documents,
        unknown_label=unknown,
        classes=ClassScores.of_counts(*counts).to_dict(names),
    )
