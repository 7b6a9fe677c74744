"""Parquet files, read some rows at a time."""

from collections.abc import Iterator
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.readers.rows import ROLES, BrokenFile, FormatOptions, Row, require_columns, selected_columns
from pipelines.readers.streams import open_raw

BATCH_ROWS = 1000


def read_rows(path: str, options: FormatOptions) -> Iterator[Row]:
    """The file's rows; only the selected columns are read."""
    with open_raw(path) as stream:
        file = _open_parquet(stream)
        names = selected_columns(options)
        require_columns(names.values(), file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=sorted(set(names.values()))):
            nulls = [None] * batch.num_rows
            yield from map(Row, *[batch[names[role]].to_pylist() if role in names else nulls for role in ROLES])


def read_empty_rows(path: str) -> Iterator[Row]:
    """As many rows as the file has, without any value."""
    with open_raw(path) as stream:
        for _ in range(_open_parquet(stream).metadata.num_rows):
            yield Row()


def check_file(path: str) -> None:
    """Decode the whole file.

    Raises:
        BrokenFile: the file is truncated or damaged.
    """
    with open_raw(path) as stream:
        file = _open_parquet(stream)
        try:
            for _ in file.iter_batches(batch_size=BATCH_ROWS):
                pass
        except (pa.ArrowException, OSError) as error:
            raise BrokenFile(f"broken Parquet: {error}") from error


def _open_parquet(stream: IO[bytes]) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(stream)
    except pa.ArrowException as error:
        raise BrokenFile(f"broken Parquet: {error}") from error
