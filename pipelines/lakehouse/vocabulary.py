"""Which terms a model reads: chosen from the vocabulary's rows of a snapshot."""

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from models.dataset.tfidf import Options
from pipelines.errors import UserError
from pipelines.lakehouse import tables
from pipelines.lakehouse.tables import VOCABULARY, Lake

GAPS = "textmill.gaps"  # the table's property: from which snapshot to which ones `maintain` made one of several
CLASH = "two terms share an id: "
DRIVER_ROWS = (
    2_000_000  # of vocabulary that the driver sums by itself, in some 200 MB; Spark's first query takes seconds
)


def chosen(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], options: Options) -> pa.Table:
    """`select`, here in the driver.

    Raises:
        UserError: `maintain` has summed up what came before and after the snapshot.
        RuntimeError or Spark's exception: two terms share an id.
    """
    if tables.count(spark, lake, VOCABULARY, last=snapshot["batch"]) > DRIVER_ROWS:
        return select(spark, lake, snapshot, options).toArrow()
    rows = tables.rows(spark, lake, VOCABULARY, last=snapshot["batch"])
    check(spark, lake, snapshot["batch"])
    sums = [("term", "min"), ("term", "max"), ("df", "sum"), ("count", "sum")]
    terms = rows.group_by("id").aggregate(sums)
    clash = terms.filter(pc.not_equal(terms["term_min"], terms["term_max"]))
    if clash.num_rows:
        raise RuntimeError(f"{CLASH}{clash['term_min'][0]} and {clash['term_max'][0]}")
    frequent = pc.and_(
        pc.greater_equal(terms["df_sum"], options.min_df),
        pc.less_equal(pc.cast(terms["df_sum"], pa.float64()), options.max_df * snapshot["train"]),
    )
    by_count = terms.filter(frequent).sort_by([("count_sum", "descending"), ("term_min", "ascending")])
    kept = by_count.slice(0, options.size).select(["term_min", "id", "df_sum"])
    return kept.rename_columns(["term", "id", "df"]).sort_by("term")


def select(spark: SparkSession, lake: Lake, snapshot: dict[str, Any], options: Options) -> DataFrame:
    """The terms a model reads, as (term, id, df) by term: by document frequency, then the most frequent ones.

    Of terms with equal counts the alphabetically first stay.

    It raises, when it is read, where two terms share an id.

    Raises:
        UserError: as `chosen`.
    """
    rows = tables.read(spark, lake, VOCABULARY, last=snapshot["batch"])
    check(spark, lake, snapshot["batch"])
    terms = rows.groupBy("id").agg(
        F.min("term").alias("term"),
        F.max("term").alias("other"),
        F.sum("df").alias("df"),
        F.sum("count").alias("n"),
    )
    clash = F.raise_error(F.concat(F.lit(CLASH), "term", F.lit(" and "), "other"))
    checked = terms.withColumn("term", F.when(F.col("term") == F.col("other"), F.col("term")).otherwise(clash))
    kept = checked.where(F.col("df").between(options.min_df, options.max_df * snapshot["train"]))
    return kept.orderBy(F.desc("n"), "term").limit(options.size).select("term", "id", "df").orderBy("term")


def gaps(spark: SparkSession, lake: Lake) -> list[list[int]]:
    """The first and last of snapshots in a row whose vocabulary can no longer be told from the next one's."""
    found: list[list[int]] = json.loads(tables.properties(spark, lake, VOCABULARY).get(GAPS, "[]"))
    return found


def united(gaps: list[list[int]]) -> list[list[int]]:
    """The same snapshots in as few gaps as can be."""
    found: list[list[int]] = []
    for first, last in sorted(gaps):
        if found and first <= found[-1][1] + 1:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return found


def check(spark: SparkSession, lake: Lake, snapshot: int) -> None:
    """Refuse a snapshot whose counts are gone; asked after the rows were looked up, which may be newer, not older.

    Raises:
        UserError: so.
    """
    for first, last in gaps(spark, lake):
        if first <= snapshot <= last:
            raise UserError(
                f"snapshot={snapshot} has no vocabulary of its own any more: no run had seen it when maintain summed up"
                f" the counts; take {f'snapshot={first - 1}, ' if first > 1 else ''}snapshot={last + 1} or the latest"
            )
