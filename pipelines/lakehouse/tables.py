"""The lake: which tables there are, what one row of each is, and how rows get into them exactly once.

Every table is append-only. What a stage writes for a batch goes into one Delta commit a table, marked with the
batch's number as the transaction's version: writing it again changes nothing, and the highest number recorded is how
far the table has come (Delta protocol, "Transaction Identifiers"). A table's first column is its key: all rows of a
commit have the same, so that a reader finds a batch's or a run's files in the log.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from models.storage import addresses
from models.storage.files import locate
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.lakehouse import delta_kernel, locks, parquet_writer
from pipelines.lakehouse.delta_kernel import Key
from pipelines.text import tokenizer


@dataclass(frozen=True)
class Table:
    """A table's place in its data set, its columns, and its grain in words."""

    place: str
    columns: str
    grain: str
    row_group: int = parquet_writer.ROW_GROUP

    @cached_property
    def schema(self) -> StructType:
        """The contract that `written` and `keep` check."""
        return StructType.fromDDL(self.columns)

    @cached_property
    def arrow(self) -> pa.Schema:
        """The same for record batches."""
        return to_arrow_schema(self.schema)

    @property
    def key(self) -> str:
        """The column that all rows of a commit share."""
        return str(self.schema.names[0])


BATCHES = Table(
    "bronze/batches",
    "batch bigint, source string, settings string, path string, name string, size bigint, modified bigint,"
    " digest string, problem string",
    "one row per file taken in a batch",
)
DOCUMENTS = Table(
    "bronze/documents",
    "batch bigint, id string, path string, row bigint, text string, content binary, labels array<string>,"
    " target double, split string, digest string",
    "one row per raw document",
)
QUARANTINE = Table(
    "bronze/quarantine",
    "batch bigint, path string, row bigint, reason string, digest string",
    "one row per rejected row or file, with its reason",
)
CLEAN = Table(
    "silver/documents",
    "batch bigint, id string, text string, content binary, labels array<string>, target double,"
    " split string, published boolean, digest string",
    "one row per distinct document",
)
FEATURES = Table(
    "features",
    "batch bigint, key bigint, id string, split string, labels array<string>, target double,"
    " terms array<bigint>, counts array<int>, sequence array<int>, content binary",
    "one row per document, in the order of `key` within a file, the test split behind all others",
    row_group=512,  # rows that a rank decodes at once: small against a bucket of its shuffle
)
VOCABULARY = Table(
    "vocabulary",
    "batch bigint, term string, id bigint, df bigint, count bigint",
    "one row per term and batch: train documents of the batch that hold it, and its occurrences in them",
)
SNAPSHOTS = Table(
    "snapshots",
    "batch bigint, documents bigint, train bigint, test bigint, labels array<string>, features_version bigint,"
    " vocabulary_version bigint",
    "one row per published state: rows of batches up to this one, counted, and the labels that can be learnt",
)
PREDICTIONS = Table(
    "predictions",
    "run string, snapshot bigint, id string, labels array<string>, target double, predicted string,"
    " probability float, predicted_labels array<string>, predicted_value double",
    "one row per run, snapshot and test document; the columns of other tasks than the run's are null",
)
RUNS = Table("runs", "run string, job string, status string, report string", "one row per job that changed something")
METRICS = Table(
    "metrics",
    "run string, snapshot bigint, step bigint, name string, value double",
    "one row per run and figure, and per run, training step and figure of that step",
)
TABLES = (BATCHES, DOCUMENTS, QUARANTINE, CLEAN, FEATURES, VOCABULARY, SNAPSHOTS, PREDICTIONS, RUNS, METRICS)


@dataclass(frozen=True)
class Lake:
    """A data set of a lake: `<root>/<dataset>/{bronze,silver,gold,…}`."""

    root: str
    dataset: str
    features: str

    @property
    def folder(self) -> str:
        """The data set's folder."""
        return f"{self.root}/{self.dataset}"

    def path(self, table: Table) -> str:
        """Where a table lies; those of a feature set under its name and a digest of its settings."""
        gold = f"gold/{self.features}/" if table in (FEATURES, VOCABULARY, SNAPSHOTS) else ""
        return f"{self.folder}/{gold}{table.place}"


def of(config: Config) -> Lake:
    """The data set and feature set that a configuration speaks of.

    Raises:
        UserError: the lake is a file.
    """
    root = addresses.absolute(config.lake).rstrip("/")
    if root.startswith("file://") and os.path.isfile(root.removeprefix("file://")):
        raise UserError(f"lake={config.lake} is a file; name a folder")
    return Lake(
        root,
        config.dataset_name,
        f"{config.names.features}-{features_digest(config.features)}",
    )


def features_digest(options: tokenizer.Options) -> str:
    """Eight hexadecimal digits that name a feature set's settings."""
    return hashlib.sha256(json.dumps(asdict(options), sort_keys=True).encode()).hexdigest()[:8]


APPLICATION = "textmill"
MAINTENANCE = "textmill.maintain"  # its transactions count the times that files were replaced


def last_batch(spark: SparkSession, lake: Lake, table: Table, application: str = APPLICATION) -> int:
    """The highest batch that a table holds completely, 0 where there is none."""
    return delta_kernel.transaction(spark, lake.path(table), application)


def version(spark: SparkSession, lake: Lake, table: Table) -> int:
    """The table's newest Delta version, -1 where it is not there."""
    return delta_kernel.version(spark, lake.path(table))


def properties(spark: SparkSession, lake: Lake, table: Table) -> dict[str, str]:
    """What its first commit said of the table as a whole; nothing where it is not there."""
    return delta_kernel.properties(spark, lake.path(table))


def target(lake: Lake, table: Table, order: tuple[str, ...] = ()) -> parquet_writer.Target:
    """Where a job's workers write rows of a table, in each file by `order`; each call names another job."""
    token = f"part-{secrets.token_hex(8)}"
    return parquet_writer.Target(table.place, lake.path(table), table.arrow, token, order, table.row_group)


def commit(
    spark: SparkSession,
    lake: Lake,
    table: Table,
    key: Key,
    told: Iterable[parquet_writer.Told],
    *,
    transaction: tuple[str, int] | None = None,
    more: Mapping[str, str] | None = None,
) -> bool:
    """Make files that workers wrote the rows of a batch (or run), in one commit; False where it is there already."""
    if transaction is None and isinstance(key, int):
        transaction = (APPLICATION, key)
    path, added = lake.path(table), parquet_writer.data_files(told, table.place)
    with locks.commit(spark, lake.folder, path.removeprefix(f"{lake.folder}/")):
        return delta_kernel.commit(spark, path, table.schema, added, transaction=transaction, more=more)


def replace(
    spark: SparkSession,
    lake: Lake,
    table: Table,
    removed: Collection[str],
    told: Iterable[parquet_writer.Told],
    more: Mapping[str, str] | None = None,
) -> bool:
    """Put files that workers wrote in the place of others, in one commit; False where another job has done so."""
    path, added = lake.path(table), parquet_writer.data_files(told, table.place)
    transaction = MAINTENANCE, 1 + last_batch(spark, lake, table, MAINTENANCE)
    with locks.commit(spark, lake.folder, path.removeprefix(f"{lake.folder}/")):
        return delta_kernel.replace(spark, path, table.key, removed, added, transaction=transaction, more=more)


def keep(spark: SparkSession, lake: Lake, table: Table, key: Key, rows: pa.Table) -> bool:
    """Write and commit a few rows from the driver; their first column is `key`."""
    place = target(lake, table)
    whole = rows.append_column(table.key, [[key] * rows.num_rows]).select(table.arrow.names).cast(table.arrow)
    told = [parquet_writer.write(place, f"{place.token}.parquet", whole)] if rows.num_rows else []
    return commit(spark, lake, table, key, told)


def read(spark: SparkSession, lake: Lake, table: Table, first: Key | None = None, last: Key | None = None) -> DataFrame:
    """A table's rows with keys from `first` to `last`; none where the table is not there yet."""
    paths = file_paths(spark, lake, table, first, last)
    if not paths:
        return spark.createDataFrame([], table.schema)
    whole = spark.read.schema(table.schema).parquet(*map(addresses.escape_globs, paths))
    return whole if first is last is None else whole.where(_within(F.col(table.key), first, last))


def file_paths(
    spark: SparkSession, lake: Lake, table: Table, first: Key | None = None, last: Key | None = None
) -> list[str]:
    """The files that hold a table's rows with keys from `first` to `last`, and perhaps others."""
    found = delta_kernel.files(spark, lake.path(table), table.key, first, last)
    return [addresses.from_hadoop(path) for path in found]


def rows(spark: SparkSession, lake: Lake, table: Table, first: Key | None = None, last: Key | None = None) -> pa.Table:
    """As `read`, but here in the driver and without a Spark job: for tables of a few rows a batch."""
    found = _dataset(spark, lake, table, first, last)
    return found.to_table() if found else table.arrow.empty_table()


def scan(
    spark: SparkSession, lake: Lake, table: Table, first: Key | None, last: Key | None, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Some columns of `rows`, some rows at a time."""
    found = _dataset(spark, lake, table, first, last)
    yield from found.to_batches(columns=columns) if found else []


def count(spark: SparkSession, lake: Lake, table: Table, first: Key | None = None, last: Key | None = None) -> int:
    """How many rows have keys from `first` to `last`; read from the files' footers."""
    found = _dataset(spark, lake, table, first, last)
    return int(found.count_rows()) if found else 0


def snapshot(spark: SparkSession, lake: Lake, wanted: str) -> dict[str, Any]:
    """The published state that `snapshot=` names: its row of `snapshots` (`latest`: the newest).

    Raises:
        UserError: there is none.
    """
    if wanted != "latest" and not (wanted.isascii() and wanted.isdigit()):
        raise UserError(f"snapshot={wanted} is neither 'latest' nor a batch number")
    number = last_batch(spark, lake, SNAPSHOTS) if wanted == "latest" else int(wanted)
    found: list[dict[str, Any]] = rows(spark, lake, SNAPSHOTS, number, number).to_pylist()
    if not found:
        raise UserError(f"{lake.root}/{lake.dataset} has no snapshot {wanted} of the features {lake.features}")
    return found[0]


def _dataset(spark: SparkSession, lake: Lake, table: Table, first: Key | None, last: Key | None) -> Any:
    located = [locate(path) for path in file_paths(spark, lake, table, first, last)]
    if not located:
        return None
    whole = ds.dataset([path for _, path in located], schema=table.arrow, filesystem=located[0][0], format="parquet")
    return whole if first is last is None else whole.filter(_within(ds.field(table.key), first, last))


def _within(column: Any, first: Key | None, last: Key | None) -> Any:
    """Whether a key lies within the bounds that are given, one at least; for Spark's columns and for Arrow's."""
    if last is None:
        return column >= first
    return column <= last if first is None else (column >= first) & (column <= last)
