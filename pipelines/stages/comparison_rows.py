"""Rows of a comparison: a finished training's scores and speed, and which differences between models matter."""

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from models.bundles import manifest, weights
from models.bundles.bundle import Bundle, Ensemble
from models.dataset import vocabulary
from models.dataset.feature_reader import columns_for, stored_documents
from models.storage import files
from models.training.metrics import mcnemar_p_value
from pipelines.errors import UserError
from pipelines.evaluation.bundle_scoring import load_bundle
from pipelines.evaluation.comparison_table import Difference, TrainingRow
from pipelines.evaluation.prediction_metrics import MultiLabelEvaluation, SingleLabelEvaluation, predictions
from pipelines.lakehouse.dataset import Dataset, Snapshot
from pipelines.lakehouse.parquet_scan import read_rows
from pipelines.tracking.reports import TrainingReport

LEVEL = 0.05  # of significance: a lower p is called more than chance
SAMPLE = 2000  # test documents whose scoring is timed
BUNDLE_FILES = (weights.FILE, vocabulary.FILE, manifest.FILE)


def training_row(
    dataset: Dataset, snapshot: Snapshot, report: TrainingReport, *, seed: int, settings: list[str]
) -> TrainingRow:
    """One training's row of the comparison.

    Raises:
        UserError: there are no labelled test documents.
    """
    assert report.run
    assert report.metrics
    assert report.train
    tested = report.metrics.test
    if not isinstance(tested, SingleLabelEvaluation | MultiLabelEvaluation):
        raise UserError("models are compared on labelled test documents, and there are none: see split.test")
    bundle = load_bundle(report.bundle, (report.model,))
    return TrainingRow(
        model=report.model,
        run=report.run,
        accuracy=tested.accuracy,
        low=tested.interval[0],
        high=tested.interval[1],
        macro_f1=tested.macro_f1,
        parameters=report.train.parameters,
        train_seconds=report.seconds["train"],
        trained_per_second=round(report.train.seen / report.train.stepping),
        scored_per_second=round(scored_per_second(dataset, snapshot, bundle)),
        megabytes=round(sum(files.length(f"{report.bundle}/{name}") for name in BUNDLE_FILES) / 2**20, 1),
        seed=seed,
        settings=settings,
    )


def scored_per_second(dataset: Dataset, snapshot: Snapshot, bundle: Bundle | Ensemble) -> float:
    """Test documents per second that a bundle scores in one process, from decoded rows; the faster of two passes."""
    columns = ["split", *columns_for(bundle.input_spec)]
    for path in dataset.features.paths(last=snapshot.batch):
        for rows in read_rows(path, columns, last=snapshot.batch):
            tests = rows.filter(pc.equal(rows["split"], "test")).slice(0, SAMPLE)
            if tests.num_rows:
                return float(tests.num_rows / min(_seconds_to_score(bundle, tests) for _ in range(2)))
    return math.nan


def _seconds_to_score(bundle: Bundle | Ensemble, tests: Any) -> float:
    began = time.perf_counter()
    bundle.score(stored_documents(tests))
    return time.perf_counter() - began


def compare_pairs(dataset: Dataset, snapshot: Snapshot, rows: Sequence[TrainingRow]) -> list[Difference]:
    """Each pair of models by their first seed: how many test documents only one of them gets right, and McNemar's p."""
    correct = {row.model: correct_ids(dataset, snapshot, row.run) for row in rows if row.seed == 0}
    pairs = []
    for one, other in itertools.combinations(correct, 2):
        only = len(correct[one] - correct[other]), len(correct[other] - correct[one])
        pairs.append(Difference(one, other, *only, mcnemar_p_value(*only)))
    return holm_correction(pairs)


def holm_correction(pairs: Sequence[Difference]) -> list[Difference]:
    """The same pairs, those marked that differ by more than chance (Holm, 1979)."""
    significant = set()
    for rank, index in enumerate(sorted(range(len(pairs)), key=lambda index: pairs[index].p)):
        if pairs[index].p * (len(pairs) - rank) >= LEVEL:
            break
        significant.add(index)
    return [replace(pair, more_than_chance=index in significant) for index, pair in enumerate(pairs)]


def correct_ids(dataset: Dataset, snapshot: Snapshot, run: str) -> set[str]:
    """The ids of the test documents that a run predicts right."""
    ids: set[str] = set()
    columns = ["id", "labels", "predicted", "predicted_labels"]
    for rows in predictions(dataset, run, snapshot.batch, columns):
        for row in rows.to_pylist():
            several = row["predicted_labels"]
            right = row["labels"][0] == row["predicted"] if several is None else {*row["labels"]} == {*several}
            ids.update([row["id"]] if right else [])
    return ids
