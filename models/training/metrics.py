"""Exact figures: from a confusion matrix, documents by true class (row) and predicted class (column); from counts."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def accuracy(confusion: ArrayLike) -> float:
    """The share on the diagonal, 0 if there is no document."""
    counts = np.asarray(confusion, dtype=np.int64)
    return share(int(np.trace(counts)), int(counts.sum()))


def per_class(confusion: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """Precision, recall and F1 of each class, (C,) each, 0 where undefined; and support, its documents."""
    counts = np.asarray(confusion, dtype=np.float64)
    return of_counts(np.diag(counts), counts.sum(0), counts.sum(1))


def of_counts(hits: ArrayLike, predicted: ArrayLike, true: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """The same of documents, (C,) each, that have a class and were given it, that were given it, and that have it."""
    found, given, has = (np.asarray(counts, dtype=np.float64) for counts in (hits, predicted, true))
    return {
        "precision": found / np.maximum(given, 1),
        "recall": found / np.maximum(has, 1),
        "f1": 2 * found / np.maximum(has + given, 1),
        "support": has,
    }


def macro_f1(confusion: ArrayLike) -> float:
    """The plain mean of F1 over the classes that occur, as truth or as prediction (scikit-learn's choice)."""
    counts = np.asarray(confusion)
    occurs = (counts.sum(0) + counts.sum(1)) > 0
    return float(per_class(counts)["f1"][occurs].mean()) if occurs.any() else 0.0


def wilson(hits: int, of: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """The score interval for a proportion, 95 % by default; (0, 1) if nothing was tried.

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n), from E. B. Wilson, "Probable inference, the law of
    succession, and statistical inference", JASA 22 (1927).
    """
    if not of:
        return 0.0, 1.0
    p, spread = hits / of, z * z / of
    middle = p + spread / 2
    half = z * math.sqrt(p * (1 - p) / of + spread / (4 * of))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def mcnemar(one: int, other: int) -> float:
    """The probability, if two models err alike, of discordant documents split at least as unevenly as `one` : `other`.

    The exact, two-sided test of Q. McNemar, "Note on the sampling error of the difference between correlated
    proportions or percentages", Psychometrika 12 (1947): 2 · P(X ≤ min(one, other)), X binomial of one + other halves,
    1 at most.
    """
    total = one + other
    tail = sum(math.comb(total, count) for count in range(min(one, other) + 1))
    return min(1.0, float(2 * tail / 2**total))


def majority(confusion: ArrayLike) -> float:
    """The accuracy of always naming the most frequent true class."""
    true = np.asarray(confusion, dtype=np.int64).sum(1)
    return share(int(true.max(initial=0)), int(true.sum()))


def multi_label(
    hits: ArrayLike, predicted: ArrayLike, true: ArrayLike, *, exact: int, documents: int
) -> dict[str, Any]:
    """Figures of documents with any number of labels, as plain JSON values.

    For each label (C,): documents that have it and were given it, that were given it, and that have it; `exact` have
    just the labels given. Accuracy is subset accuracy; macro-F1 the mean over the labels that occur, as truth or as
    prediction; micro-F1 that of all (document, label) pairs together (scikit-learn's definitions).
    """
    found, given, has = (np.asarray(counts, dtype=np.float64) for counts in (hits, predicted, true))
    occurs = given + has > 0
    each = of_counts(found, given, has)["f1"]
    return {
        "accuracy": share(exact, documents),
        "interval": list(wilson(exact, documents)),
        "micro_f1": float(2 * found.sum() / max(1.0, (given + has).sum())),
        "macro_f1": float(each[occurs].mean()) if occurs.any() else 0.0,
    }


def regression(true: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """RMSE, MAE and R² = 1 - Σ(t - p)² / Σ(t - mean)² (0 where all targets are equal), and the RMSE of the mean."""
    targets, values = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    errors, spread = targets - values, targets - targets.mean()
    squares, whole = float(errors @ errors), float(spread @ spread)
    return {
        "rmse": math.sqrt(squares / len(targets)),
        "mae": float(np.abs(errors).mean()),
        "r2": 1 - squares / whole if whole else 0.0,
        "rmse_of_mean": math.sqrt(whole / len(targets)),
    }


def share(part: int, whole: int) -> float:
    """part / whole, 0 if there is no whole."""
    return part / whole if whole else 0.0


def summary(confusion: ArrayLike) -> dict[str, Any]:
    """Accuracy with its interval, macro-F1 and the majority class's accuracy, as plain JSON values."""
    counts = np.asarray(confusion, dtype=np.int64)
    return {
        "accuracy": accuracy(counts),
        "interval": list(wilson(int(np.trace(counts)), int(counts.sum()))),
        "macro_f1": macro_f1(counts),
        "majority": majority(counts),
    }
