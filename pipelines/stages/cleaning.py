"""From bronze to silver: normalises text, drops exact duplicates, and assigns each document to a split."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.console.progress import spark_progress
from pipelines.errors import UserError
from pipelines.lakehouse import parquet_writer
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.parquet_scan import num_tasks, read_rows
from pipelines.lakehouse.parquet_writer import TableWriter, Worker, WriteTarget, WrittenFile
from pipelines.lakehouse.splits import Split
from pipelines.text.normalisation import normalise_array

SPLIT_PROPERTY = "textmill.split"
BRONZE = ["id", "text", "content", "labels", "target", "split", "digest"]  # the columns that silver takes over
OLDER = ("batch", "id", "labels", "split", "published", "digest")  # columns compared with earlier documents
# A worker's output: a file that it wrote, or the number of texts of a bronze file that have two labels.
CLEANED = pa.schema({"file": pa.string(), "two_labels": pa.int64()})


@dataclass(frozen=True)
class Cleaning:
    """The batches that were cleaned, and the number of their texts with two labels or more."""

    batches: list[int]
    two_labels: int


def clean_new_batches(dataset: Dataset, split: Split) -> Cleaning:
    """Bring silver up to date with bronze, batch by batch."""
    batches = list(range(1 + dataset.clean_documents.last_batch(), 1 + dataset.raw_documents.last_batch()))
    two_labels = 0
    for batch in batches:
        with spark_progress(dataset.session, f"clean: batch {batch}"):
            two_labels += clean_batch(dataset, batch, split)
    return Cleaning(batches, two_labels)


def check_split(dataset: Dataset, split: Split) -> None:
    """Refuse to split one data set in two ways.

    Raises:
        UserError: the data set was divided with other `split.*` settings.
    """
    settings = json.loads(dataset.clean_documents.properties().get(SPLIT_PROPERTY, "null"))
    if settings and settings != asdict(split):
        recorded = " ".join(f"split.{key}={value}" for key, value in settings.items())
        raise UserError(f"the data set '{dataset.name}' was divided with {recorded}: give these, or another dataset=")


def clean_batch(dataset: Dataset, batch: int, split: Split) -> int:
    """Clean one batch and append it; returns the number of its texts with two labels or more.

    Spark finds duplicates without reading texts, by the digests in bronze. Workers then read each file of bronze and
    write the documents that are kept.
    """
    properties = {SPLIT_PROPERTY: json.dumps(asdict(split), sort_keys=True)}
    paths = {path.rsplit("/", 1)[-1]: path for path in dataset.raw_documents.paths(batch, batch)}
    if not paths:  # every row was rejected
        dataset.clean_documents.commit(batch, [], properties=properties)
        return 0
    rows = deciding_columns(dataset.raw_documents.read(batch, batch))
    if batch > 1:
        older = dataset.clean_documents.read(last=batch - 1).select(*OLDER)
        same_text = older.join(rows.select("digest"), "digest", "left_semi")
        rows = rows.unionByName(same_text, allowMissingColumns=True)
    # Without a number of partitions, Spark would put so few rows into one task.
    decisions = decide_by_file(rows, batch).repartition(num_tasks(dataset.session, len(paths)), "name")
    worker = clean_files(split, dataset.clean_documents.write_target(), batch, paths)
    output = decisions.mapInArrow(worker, from_arrow_schema(CLEANED)).collect()
    written = [WrittenFile.from_json(row["file"]) for row in output if row["file"]]
    dataset.clean_documents.commit(batch, written, properties=properties)
    return sum(row["two_labels"] or 0 for row in output)


def deciding_columns(documents: DataFrame) -> DataFrame:
    """The columns that decide whether a document of bronze is kept, and its file's name and position in that file."""
    return documents.select(
        F.col("_metadata.file_name").alias("name"),
        F.col("_metadata.row_index").alias("position"),
        *("batch", "id", "path", "row", "labels", "split", "digest"),
        F.col("split").isNotNull().alias("published"),
    )


def decide_by_file(rows: DataFrame, batch: int) -> DataFrame:
    """For each file of the batch, the positions of its duplicates and the number of its texts with two labels."""
    of_batch = rank_equal_texts(rows, batch).where(F.col("batch") == batch)
    return of_batch.groupBy("name").agg(
        F.collect_list(F.when(~survives(), F.col("position"))).alias("dropped"),
        F.count_if("two_labels").alias("two_labels"),
    )


def rank_equal_texts(rows: DataFrame, batch: int) -> DataFrame:
    """The rank of each row among all rows with its text, older documents included, in the order of (batch, id).

    `first_of_id`: no row before it has its id. `two_labels`: the text has two labels or more; true only for the last
    row of such a text, which always belongs to the batch.
    """
    tested = F.col("published") & (F.col("split") == "test")
    text = Window.partitionBy("digest")
    ordered = text.orderBy("batch", "id", "path", "row")
    labelled = F.when(F.size("labels") > 0, F.array_sort("labels"))
    older_ids = F.collect_set(F.when(F.col("batch") < batch, F.col("id"))).over(text)
    repeated = F.coalesce(F.lag("id").over(ordered) == F.col("id"), F.lit(False))
    conflict = F.min(labelled).over(text) != F.max(labelled).over(text)
    return rows.select(
        "*",
        tested.alias("tested"),
        F.row_number().over(ordered).alias("nth_text"),
        (~repeated & ~F.array_contains(older_ids, F.col("id"))).alias("first_of_id"),
        F.max(tested).over(text).alias("text_is_tested"),
        (conflict & F.lead("id").over(ordered).isNull()).alias("two_labels"),
    )


def survives() -> Column:
    """Whether a row of `rank_equal_texts` is kept: the first of several equal texts is.

    A published test document is dropped only if its id occurred before, so that results stay comparable with published
    ones; a text of a published test split is dropped from every other split.
    """
    first_untested = (F.col("nth_text") == 1) & ~F.col("text_is_tested")
    return F.when(F.col("tested"), F.col("first_of_id")).otherwise(first_untested)


def clean_files(split: Split, target: WriteTarget, batch: int, paths: dict[str, str]) -> Worker:
    """A worker: rows of `decide_by_file` -> `CLEANED`; `paths` maps the names of bronze's files to their paths."""

    def work(files: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        writer = TableWriter(target)
        for file in (row for rows in files for row in rows.to_pylist()):
            for documents in read_rows(paths[file["name"]], BRONZE, first=batch, last=batch, without=file["dropped"]):
                yield from _output(writer.add(clean_documents(documents, split)))
            yield pa.RecordBatch.from_pydict({"file": [None], "two_labels": [file["two_labels"]]}, schema=CLEANED)
        yield from _output(writer.close())

    return work


def _output(written: Iterable[WrittenFile]) -> Iterator[pa.RecordBatch]:
    for rows in parquet_writer.as_batches(written):
        yield pa.RecordBatch.from_arrays([rows["file"], pa.nulls(rows.num_rows, pa.int64())], schema=CLEANED)


def clean_documents(documents: pa.RecordBatch, split: Split) -> pa.Table:
    """Documents with normalised texts, each assigned to a split."""
    splits = [
        published or split.draw(digest)
        for published, digest in zip(documents["split"].to_pylist(), documents["digest"].to_pylist(), strict=True)
    ]
    columns = {name: documents[name] for name in ("batch", *BRONZE)}
    texts = normalise_array(documents["text"].fill_null(""))
    texts = pc.if_else(pc.is_valid(documents["text"]), texts, pa.scalar(None, pa.string()))
    columns |= {"text": texts, "split": pa.array(splits, pa.string())}
    return pa.table(columns | {"published": pc.is_valid(documents["split"])})
