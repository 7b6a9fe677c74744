"""Metrics equal scikit-learn's, and intervals equal published ones."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

from models.training import metrics
from models.training.metrics import ClassScores, MultiLabelMetrics, RegressionMetrics, SingleLabelMetrics

CASES = {
    "usual": ([0, 1, 2, 2, 1, 0, 2], [0, 2, 2, 2, 1, 1, 0]),
    "perfect": ([0, 1, 2], [0, 1, 2]),
    "all wrong": ([0, 1], [1, 0]),
    "a class never predicted": ([0, 0, 1, 2], [0, 0, 0, 2]),
    "a class only predicted": ([0, 0, 0], [0, 1, 0]),
    "absent classes": ([1, 1, 3], [1, 3, 3]),
    "one document": ([2], [2]),
    "many": tuple(np.random.default_rng(4).integers(0, 4, (2, 1000)).tolist()),
}


@pytest.mark.parametrize("name", CASES)
def test_single_label_metrics_equal_scikit_learns(name: str) -> None:
    true, predicted = CASES[name]
    classes = range(5)
    confusion = confusion_matrix(true, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(true, predicted, labels=classes, zero_division=0)
    scores = ClassScores.of_confusion(confusion)
    np.testing.assert_allclose(scores.precision, precision, rtol=1e-12)
    np.testing.assert_allclose(scores.recall, recall, rtol=1e-12)
    np.testing.assert_allclose(scores.f1, f1, rtol=1e-12)
    assert scores.support.tolist() == support.tolist()
    assert metrics.accuracy(confusion) == pytest.approx(accuracy_score(true, predicted))
    assert metrics.macro_f1(confusion) == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert metrics.majority_accuracy(confusion) == max(np.bincount(true)) / len(true)
    hits = sum(truth == guess for truth, guess in zip(true, predicted, strict=True))
    assert SingleLabelMetrics.of_confusion(confusion).to_dict() == {
        "accuracy": metrics.accuracy(confusion),
        "interval": list(metrics.wilson_interval(hits, len(true))),
        "macro_f1": metrics.macro_f1(confusion),
        "majority": metrics.majority_accuracy(confusion),
    }


def test_multi_label_metrics_equal_scikit_learns() -> None:
    random = np.random.default_rng(6)
    true, predicted = random.random((200, 5)) < 0.3, random.random((200, 5)) < 0.3
    true[:, 4] = predicted[:, 4] = False  # a label that never occurs
    exact = int((true == predicted).all(1).sum())
    counts = ((true & predicted).sum(0), predicted.sum(0), true.sum(0))
    assert MultiLabelMetrics.of_counts(*counts, exact=exact, documents=200).to_dict() == {
        "accuracy": pytest.approx(accuracy_score(true, predicted)),
        "interval": list(metrics.wilson_interval(exact, 200)),
        "micro_f1": pytest.approx(f1_score(true, predicted, average="micro")),
        "macro_f1": pytest.approx(f1_score(true[:, :4], predicted[:, :4], average="macro")),
    }


def test_regression_metrics_equal_scikit_learns() -> None:
    true, predicted = np.random.default_rng(7).normal(size=(2, 50))
    assert RegressionMetrics.of(true, predicted).to_dict() == {
        "rmse": pytest.approx(root_mean_squared_error(true, predicted)),
        "mae": pytest.approx(mean_absolute_error(true, predicted)),
        "r2": pytest.approx(r2_score(true, predicted)),
        "rmse_of_mean": pytest.approx(true.std()),
    }
    assert RegressionMetrics.of([2.0, 2.0], [2.0, 3.0]).r2 == 0


def test_class_scores_are_named() -> None:
    scores = ClassScores.of_counts([1, 0], [2, 0], [4, 0]).to_dict(["sea", "land"])
    assert scores["sea"] == {"precision": 0.5, "recall": 0.25, "f1": pytest.approx(1 / 3), "support": 4.0}
    assert list(scores["land"].items()) == [("precision", 0.0), ("recall", 0.0), ("f1", 0.0), ("support", 0.0)]


# R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
# table I, method 3.
@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_equal_published_ones(hits: int, trials: int, low: float, high: float) -> None:
    assert metrics.wilson_interval(hits, trials) == pytest.approx((low, high), abs=5e-5)
    assert metrics.wilson_interval(trials - hits, trials) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (5, 10), (1999, 2000), (10**6, 10**6), (123_456, 10**9)])
def test_wilson_intervals_equal_scipys(hits: int, trials: int) -> None:
    reference = binomtest(hits, trials).proportion_ci(method="wilson")
    low, high = metrics.wilson_interval(hits, trials)
    assert (low, high) == pytest.approx((reference.low, reference.high), rel=1e-9, abs=1e-15)
    assert 0 <= low <= hits / trials + 1e-15
    assert hits / trials - 1e-15 <= high <= 1


def test_metrics_of_no_document_are_0() -> None:
    empty = np.zeros((3, 3), dtype=np.int64)
    assert SingleLabelMetrics.of_confusion(empty) == SingleLabelMetrics(0.0, (0.0, 1.0), 0.0, 0.0)
    assert metrics.majority_accuracy(np.zeros((0, 0))) == 0.0
    assert MultiLabelMetrics.of_counts([0], [0], [0], exact=0, documents=0) == MultiLabelMetrics(
        0.0, (0.0, 1.0), 0.0, 0.0
    )
