"""Reuters-21578 R8: 7,674 news items in 8 classes, with the published split; `make data` downloads the files."""

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
    """The `source.*` keys of `r8`."""

    path: str = setting(str(DATA / "r8"), "Folder where `make data` put train.tab and test.tab.")


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """train.tab and test.tab."""
    return listing.list_downloaded(options.path)


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """The news items with their classes."""
    return orange_tab.read_rows(path)


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned files' news items as raw documents, passed through `step`."""
    return orange_tab.read_documents(plan, step)
