"""Reuters-21578 R8, 7,674 news items in 8 classes, with the published split; `make data` brings the files."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from models.parts.settings import setting
from pipelines.config import DATA
from pipelines.readers import listing, orange_tab
from pipelines.readers.formats import Row
from pipelines.readers.listing import Arrival
from pipelines.readers.raw_documents import Step


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `r8`."""

    path: str = setting(str(DATA / "r8"), "Folder where `make data` put train.tab and test.tab.")


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The two files."""
    return listing.fetched(options.path)


def rows(path: str, options: Options) -> Iterator[Row]:
    """A message and its class."""
    return orange_tab.rows(path)


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned files as `reading.RAW`, then `step`."""
    return orange_tab.read(plan, step)
