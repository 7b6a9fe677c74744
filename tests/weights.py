"""TF-IDF weights compared with scikit-learn's, document by document."""

from typing import Any

import numpy as np
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from models.dataset.tfidf import Options
from pipelines.config import Config
from pipelines.lakehouse.schemas import CLEAN_DOCUMENTS
from pipelines.lakehouse.tfidf_query import tfidf_weights
from tests.conftest import opened, table


def difference(spark: SparkSession, config: Config, options: Options, ngrams: int = 1) -> float:
    """The largest difference of any weight of any document from scikit-learn's, fitted on the train split's clean text.

    A term that one side has and the other has not counts with its whole weight.
    """
    rows = table(spark, config, CLEAN_DOCUMENTS).select("id", "text", "split").orderBy("id").collect()
    reference = _vectorizer(options, ngrams, [row["text"] for row in rows if row["split"] == "train"])
    theirs = reference.transform([row["text"] for row in rows])
    number = {row["id"]: position for position, row in enumerate(rows)}
    column = {name: position for position, name in enumerate(reference.get_feature_names_out())}
    dataset = opened(spark, config)
    found = tfidf_weights(dataset, dataset.snapshot("latest"), options).toPandas()
    places = found["document"].map(number), found["term"].map(column)
    mine = csr_matrix((found["weight"], places), shape=theirs.shape)
    assert mine.nnz == theirs.nnz == len(found)
    return float(abs(mine - theirs).max())


def _vectorizer(options: Options, ngrams: int, train: list[str]) -> Any:
    reference = TfidfVectorizer(
        ngram_range=(1, ngrams),
        min_df=options.min_df,
        max_df=options.max_df,
        sublinear_tf=options.sublinear,
        smooth_idf=options.smooth,
        norm=None if options.norm == "none" else "l2",
    )
    if options.size < 200_000:  # which of equally frequent terms stay is left open there, and by term here
        counts = TfidfVectorizer(use_idf=False, norm=None).fit(train)
        totals = np.asarray(counts.transform(train).sum(0)).ravel()
        order = sorted(zip(-totals, counts.get_feature_names_out(), strict=True))[: options.size]
        reference.set_params(vocabulary=sorted(term for _, term in order))
    return reference.fit(train)
