"""A bundle's vocabulary: `vocabulary.parquet`, whose row number is a term's index in the network's input."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.dataset.tfidf import Options, Weigher

FILE = "vocabulary.parquet"


def opened(content: bytes) -> Any:
    """The Parquet file in `content`, of which only the footer has been read.

    Raises:
        ValueError: it is not Parquet, or lacks the columns `id` and `df` as 64-bit integers.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        types = {name: file.schema_arrow.field(name).type for name in ("id", "df")}
    except (pa.ArrowException, KeyError, OSError) as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
    if set(types.values()) != {pa.int64()}:
        raise ValueError(f"{FILE} needs 64-bit integers in its columns id and df")
    return file


def weigher(file: Any, *, documents: int, options: Options) -> Weigher:
    """Read the terms' ids and frequencies.

    Raises:
        ValueError: the file is torn, holds nulls, or `Weigher` refuses its content.
    """
    try:
        table = file.read(columns=["id", "df"])
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
    if table["id"].null_count or table["df"].null_count or table.num_rows != file.metadata.num_rows:
        raise ValueError(f"{FILE} holds nulls or not as many rows as it says")
    return Weigher(table["id"].to_numpy(), table["df"].to_numpy(), documents=documents, options=options)
