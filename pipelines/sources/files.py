"""The user's own files: text, CSV, JSON lines, Parquet or a Delta table, on a local disk or on HDFS."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from omegaconf import MISSING
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from models.options.fields import setting
from models.storage import addresses
from pipelines.errors import UserError
from pipelines.lakehouse.delta_log import is_delta_table
from pipelines.readers import listing, parquet_format, raw_documents
from pipelines.readers.formats import FORMATS
from pipelines.readers.listing import SourceFile
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.row_rules import RowRules
from pipelines.readers.rows import Row, selected_columns


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `files`."""

    path: str = setting(
        MISSING, "File, folder (all files below it) or glob; local, file: or hdfs:.", example="/data/in"
    )
    format: str = setting(
        "text", "Format: text (a document per file), csv, json (an object per line), parquet or delta."
    )
    text: str = setting("text", "Column of the text.")
    label: str | None = setting(
        None, "Column of the label; with format=text it is the folder's name, unless source.label= is empty."
    )
    id: str | None = setting(None, "Column of an id that identifies the document permanently.")
    split: str | None = setting(None, "Column of a published split: train, validation or test.")
    target: str | None = setting(None, "Column of a number to predict, for regression.")
    label_separator: str | None = setting(None, "Text between the labels of a document that has several.")
    encoding: str = setting("utf-8", "Character encoding of text, CSV and JSON files.")
    max_bytes: int = setting(10_000_000, "Largest document in bytes; a longer one goes to quarantine.")
    separator: str = setting(",", "Character between the fields of a CSV file; \\t is a tab.")
    header: bool = setting(
        True, "Whether a CSV file's first line names the columns; else they are _c0, _c1, and so on."
    )

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("source.path is empty: name a file, folder or glob")
        if self.format not in (*FORMATS, "delta"):
            raise ValueError(f"source.format must be one of {', '.join(FORMATS)}, delta, not {self.format}")
        if self.target and self.format == "text":
            raise ValueError("source.target names a column, but source.format=text has no columns")
        if not 1 <= self.max_bytes <= raw_documents.MAX_DOCUMENT_BYTES:
            raise ValueError(
                f"source.max_bytes must be from 1 to {raw_documents.MAX_DOCUMENT_BYTES}, not {self.max_bytes}"
            )
        if len(self.separator.replace("\\t", "\t")) != 1 or self.separator in '"\r\n':
            raise ValueError(
                "source.separator must be one character (\\t for a tab) and neither a quote nor a line break"
            )
        try:
            " ".encode(self.encoding)  # a codec that is not a text encoding raises LookupError, too
        except LookupError as error:
            raise ValueError(f"source.encoding must be an encoding that Python knows, not {self.encoding}") from error
        object.__setattr__(self, "separator", self.separator.replace("\\t", "\t"))
        if self.path != MISSING:
            object.__setattr__(self, "path", addresses.absolute(self.path))


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """The files at the path; of a Delta table, those that its newest version consists of.

    Raises:
        UserError: a selected column is not in the Delta table.
        FileNotFoundError: there is no file at the path, or no Delta table.
    """
    files = listing.list_files(options.path)
    if options.format != "delta":
        return files
    if not is_delta_table(spark, options.path):
        raise FileNotFoundError(f"{options.path} is not a Delta table")
    table = _delta_table(spark, options)
    for name in selected_columns(options).values():
        if name not in table.columns:
            raise UserError(f"{options.path}: no column is named '{name}'; there are {', '.join(table.columns)}")
    active = {addresses.from_hadoop(path) for path in table.inputFiles()}
    return [file for file in files if file.path in active]


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """The rows of one file; of a Delta table's file only their number, since its columns may have other names there."""
    if options.format == "delta":
        return parquet_format.read_empty_rows(path)
    return FORMATS[options.format](path, options)


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned files (`path`, `name`) as raw documents, passed through `step`."""
    has_columns = options.format != "text"
    rules = RowRules(
        options.max_bytes,
        needs_label=bool(options.label) and has_columns,
        needs_target=bool(options.target) and has_columns,
        label_separator=options.label_separator,
    )
    if options.format != "delta":
        return raw_documents.read_by_file(plan, partial(read_rows, options=options), rules, step)
    columns = selected_columns(options)
    rows = _delta_rows(spark, options, columns).join(plan.select("path", "name"), "path")
    return raw_documents.read_by_row(rows, list(columns), rules, step)


def _delta_rows(spark: SparkSession, options: Options, columns: dict[str, str]) -> DataFrame:
    """A Delta table's rows: `path` of the file, number of the `row` in it, and a column for each role.

    Spark reads the table, so that deletion vectors and column mapping are respected. It returns rows in no particular
    order, so that rows are numbered in the order of their values.
    """
    values = _delta_table(spark, options).select(
        F.regexp_replace("_metadata.file_path", "^file:/+", "file:///").alias("path"),
        *[F.col(f"`{name}`").alias(role) for role, name in columns.items()],
    )
    by_values = Window.partitionBy("path").orderBy(*columns)
    return values.withColumn("row", F.row_number().over(by_values).cast("bigint") - 1)


def _delta_table(spark: SparkSession, options: Options) -> DataFrame:
    return spark.read.format("delta").load(options.path)
