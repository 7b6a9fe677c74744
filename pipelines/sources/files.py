"""The user's own files: text, CSV, JSON lines, Parquet or Delta, on a local disk or HDFS."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from omegaconf import MISSING
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from models.parts.settings import setting
from models.storage import addresses
from pipelines.errors import UserError
from pipelines.lakehouse import delta_kernel
from pipelines.readers import formats, listing, raw_documents
from pipelines.readers.formats import FORMATS, Row
from pipelines.readers.listing import Arrival
from pipelines.readers.raw_documents import Step


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `files`."""

    path: str = setting(
        MISSING, "File, folder (all files below it) or glob; local, file: or hdfs:.", example="/data/in"
    )
    format: str = setting("text", "Format: text (one document a file), csv, json (an object a line), parquet or delta.")
    text: str = setting("text", "Column of the text.")
    label: str | None = setting(
        None, "Column of the label; with format=text it is the folder's name, unless source.label= is empty."
    )
    id: str | None = setting(None, "Column of an id that names the document for ever.")
    split: str | None = setting(None, "Column of a published split: train, validation or test.")
    target: str | None = setting(None, "Column of a number to predict, for regression.")
    label_separator: str | None = setting(None, "Text between a document's labels, where it has several.")
    encoding: str = setting("utf-8", "Character encoding of text, CSV and JSON files.")
    max_bytes: int = setting(10_000_000, "Largest document in bytes; a longer one goes to quarantine.")
    separator: str = setting(",", "Character between the fields of a CSV file; \\t is a tab.")
    header: bool = setting(
        True, "Whether a CSV file's first line names the columns; else they are _c0, _c1, and so on."
    )

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("source.path is empty")
        if self.format not in (*FORMATS, "delta"):
            raise ValueError(f"source.format '{self.format}' is none of {', '.join(FORMATS)}, delta")
        if self.target and self.format == "text":
            raise ValueError("source.target names a column, and source.format=text has none")
        if not 1 <= self.max_bytes <= raw_documents.MOST_BYTES:
            raise ValueError(f"source.max_bytes must lie in 1..{raw_documents.MOST_BYTES}")
        if len(self.separator.replace("\\t", "\t")) != 1 or self.separator in '"\r\n':
            raise ValueError("source.separator must be one character (\\t for a tab), no quote and no line break")
        try:
            " ".encode(self.encoding)  # a codec that is no text encoding is found, but refuses
        except LookupError as error:
            raise ValueError(f"source.encoding '{self.encoding}' is not known") from error
        object.__setattr__(self, "separator", self.separator.replace("\\t", "\t"))
        if self.path != MISSING:
            object.__setattr__(self, "path", addresses.absolute(self.path))


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The files that could be taken; of a Delta table, those that its newest version is made of."""
    found = listing.listing(options.path)
    if options.format != "delta":
        return found
    if delta_kernel.version(spark, options.path) < 0:
        raise FileNotFoundError(f"{options.path} is no Delta table")
    present = _table(spark, options).columns
    for name in formats.wanted(options).values():
        if name not in present:
            raise UserError(f"{options.path}: no column is named '{name}'; there are {', '.join(present)}")
    active = {addresses.from_hadoop(path) for path in _table(spark, options).inputFiles()}
    return [item for item in found if item.path in active]


def rows(path: str, options: Options) -> Iterator[Row]:
    """The rows of one file; of a Delta table's, whose columns may have other names there, only as many as there are."""
    if options.format == "delta":
        return formats.unnamed_rows(path)
    return FORMATS[options.format](path, options)


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned files (`path`, `name`) as `reading.RAW`, then `step`."""
    label_needed = bool(options.label) and options.format != "text"
    target_needed = bool(options.target) and options.format != "text"
    limits = raw_documents.Limits(options.max_bytes, label_needed, target_needed, options.label_separator)
    if options.format != "delta":
        return raw_documents.by_file(plan, partial(rows, options=options), limits, step)
    # Spark reads a Delta table itself, so that deletion vectors and column mapping hold. Its rows have no order, so
    # a row's number is its place among the file's values.
    columns = formats.wanted(options)
    values = _table(spark, options).select(
        F.regexp_replace("_metadata.file_path", "^file:/+", "file:///").alias("path"),
        *[F.col(f"`{name}`").alias(role) for role, name in columns.items()],
    )
    place = Window.partitionBy("path").orderBy(*columns)
    numbered = values.withColumn("row", F.row_number().over(place).cast("bigint") - 1)
    return raw_documents.by_row(numbered.join(plan.select("path", "name"), "path"), list(columns), limits, step)


def _table(spark: SparkSession, options: Options) -> DataFrame:
    return spark.read.format("delta").load(options.path)
