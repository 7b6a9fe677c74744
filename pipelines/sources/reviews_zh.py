"""Chinese reviews of books, hotels and devices, 35,124 lines, praise or complaint; `make data` brings the files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from models.parts.settings import setting
from pipelines.config import DATA
from pipelines.readers import listing, raw_documents
from pipelines.readers.formats import Row
from pipelines.readers.listing import Arrival
from pipelines.readers.raw_documents import Step

MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `reviews_zh`."""

    path: str = setting(str(DATA / "reviews_zh"), "Folder where `make data` put pos.txt and neg.txt.")


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The two files."""
    return listing.fetched(options.path)


def rows(path: str, options: Options) -> Iterator[Row]:
    """A line is a review; its label is the file's name, pos or neg."""
    label = path.rsplit("/", 1)[-1].removesuffix(".txt")
    with listing.opened(path) as stream:
        for line in stream:
            try:
                if text := line.decode().strip():
                    yield Row(text, label, raw=line)
            except UnicodeDecodeError:
                yield Row(reason="not valid utf-8", raw=line)


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned files as `reading.RAW`, then `step`."""
    reader = partial(rows, options=options)
    return raw_documents.by_file(plan, reader, raw_documents.Limits(MAX_BYTES, label_needed=True), step)
