"""20 Newsgroups, 18,821 messages in 20 classes, with the published split; `make data` brings the files."""

import hashlib
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
    """The `source.*` keys of `newsgroups`."""

    path: str = setting(str(DATA / "newsgroups"), "Folder where `make data` put train.tab and test.tab.")
    classes: list[str] = setting(
        [],
        "Classes that alone are read, and split by split.*; empty for all of them, split as published.",
        example="[alt.atheism,soc.religion.christian]",
    )

    @property
    def dataset(self) -> str:
        """A data set's default name: some classes make one of their own."""
        if not self.classes:
            return "newsgroups"
        return f"newsgroups-{hashlib.sha256(','.join(sorted(self.classes)).encode()).hexdigest()[:8]}"


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The two files."""
    return listing.fetched(options.path)


def rows(path: str, options: Options) -> Iterator[Row]:
    """A message and its class."""
    return orange_tab.rows(path, options.classes)


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned files as `reading.RAW`, then `step`."""
    return orange_tab.read(plan, step, options.classes)
