"""Orange's tab-separated files: a class and a text on each line, below three header lines.

The name of the file is the published split.
"""

from collections.abc import Collection, Iterator
from functools import partial

from pyspark.sql import DataFrame

from pipelines.readers import raw_documents
from pipelines.readers.raw_documents import WorkerStep
from pipelines.readers.row_rules import RowRules
from pipelines.readers.rows import Row
from pipelines.readers.streams import open_raw

HEADER_LINES = 3
MAX_BYTES = 10_000_000


def read_rows(path: str, classes: Collection[str] = ()) -> Iterator[Row]:
    """A row for each line that is not blank.

    With `classes`, only rows of these classes are read, without a split: the published one is of all classes.
    """
    split = None if classes else path.rsplit("/", 1)[-1].removesuffix(".tab")
    with open_raw(path) as stream:
        for number, line in enumerate(stream):
            if number >= HEADER_LINES and line.strip():
                label, _, text = line.decode().rstrip("\r\n").partition("\t")
                if not classes or label in classes:
                    yield Row(text, label, split=split, raw=line)


def read_documents(plan: DataFrame, step: WorkerStep, classes: Collection[str] = ()) -> DataFrame:
    """The planned files' raw documents, passed through `step`."""
    rules = RowRules(MAX_BYTES, needs_label=True)
    return raw_documents.read_by_file(plan, partial(read_rows, classes=classes), rules, step)
