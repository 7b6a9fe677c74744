"""TF-IDF weights for SQL users, computed by Spark; trainings compute theirs in `models.dataset.tfidf`."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from models.dataset.tfidf import Options
from pipelines.lakehouse.dataset import Dataset, Snapshot
from pipelines.lakehouse.vocabulary import query_terms


def tfidf_weights(dataset: Dataset, snapshot: Snapshot, options: Options) -> DataFrame:
    """(document, term, weight), equal to scikit-learn's `TfidfVectorizer`.

    weight = tf · idf, tf = count or 1 + ln(count), idf = ln((1 + n) / (1 + df)) + 1 (`smooth`) or ln(n / df) + 1, with
    n train documents; then divided by the document's Euclidean norm (`norm=l2`).
    """
    terms = query_terms(dataset, snapshot, options)
    one = 1 if options.smooth else 0
    idf = F.log((snapshot.train + one) / (F.col("df") + one)) + 1
    frequency = F.log("count") + 1 if options.sublinear else F.col("count").cast("double")
    pairs = (
        dataset.features.read(last=snapshot.batch)
        .select(
            F.col("id").alias("document"),
            F.explode(F.arrays_zip(F.col("terms").alias("id"), F.col("counts").alias("count"))),
        )
        .select("document", "col.id", "col.count")
    )
    weights = pairs.join(terms, "id").select("document", "term", (frequency * idf).alias("weight"))
    if options.norm == "none":
        return weights
    whole_document = Window.partitionBy("document")
    norm = F.sqrt(F.sum(F.col("weight") * F.col("weight")).over(whole_document))
    return weights.select("document", "term", (F.col("weight") / norm).alias("weight"))
