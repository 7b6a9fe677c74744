"""A table of a data set: read, written and committed, each batch exactly once.

What a stage writes for a batch becomes part of a table by one commit, marked with the batch's number as the
transaction's version. Committing it again changes nothing, and the highest number recorded is how far the table has
come (Delta protocol, "Transaction Identifiers").
"""

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from models.storage import addresses
from models.storage.files import locate
from pipelines.lakehouse import locks
from pipelines.lakehouse.data_files import DataFile, Key
from pipelines.lakehouse.delta_log import DeltaLog
from pipelines.lakehouse.parquet_writer import WriteTarget, WrittenFile, write_file
from pipelines.lakehouse.schemas import TableSchema

APPLICATION = "textmill"
MAINTENANCE = "textmill.maintain"  # its transactions count how often files were replaced


@dataclass(frozen=True)
class DeltaTable:
    """A table in the folder `path` of the data set in `dataset_folder`, with the session that reads and commits it."""

    session: SparkSession
    schema: TableSchema
    path: str
    dataset_folder: str

    @cached_property
    def log(self) -> DeltaLog:
        """The table's Delta log."""
        return DeltaLog(self.session, self.path, self.schema.key)

    @property
    def exists(self) -> bool:
        """Whether anything was ever committed."""
        return self.version() >= 0

    def version(self) -> int:
        """The newest Delta version, -1 if the table does not exist."""
        return self.log.version()

    def properties(self) -> dict[str, str]:
        """The table's Delta properties; empty if it does not exist."""
        return self.log.properties()

    def last_batch(self, application: str = APPLICATION) -> int:
        """The highest batch that was committed to the table, 0 if there is none."""
        return self.log.last_transaction(application)

    def data_files(self) -> list[DataFile]:
        """The files of the newest version with their statistics, by the minimum of the key."""
        return self.log.data_files()

    def paths(self, first: Key | None = None, last: Key | None = None) -> list[str]:
        """The files with all rows whose keys are from `first` to `last`; they may hold other rows, too."""
        return [addresses.from_hadoop(path) for path in self.log.paths(first, last)]

    def read(self, first: Key | None = None, last: Key | None = None) -> DataFrame:
        """The rows with keys from `first` to `last`; none if the table does not exist."""
        paths = self.paths(first, last)
        if not paths:
            return self.session.createDataFrame([], self.schema.spark)
        rows = self.session.read.schema(self.schema.spark).parquet(*map(addresses.escape_globs, paths))
        return rows if first is last is None else rows.where(_within(F.col(self.schema.key), first, last))

    def rows(self, first: Key | None = None, last: Key | None = None) -> pa.Table:
        """As `read`, but in the driver and without a Spark job: for tables with few rows per batch."""
        dataset = self._arrow_dataset(first, last)
        return dataset.to_table() if dataset else self.schema.arrow.empty_table()

    def scan(self, columns: list[str], first: Key | None = None, last: Key | None = None) -> Iterator[pa.RecordBatch]:
        """Some columns of `rows`, batch by batch."""
        dataset = self._arrow_dataset(first, last)
        yield from dataset.to_batches(columns=columns) if dataset else []

    def count(self, first: Key | None = None, last: Key | None = None) -> int:
        """How many rows have keys from `first` to `last`, read from the files' footers."""
        dataset = self._arrow_dataset(first, last)
        return int(dataset.count_rows()) if dataset else 0

    def write_target(self, order: tuple[str, ...] = ()) -> WriteTarget:
        """Where one Spark job's workers write rows of the table, each file sorted by `order`; call it for each job."""
        token = f"part-{secrets.token_hex(8)}"
        return WriteTarget(self.schema.name, self.path, self.schema.arrow, token, order, self.schema.row_group)

    def commit(
        self,
        key: Key,
        written: Iterable[WrittenFile],
        *,
        transaction: tuple[str, int] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> bool:
        """Add the rows of a batch or a run in one commit: those of this table's files in `written`.

        Returns:
            False if they had been committed before.
        """
        if transaction is None and isinstance(key, int):
            transaction = (APPLICATION, key)
        with self._commit_lock():
            return self.log.append(
                self.schema.spark, self._own(written), transaction=transaction, properties=properties
            )

    def append(self, key: Key, rows: pa.Table) -> bool:
        """Write and commit a few rows from the driver, with `key` in the first column."""
        target = self.write_target()
        keyed = rows.append_column(self.schema.key, [[key] * rows.num_rows])
        columns = keyed.select(self.schema.arrow.names).cast(self.schema.arrow)
        written = [write_file(target, f"{target.token}.parquet", columns)] if rows.num_rows else []
        return self.commit(key, written)

    def replace(
        self, removed: Collection[str], written: Iterable[WrittenFile], properties: Mapping[str, str] | None = None
    ) -> bool:
        """Replace files by others with the same rows, in one commit; False if another job has replaced them."""
        transaction = MAINTENANCE, 1 + self.last_batch(MAINTENANCE)
        with self._commit_lock():
            return self.log.replace(removed, self._own(written), transaction=transaction, properties=properties)

    def _own(self, written: Iterable[WrittenFile]) -> list[DataFile]:
        return [file.data_file() for file in written if file.table == self.schema.name]

    def _commit_lock(self) -> Any:
        name = self.path.removeprefix(f"{self.dataset_folder}/")
        return locks.commit_lock(self.session, self.dataset_folder, name)

    def _arrow_dataset(self, first: Key | None, last: Key | None) -> Any:
        located = [locate(path) for path in self.paths(first, last)]
        if not located:
            return None
        filesystem, inner = located[0][0], [path for _, path in located]
        dataset = ds.dataset(inner, schema=self.schema.arrow, filesystem=filesystem, format="parquet")
        return dataset if first is last is None else dataset.filter(_within(ds.field(self.schema.key), first, last))


def _within(column: Any, first: Key | None, last: Key | None) -> Any:
    """Whether a key lies within the bounds, of which one may be None; for Spark's columns and for Arrow's."""
    if last is None:
        return column >= first
    return column <= last if first is None else (column >= first) & (column <= last)
