"""Image files, one a document; an image's label is the name of the folder it lies in."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from omegaconf import MISSING
from pyspark.sql import DataFrame, SparkSession

from models.parts.settings import setting
from models.storage import addresses
from pipelines.readers import listing, raw_documents
from pipelines.readers.formats import Row
from pipelines.readers.listing import Arrival
from pipelines.readers.raw_documents import Step


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `images`."""

    path: str = setting(MISSING, "Folder, glob or file of images; local, file: or hdfs:.", example="/data/pictures")
    label: bool = setting(True, "Whether the name of an image's folder is its label.")
    max_bytes: int = setting(10_000_000, "Largest file in bytes; a larger one goes to quarantine.")

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("source.path is empty")
        if not 1 <= self.max_bytes <= raw_documents.MOST_BYTES:
            raise ValueError(f"source.max_bytes must lie in 1..{raw_documents.MOST_BYTES}")
        if self.path != MISSING:
            object.__setattr__(self, "path", addresses.absolute(self.path))


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The files."""
    return listing.listing(options.path)


def rows(path: str, options: Options) -> Iterator[Row]:
    """The one row of a file."""
    with listing.opened(path) as stream:
        content = stream.read(options.max_bytes + 1)
    yield Row(content=content, label=path.rsplit("/", 2)[-2] if options.label else None)


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned files as `reading.RAW`, then `step`."""
    reader = partial(rows, options=options)
    return raw_documents.by_file(
        plan, reader, raw_documents.Limits(options.max_bytes, label_needed=options.label), step
    )
