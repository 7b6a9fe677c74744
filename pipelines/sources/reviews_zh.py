"""Chinese reviews of books, hotels and devices: 35,124 lines, positive or negative; `make data` downloads the files."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from models.options.fields import setting
from pipelines.readers import listing, raw_documents, streams
from pipelines.readers.listing import SourceFile
from pipelines.readers.locations import DATA
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.row_rules import RowRules
from pipelines.readers.rows import Row

MAX_BYTES = 10_000_000


@dataclass(frozen=True)
class Options:
    """The `source.*` keys of `reviews_zh`."""

    path: str = setting(str(DATA / "reviews_zh"), "Folder where `make data` put pos.txt and neg.txt.")


def list_files(spark: SparkSession, options: Options) -> list[SourceFile]:
    """pos.txt and neg.txt."""
    return listing.list_downloaded(options.path)


def read_rows(path: str, options: Options) -> Iterator[Row]:
    """A review for each line that is not blank, labelled with the file's name, pos or neg."""
    label = path.rsplit("/", 1)[-1].removesuffix(".txt")
    with streams.open_raw(path) as stream:
        for line in stream:
            try:
                if text := line.decode().strip():
                    yield Row(text, label, raw=line)
            except UnicodeDecodeError:
                yield Row(reason="not valid utf-8", raw=line)


def read_documents(spark: SparkSession, plan: DataFrame, options: Options, step: WorkerStep) -> DataFrame:
    """The planned files' reviews as raw documents, passed through `step`."""
    rules = RowRules(MAX_BYTES, needs_label=True)
    return raw_documents.read_by_file(plan, partial(read_rows, options=options), rules, step)
