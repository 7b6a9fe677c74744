"""Test accuracy: BBC over five random splits, R8 and 20 Newsgroups on their published ones."""

import tempfile
from typing import Any

from tests.benchmarks.jobs import submit


def measure() -> list[dict[str, Any]]:
    """One row for each model and data set."""
    with tempfile.TemporaryDirectory() as lake:
        rows = [_row("mlp", "bbc", [_run(lake, "mlp", "bbc", f"split.salt={n}", f"dataset=bbc{n}") for n in range(5)])]
        for source in ("r8", "newsgroups"):
            rows += [_row(model, source, [_run(lake, model, source)]) for model in ("mlp", "logistic")]
    return rows


def _run(lake: str, model: str, source: str, *more: str) -> dict[str, Any]:
    return submit("train", f"lake={lake}", f"source={source}", f"model={model}", *more)


def _row(model: str, source: str, reports: list[dict[str, Any]]) -> dict[str, Any]:
    scores = [report["metrics"]["test"] for report in reports]
    documents = sum(score["documents"] for score in scores)
    right = sum(round(score["accuracy"] * score["documents"]) for score in scores)
    return {
        "model": model,
        "source": source,
        "accuracy": round(right / documents, 4),
        "documents": documents,
        "train_seconds": round(sum(report["seconds"]["train"] for report in reports) / len(reports), 1),
    }
