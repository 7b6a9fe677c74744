"""What a model of words must beat: TF-IDF with a linear SVM (scikit-learn), on the splits of our own tables."""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from tests.benchmarks.jobs import submit

# For Chinese characters and runs of up to three, elsewhere words.
CASES: dict[str, dict[str, Any]] = {
    "r8": {},
    "newsgroups": {},
    "reviews_zh": {"analyzer": "char", "ngram_range": (1, 3)},
}


def measure() -> list[dict[str, Any]]:
    """Its test accuracy for each source."""
    with tempfile.TemporaryDirectory() as lake:
        return [_row(lake, source, settings) for source, settings in CASES.items()]


def _row(lake: str, source: str, settings: dict[str, Any]) -> dict[str, Any]:
    submit("clean", f"lake={lake}", f"source={source}")
    silver = pa.table(DeltaTable(str(Path(lake, source, "silver", "documents"))).to_pyarrow_table()).to_pylist()
    split = {name: [row for row in silver if row["split"] == name] for name in ("train", "test")}
    texts, labels = (
        {name: [row[column] if column == "text" else row[column][0] for row in rows] for name, rows in split.items()}
        for column in ("text", "labels")
    )
    weights = TfidfVectorizer(sublinear_tf=True, min_df=2, **settings)
    model = LinearSVC().fit(weights.fit_transform(texts["train"]), labels["train"])
    return {
        "model": "linear SVM",
        "source": source,
        "accuracy": round(model.score(weights.transform(texts["test"]), labels["test"]), 4),
        "documents": len(texts["test"]),
    }
