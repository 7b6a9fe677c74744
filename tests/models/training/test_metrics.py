"""Metrics are scikit-learn's, and intervals those in print."""

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from models.training import metrics

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
def test_figures_are_scikit_learns(name: str) -> None:
    true, predicted = CASES[name]
    classes = range(5)
    confusion = confusion_matrix(true, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(true, predicted, labels=classes, zero_division=0)
    found = metrics.per_class(confusion)
    np.testing.assert_allclose(found["precision"], precision, rtol=1e-12)
    np.testing.assert_allclose(found["recall"], recall, rtol=1e-12)
    np.testing.assert_allclose(found["f1"], f1, rtol=1e-12)
    assert found["support"].tolist() == support.tolist()
    assert metrics.accuracy(confusion) == pytest.approx(accuracy_score(true, predicted))
    assert metrics.macro_f1(confusion) == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))
    assert metrics.majority(confusion) == max(np.bincount(true)) / len(true)
    summary = metrics.summary(confusion)
    hits = sum(truth == guess for truth, guess in zip(true, predicted, strict=True))
    assert summary["interval"] == list(metrics.wilson(hits, len(true)))
    assert {key: type(value) for key, value in summary.items()} == {
        "accuracy": float,
        "interval": list,
        "macro_f1": float,
        "majority": float,
    }


# R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
# table I, method 3.
@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_those_in_print(hits: int, of: int, low: float, high: float) -> None:
    assert metrics.wilson(hits, of) == pytest.approx((low, high), abs=5e-5)
    assert metrics.wilson(of - hits, of) == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (1, 1), (5, 10), (1999, 2000), (10**6, 10**6), (123_456, 10**9)])
def test_wilson_intervals_are_scipys(hits: int, of: int) -> None:
    reference = binomtest(hits, of).proportion_ci(method="wilson")
    low, high = metrics.wilson(hits, of)
    assert (low, high) == pytest.approx((reference.low, reference.high), rel=1e-9, abs=1e-15)
    assert 0 <= low <= hits / of + 1e-15
    assert hits / of - 1e-15 <= high <= 1


def test_no_document_makes_no_error() -> None:
    nothing = np.zeros((3, 3), dtype=np.int64)
    assert metrics.summary(nothing) == {"accuracy": 0.0, "interval": [0.0, 1.0], "macro_f1": 0.0, "majority": 0.0}
    assert metrics.majority(np.zeros((0, 0))) == 0.0
