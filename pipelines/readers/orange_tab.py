"""Orange's tab-separated files: a class and a text a line, below three lines of header.

The published split is the file's name.
"""

from collections.abc import Collection, Iterator
from functools import partial

from pyspark.sql import DataFrame

from pipelines.readers import listing, raw_documents
from pipelines.readers.formats import Row
from pipelines.readers.raw_documents import Step

HEADER_LINES = 3
MAX_BYTES = 10_000_000


def rows(path: str, classes: Collection[str] = ()) -> Iterator[Row]:
    """One row a line that is not empty; with `classes` only theirs, without the published split, which is of all."""
    split = None if classes else path.rsplit("/", 1)[-1].removesuffix(".tab")
    with listing.opened(path) as stream:
        for number, line in enumerate(stream):
            if number >= HEADER_LINES and line.strip():
                label, _, text = line.decode().rstrip("\r\n").partition("\t")
                if not classes or label in classes:
                    yield Row(text, label, split=split, raw=line)


def read(plan: DataFrame, step: Step, classes: Collection[str] = ()) -> DataFrame:
    """The planned files as `reading.RAW`, then `step`."""
    reader = partial(rows, classes=classes)
    return raw_documents.by_file(plan, reader, raw_documents.Limits(MAX_BYTES, label_needed=True), step)
