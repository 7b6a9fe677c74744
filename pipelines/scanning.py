"""A table's Parquet files in the hands of Spark's workers, which read them with Arrow: no row goes through the JVM."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from models.training.files import locate
from pipelines.writing import ROW_GROUP


def rows(path: str, columns: Sequence[str], batch: int, without: Sequence[int] = ()) -> Iterator[pa.RecordBatch]:
    """A file's rows that belong to a batch, but those at the places `without`; some at a time."""
    filesystem, inner = locate(path)
    places = np.array(without, np.int64)
    with filesystem.open(inner, "rb") as file:
        for found in pq.ParquetFile(file).iter_batches(ROW_GROUP, columns=list(columns)):
            stays = pc.equal(found["batch"], batch).to_numpy(zero_copy_only=False)
            stays[places[(places >= 0) & (places < found.num_rows)]] = False
            places -= found.num_rows
            yield found if stays.all() else found.filter(pa.array(stays))
