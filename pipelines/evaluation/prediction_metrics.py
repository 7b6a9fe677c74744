"""Exact figures of a run's predictions, out of the table `predictions`."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from models.bundles.manifest import Manifest
from models.training.metrics import ClassScores, MultiLabelMetrics, RegressionMetrics, SingleLabelMetrics
from pipelines.lakehouse import tables
from pipelines.lakehouse.tables import PREDICTIONS, Lake

TRUTHS = {"label": "labels", "labels": "labels", "target": "target"}
ANSWERS = {"label": "predicted", "labels": "predicted_labels", "target": "predicted_value"}


def of_run(spark: SparkSession, lake: Lake, identity: str, batch: int, manifest: Manifest) -> dict[str, Any] | None:
    """Of a run's predictions for a snapshot, by the kind of its bundle's task; None where there are none."""
    kind, labels = manifest.task.kind, manifest.labels
    found = predictions(spark, lake, identity, batch, [TRUTHS[kind], ANSWERS[kind]])
    if kind == "target":
        return number(list(found))
    pairs = (pair for rows in found for pair in zip(*(column.to_pylist() for column in rows.columns), strict=True))
    figures = several(pairs, labels) if kind == "labels" else single(pairs, labels)
    return figures if figures["documents"] else None


def predictions(
    spark: SparkSession, lake: Lake, identity: str, batch: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of a run's predictions for a snapshot."""
    for rows in tables.scan(spark, lake, PREDICTIONS, identity, identity, ["snapshot", *columns]):
        yield rows.filter(pc.equal(rows["snapshot"], batch)).select(columns)


def number(found: list[pa.RecordBatch]) -> dict[str, Any] | None:
    """Of rows (the target, the value predicted)."""
    if not sum(rows.num_rows for rows in found):
        return None
    true, predicted = (np.concatenate([rows.column(place).to_numpy() for rows in found]) for place in (0, 1))
    return RegressionMetrics.of(true, predicted).to_dict() | {"documents": len(true)}


def single(pairs: Iterator[tuple[list[str], str]], labels: list[str]) -> dict[str, Any]:
    """Of (true labels, the predicted one): the first of a document's counts; one that is not in `labels` is wrong."""
    counts = Counter((true[0], predicted) for true, predicted in pairs)
    names = sorted({*labels, *(label for label, _ in counts)})
    confusion = np.zeros((len(names), len(names)), np.int64)
    for (label, predicted), number in counts.items():
        confusion[names.index(label), names.index(predicted)] = number
    unknown = [names.index(name) for name in names if name not in labels]
    return SingleLabelMetrics.of_confusion(confusion).to_dict() | {
        "documents": int(confusion.sum()),
        "unknown_label": int(confusion[unknown].sum()),
        "classes": ClassScores.of_confusion(confusion).to_dict(names),
        "confusion": confusion.tolist(),
    }


def several(pairs: Iterator[tuple[list[str], list[str]]], labels: list[str]) -> dict[str, Any]:
    """Of (true labels, predicted ones): a true label that is not in `labels` is never found."""
    hits: Counter[str] = Counter()
    given: Counter[str] = Counter()
    has: Counter[str] = Counter()
    exact = documents = unknown = 0
    for true, predicted in pairs:
        wanted, found = set(true), set(predicted)
        hits.update(wanted & found)
        given.update(found)
        has.update(wanted)
        exact += wanted == found
        documents += 1
        unknown += not wanted <= set(labels)
    names = sorted({*labels, *has})
    counts = [np.array([counter[name] for name in names]) for counter in (hits, given, has)]
    return MultiLabelMetrics.of_counts(*counts, exact=exact, documents=documents).to_dict() | {
        "documents": documents,
        "unknown_label": unknown,
        "classes": ClassScores.of_counts(*counts).to_dict(names),
    }
