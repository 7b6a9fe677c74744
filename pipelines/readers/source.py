"""What a source is: the interface of each module in `pipelines/sources/`."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from pyspark.sql import DataFrame, SparkSession

from pipelines.readers.listing import SourceFile
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.rows import Row


class SourceOptions(Protocol):
    """What the options of every source have in common.

    `format` and `encoding` (see `pipelines.readers.formats`), `id`, `label`, `split`, `target` and `dataset` (the data
    set's default name) are read where a source has them.
    """

    @property
    def path(self) -> str:
        """Where the source's files are."""


class Source(Protocol):
    """A module that brings raw documents, found by its name.

    Its functions take its own `Options`, which is why they are not typed more narrowly here.
    """

    @property
    def Options(self) -> Callable[..., SourceOptions]:  # noqa: N802
        """The frozen dataclass of the source's settings, `source.*` on the command line."""

    def list_files(self, spark: SparkSession, options: Any) -> list[SourceFile]:
        """The files that the source consists of now.

        Raises:
            UserError: a column that the options name is missing.
            FileNotFoundError: there is no file.
            ConnectionError: the file system does not answer.
        """

    def read_rows(self, path: str, options: Any) -> Iterator[Row]:
        """The rows of one file, in their order."""

    def read_documents(self, spark: SparkSession, plan: DataFrame, options: Any, step: WorkerStep) -> DataFrame:
        """The raw documents (`RAW_DOCUMENT`) of the planned files (`path`, `name`), passed through `step`."""
