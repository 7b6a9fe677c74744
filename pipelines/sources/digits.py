"""Handwritten digits, 1,797 images of 8 x 8 pixels, from scikit-learn; `make data` writes PNG files."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from models.parts.settings import setting
from pipelines.config import DATA
from pipelines.readers import listing
from pipelines.readers.formats import Row
from pipelines.readers.listing import Arrival
from pipelines.readers.raw_documents import Step
from pipelines.sources import images


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `digits`."""

    path: str = setting(str(DATA / "digits"), "Folder where `make data` put the images.")


def arrivals(spark: SparkSession, options: Options) -> list[Arrival]:
    """The images."""
    return listing.fetched(options.path)


def rows(path: str, options: Options) -> Iterator[Row]:
    """An image and its digit, the folder's name."""
    return images.rows(path, _images(options))


def read(spark: SparkSession, plan: DataFrame, options: Options, step: Step) -> DataFrame:
    """The planned images as `reading.RAW`, then `step`."""
    return images.read(spark, plan, _images(options), step)


def _images(options: Options) -> images.Options:
    return images.Options(path=options.path)
