"""Image files: each is a document, labelled with the name of its folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from omegaconf import MISSING
from pyspark.sql import DataFrame, SparkSession

from models.options.fields import setting
from models.storage import addresses
from pipelines.readers import listing, raw_documents, streams
from pipelines.readers.listing import SourceFile
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.row_rules import RowRules
from pipelines.readers.rows import Row


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `images`."""

    path: str = setting(MISSING, "Folder, glob or file of images; local, file: or hdfs:.", example="/data/pictures")
    label: bool = setting(True, "Whether the name of an image's folder is its label.")
    max_bytes: int = setting(10_000_000, "Largest file in bytes; a larger one goes to quarantine.")

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("source.path is empty: name a file, folder or glob")
        if not 1 <= self.max_bytes <= raw_documents.MAX_DOCUMENT_BYTES:
            raise ValueError(
                f"source.max_bytes must be from 1 to {raw_documents.MAX_DOCUMENT_BYTES}, not {self.max_bytes}"
            )
        if self.path != MISSING:
            object.__setattr__(self, "path", addresses.absolute(self.path))


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """All files at the path."""
    return listing.list_files(options.path)


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """The only row of a file."""
    with streams.open_raw(path) as stream:
        content = stream.read(options.max_bytes + 1)
    yield Row(content=content, label=path.rsplit("/", 2)[-2] if options.label else None)


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned images as raw documents, passed through `step`."""
    rules = RowRules(options.max_bytes, needs_label=options.label)
    return raw_documents.read_by_file(plan, partial(read_rows, options=options), rules, step)
