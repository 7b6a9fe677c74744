"""Image files, one a document, by Spark's `binaryFile`; an image's label is the name of the folder it lies in."""

from collections.abc import Iterator
from dataclasses import dataclass

from omegaconf import MISSING
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from pipelines import files, reading
from pipelines.files import Arrival
from pipelines.formats import BrokenFile, Row
from pipelines.reading import Step


@dataclass(frozen=True)
class Options:
    """Where the files are; `label` false: unlabelled; `max_bytes`: of a file."""

    path: str = MISSING
    label: bool = True
    max_bytes: int = 10_000_000

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("source.path is empty")
        if not 1 <= self.max_bytes <= reading.MOST_BYTES:
            raise ValueError(f"source.max_bytes must lie in 1..{reading.MOST_BYTES}")
        if self.path != MISSING:
            object.__setattr__(self, "path", files.absolute(self.path))


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The files."""
    return files.listing(options.path)


def rows(path: str, options: Options) -> Iterator[Row]:
    """The one row of a file."""
    with files.opened(path) as stream:
        content = stream.read(options.max_bytes + 1)
    if not content:
        raise BrokenFile("the file is empty")  # Spark passes over such a one without a word
    yield Row(content=content, label=path.rsplit("/", 2)[-2] if options.label else None)


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned files as `reading.RAW`, then `step`."""
    path = F.regexp_replace("path", "^file:/+", "file:///")
    label = F.element_at(F.split("path", "/"), -2) if options.label else F.lit(None).cast("string")
    place = files.located(options.path)
    place = files.literal(place) if files.present(place) else place
    whole = spark.read.format("binaryFile").option("recursiveFileLookup", True).load(place)
    found = whole.select(path.alias("path"), "content", label.alias("label"), F.lit(0).cast("bigint").alias("row"))
    limits = reading.Limits(options.max_bytes, label_needed=options.label)
    return reading.by_row(found.join(plan.select("path", "name"), "path"), ["content", "label"], limits, step)
