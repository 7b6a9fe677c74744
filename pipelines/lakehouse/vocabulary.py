"""Which terms a model reads: selected from the vocabulary's rows up to a snapshot."""

import json

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from models.dataset.tfidf import Options
from pipelines.errors import UserError
from pipelines.lakehouse.dataset import Dataset, Snapshot

GAPS = "textmill.gaps"  # a property of the table: ranges of snapshots whose counts `maintain` has merged
COLLISION = "two terms share an id: "
# Rows of vocabulary that the driver sums itself, in about 200 MB, because Spark's first query takes seconds.
DRIVER_ROWS = 2_000_000


def select_terms(dataset: Dataset, snapshot: Snapshot, options: Options) -> pa.Table:
    """The terms that a model reads, as (term, id, df) sorted by term, in the driver.

    Terms are selected by document frequency, and then the most frequent ones; ties go to the alphabetically first.

    Raises:
        UserError: `maintain` has merged the snapshot's counts with later ones.
        RuntimeError, or Spark's exception: two terms share an id.
    """
    if dataset.vocabulary.count(last=snapshot.batch) > DRIVER_ROWS:
        return query_terms(dataset, snapshot, options).toArrow()
    rows = dataset.vocabulary.rows(last=snapshot.batch)
    check_not_merged(dataset, snapshot.batch)
    sums = [("term", "min"), ("term", "max"), ("df", "sum"), ("count", "sum")]
    terms = rows.group_by("id").aggregate(sums)
    collisions = terms.filter(pc.not_equal(terms["term_min"], terms["term_max"]))
    if collisions.num_rows:
        raise RuntimeError(f"{COLLISION}{collisions['term_min'][0]} and {collisions['term_max'][0]}")
    within_bounds = pc.and_(
        pc.greater_equal(terms["df_sum"], options.min_df),
        pc.less_equal(pc.cast(terms["df_sum"], pa.float64()), options.max_df * snapshot.train),
    )
    by_count = terms.filter(within_bounds).sort_by([("count_sum", "descending"), ("term_min", "ascending")])
    kept = by_count.slice(0, options.size).select(["term_min", "id", "df_sum"])
    return kept.rename_columns(["term", "id", "df"]).sort_by("term")


def query_terms(dataset: Dataset, snapshot: Snapshot, options: Options) -> DataFrame:
    """As `select_terms`, by Spark; it raises when it is read if two terms share an id.

    Raises:
        UserError: `maintain` has merged the snapshot's counts with later ones.
    """
    rows = dataset.vocabulary.read(last=snapshot.batch)
    check_not_merged(dataset, snapshot.batch)
    terms = rows.groupBy("id").agg(
        F.min("term").alias("term"),
        F.max("term").alias("other"),
        F.sum("df").alias("df"),
        F.sum("count").alias("n"),
    )
    collision = F.raise_error(F.concat(F.lit(COLLISION), "term", F.lit(" and "), "other"))
    checked = terms.withColumn("term", F.when(F.col("term") == F.col("other"), F.col("term")).otherwise(collision))
    kept = checked.where(F.col("df").between(options.min_df, options.max_df * snapshot.train))
    return kept.orderBy(F.desc("n"), "term").limit(options.size).select("term", "id", "df").orderBy("term")


def merged_ranges(dataset: Dataset) -> list[list[int]]:
    """Ranges (first, last) of snapshots whose vocabulary was merged with that of the next one."""
    ranges: list[list[int]] = json.loads(dataset.vocabulary.properties().get(GAPS, "[]"))
    return ranges


def unite_ranges(ranges: list[list[int]]) -> list[list[int]]:
    """The same snapshots in the fewest ranges."""
    united: list[list[int]] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1][1] = max(united[-1][1], last)
        else:
            united.append([first, last])
    return united


def check_not_merged(dataset: Dataset, snapshot: int) -> None:
    """Refuse a snapshot whose counts were merged; call it after listing the rows, so that no merge is missed.

    Raises:
        UserError: `maintain` has merged the snapshot's counts with later ones.
    """
    for first, last in merged_ranges(dataset):
        if first <= snapshot <= last:
            raise UserError(
                f"snapshot={snapshot} no longer has a vocabulary of its own, because no run had used it when maintain"
                f" merged counts; give {f'snapshot={first - 1}, ' if first > 1 else ''}snapshot={last + 1} or latest"
            )
