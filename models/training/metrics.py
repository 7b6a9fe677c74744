"""Exact metrics, computed from counts: confusion matrices and hits per class.

A confusion matrix (C, C) holds the number of documents by true class (row) and predicted class (column).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.storage.json_values import JsonObject

Z_95 = 1.959963984540054  # the standard normal distribution's 97.5th percentile


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of each class, (C,) each, 0 where undefined; and its number of documents, `support`."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.float64]

    @classmethod
    def of_counts(cls, hits: ArrayLike, predicted: ArrayLike, true: ArrayLike) -> "ClassScores":
        """The scores of C classes, from (C,) numbers of documents.

        Args:
            hits: documents that have the class and are predicted to have it.
            predicted: documents that are predicted to have it.
            true: documents that have it.
        """
        right, answered, present = (np.asarray(counts, dtype=np.float64) for counts in (hits, predicted, true))
        return cls(
            precision=right / np.maximum(answered, 1),
            recall=right / np.maximum(present, 1),
            f1=2 * right / np.maximum(present + answered, 1),
            support=present,
        )

    @classmethod
    def of_confusion(cls, confusion: ArrayLike) -> "ClassScores":
        """The scores of the classes of a confusion matrix."""
        counts = np.asarray(confusion, dtype=np.float64)
        return cls.of_counts(np.diag(counts), counts.sum(0), counts.sum(1))

    def to_dict(self, names: Sequence[str]) -> dict[str, dict[str, float]]:
        """The scores of each class by its name and the score's."""
        columns = {name: getattr(self, name) for name in ("precision", "recall", "f1", "support")}
        return {
            name: {score: float(values[number]) for score, values in columns.items()}
            for number, name in enumerate(names)
        }


@dataclass(frozen=True)
class SingleLabelMetrics:
    """Metrics of documents with one label each.

    `interval` is the accuracy's 95 % confidence interval, `majority` the accuracy of always predicting the most
    frequent class.
    """

    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    majority: float

    @classmethod
    def of_counts(cls, hits: ArrayLike, predicted: ArrayLike, true: ArrayLike) -> "SingleLabelMetrics":
        """The metrics of C classes, from (C,) numbers of documents as in `ClassScores.of_counts`; 0 without any."""
        correct, documents = int(np.sum(hits)), int(np.sum(true))
        occurs = np.asarray(predicted) + np.asarray(true) > 0
        f1 = ClassScores.of_counts(hits, predicted, true).f1
        return cls(
            accuracy=_ratio(correct, documents),
            interval=wilson_interval(correct, documents),
            macro_f1=float(f1[occurs].mean()) if occurs.any() else 0.0,
            majority=_ratio(int(np.max(true, initial=0)), documents),
        )

    @classmethod
    def of_confusion(cls, confusion: ArrayLike) -> "SingleLabelMetrics":
        """The metrics of a confusion matrix (C, C)."""
        counts = np.asarray(confusion, dtype=np.int64)
        return cls.of_counts(np.diag(counts), counts.sum(0), counts.sum(1))

    def to_dict(self) -> JsonObject:
        """The metrics as reports hold them."""
        return asdict(self) | {"interval": [*self.interval]}


@dataclass(frozen=True)
class MultiLabelMetrics:
    """Metrics of documents with any number of labels, by scikit-learn's definitions.

    `accuracy` is subset accuracy: the share of documents whose labels are predicted exactly. `interval` is its 95 %
    confidence interval. `micro_f1` is the F1 of all (document, label) pairs together, `macro_f1` the mean over the
    labels that occur, as truth or as prediction.
    """

    accuracy: float
    interval: tuple[float, float]
    micro_f1: float
    macro_f1: float

    @classmethod
    def of_counts(
        cls, hits: ArrayLike, predicted: ArrayLike, true: ArrayLike, *, exact: int, documents: int
    ) -> "MultiLabelMetrics":
        """The metrics of `documents` documents, of which `exact` are predicted with exactly their labels.

        Args:
            hits: documents that have each label and are predicted to have it, (C,).
            predicted: documents that are predicted to have it, (C,).
            true: documents that have it, (C,).
            exact: documents that are predicted with exactly their labels.
            documents: the number of all documents.
        """
        right, answered, present = (np.asarray(counts, dtype=np.float64) for counts in (hits, predicted, true))
        occurs = answered + present > 0
        f1 = ClassScores.of_counts(right, answered, present).f1
        return cls(
            accuracy=_ratio(exact, documents),
            interval=wilson_interval(exact, documents),
            micro_f1=float(2 * right.sum() / max(1.0, (answered + present).sum())),
            macro_f1=float(f1[occurs].mean()) if occurs.any() else 0.0,
        )

    def to_dict(self) -> JsonObject:
        """The metrics as reports hold them."""
        return asdict(self) | {"interval": [*self.interval]}


@dataclass(frozen=True)
class RegressionMetrics:
    """Root mean squared error, mean absolute error, and R² = 1 - Σ(t - p)² / Σ(t - mean)² of predicted targets.

    R² is 0 if all targets are equal. `rmse_of_mean` is the RMSE of always predicting the mean.
    """

    rmse: float
    mae: float
    r2: float
    rmse_of_mean: float

    @classmethod
    def of(cls, true: ArrayLike, predicted: ArrayLike) -> "RegressionMetrics":
        """The metrics of targets (B,) and their predictions (B,), of at least one document."""
        targets, values = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
        errors, deviations = targets - values, targets - targets.mean()
        squared_errors, squared_deviations = float(errors @ errors), float(deviations @ deviations)
        return cls(
            rmse=math.sqrt(squared_errors / len(targets)),
            mae=float(np.abs(errors).mean()),
            r2=1 - squared_errors / squared_deviations if squared_deviations else 0.0,
            rmse_of_mean=math.sqrt(squared_deviations / len(targets)),
        )

    def to_dict(self) -> JsonObject:
        """The metrics as reports hold them."""
        return asdict(self)


def accuracy(confusion: ArrayLike) -> float:
    """The share of documents on the diagonal of a confusion matrix; 0 if it counts none."""
    counts = np.asarray(confusion, dtype=np.int64)
    return _ratio(int(np.trace(counts)), int(counts.sum()))


def macro_f1(confusion: ArrayLike) -> float:
    """The mean of F1 over the classes that occur, as truth or as prediction (scikit-learn's choice); 0 if none does."""
    counts = np.asarray(confusion)
    occurs = (counts.sum(0) + counts.sum(1)) > 0
    return float(ClassScores.of_confusion(counts).f1[occurs].mean()) if occurs.any() else 0.0


def majority_accuracy(confusion: ArrayLike) -> float:
    """The accuracy of always predicting the most frequent true class; 0 if there is no document."""
    true = np.asarray(confusion, dtype=np.int64).sum(1)
    return _ratio(int(true.max(initial=0)), int(true.sum()))


def wilson_interval(hits: int, trials: int, *, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a proportion, 95 % by default; (0, 1) without trials.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), from E. B. Wilson, "Probable inference, the law of
    succession, and statistical inference", JASA 22 (1927).
    """
    if not trials:
        return 0.0, 1.0
    p, spread = hits / trials, z * z / trials
    middle = p + spread / 2
    half = z * math.sqrt(p * (1 - p) / trials + spread / (4 * trials))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def mcnemar_p_value(only_one: int, only_other: int) -> float:
    """The p-value of McNemar's exact, two-sided test that two models make equally many errors.

    `only_one` and `only_other` are the documents that only one of the two models classifies correctly. The p-value is
    2 · P(X ≤ min(only_one, only_other)), at most 1, for X ~ Binomial(only_one + only_other, 1/2). Q. McNemar, "Note on
    the sampling error of the difference between correlated proportions or percentages", Psychometrika 12 (1947).
    """
    total = only_one + only_other
    tail = sum(math.comb(total, count) for count in range(min(only_one, only_other) + 1))
    return min(1.0, float(2 * tail / 2**total))


def _ratio(part: int, total: int) -> float:
    return part / total if total else 0.0
