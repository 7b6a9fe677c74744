"""20 Newsgroups: 18,821 messages in 20 classes, with the published split; `make data` downloads the files."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from models.options.fields import setting
from pipelines.readers import listing, orange_tab
from pipelines.readers.listing import SourceFile
from pipelines.readers.locations import DATA
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.rows import Row


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `newsgroups`."""

    path: str = setting(str(DATA / "newsgroups"), "Folder where `make data` put train.tab and test.tab.")
    classes: list[str] = setting(
        [],
        "The only classes to read, split by split.*; empty reads all of them, split as published.",
        example="[alt.atheism,soc.religion.christian]",
    )

    @property
    def dataset(self) -> str:
        """The data set's default name; a selection of classes gets one of its own."""
        if not self.classes:
            return "newsgroups"
        return f"newsgroups-{hashlib.sha256(','.join(sorted(self.classes)).encode()).hexdigest()[:8]}"


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """train.tab and test.tab."""
    return listing.list_downloaded(options.path)


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """The messages with their classes."""
    return orange_tab.read_rows(path, options.classes)


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned files' messages as raw documents, passed through `step`."""
    return orange_tab.read_documents(plan, step, options.classes)
