"""A bundle's vocabulary, `vocabulary.parquet`: a term's row is its index in the model's input."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.dataset.tfidf import Options, TfidfTransformer

FILE = "vocabulary.parquet"


def open_parquet(content: bytes) -> Any:
    """The `pyarrow.parquet.ParquetFile` in `content`; only its footer is read.

    Raises:
        ValueError: It is not Parquet, or lacks the columns `id` and `df` as 64-bit integers.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        types = {name: file.schema_arrow.field(name).type for name in ("id", "df")}
    except (pa.ArrowException, KeyError, OSError) as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
    if set(types.values()) != {pa.int64()}:
        raise ValueError(f"{FILE} needs 64-bit integers in its columns id and df")
    return file


def read_transformer(file: Any, *, documents: int, options: Options) -> TfidfTransformer:
    """The TF-IDF transformer of a vocabulary opened by `open_parquet`.

    Args:
        file: the opened vocabulary.
        documents: how many documents its frequencies count.
        options: how terms are weighted.

    Raises:
        ValueError: The file is damaged, holds nulls, or `TfidfTransformer` refuses its content.
    """
    try:
        table = file.read(columns=["id", "df"])
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
    if table["id"].null_count or table["df"].null_count or table.num_rows != file.metadata.num_rows:
        raise ValueError(f"{FILE} holds nulls, or another number of rows than its footer says")
    return TfidfTransformer(table["id"].to_numpy(), table["df"].to_numpy(), documents=documents, options=options)
