"""Handwritten digits: 1,797 images of 8 x 8 pixels from scikit-learn, which `make data` writes as PNG files."""

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from models.options.fields import setting
from pipelines.readers import listing
from pipelines.readers.listing import SourceFile
from pipelines.readers.locations import DATA
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.rows import Row
from pipelines.sources import images


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `digits`."""

    path: str = setting(str(DATA / "digits"), "Folder where `make data` put the images.")


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """One file for each image."""
    return listing.list_downloaded(options.path)


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """An image, labelled with the name of its folder, the digit."""
    return images.read_rows(path, _images_options(options))


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned images as raw documents, passed through `step`."""
    return images.read_documents(spark, plan, _images_options(options), step)


def _images_options(options: Options) -> images.Options:
    return images.Options(path=options.path)
