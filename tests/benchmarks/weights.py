"""TF-IDF weights against scikit-learn's `TfidfVectorizer`: the largest difference over every document."""

import tempfile
from typing import Any

from models.dataset.tfidf import Options
from pipelines import featurize
from pipelines.config import load
from pipelines.job import session
from tests.weights import difference


def measure() -> list[dict[str, Any]]:
    """One row a data set."""
    rows = []
    spark = session.start("weights")
    with tempfile.TemporaryDirectory() as lake:
        for source in ("bbc", "newsgroups", "r8"):
            config = load([f"lake={lake}", f"source={source}"])
            kept = featurize.run(spark, config).to_dict()["rows"]
            distinct = kept["kept"] - kept["duplicates"]
            rows.append(
                {"source": source, "documents": distinct, "largest_difference": difference(spark, config, Options())}
            )
    spark.stop()
    return rows
