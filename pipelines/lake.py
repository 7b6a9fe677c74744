"""The lake: which tables there are, what one row of each is, and how rows get into them exactly once.

Every table is append-only. What a stage writes for a batch goes into one Delta commit a table, marked with the
batch's number as the transaction's version: writing it again changes nothing, and the highest number recorded is how
far the table has come (Delta protocol, "Transaction Identifiers").
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from pipelines import files, words
from pipelines.config import Config, UserError


@dataclass(frozen=True)
class Table:
    """A table's place in its data set, its columns, and its grain in words."""

    place: str
    columns: str
    grain: str

    @property
    def schema(self) -> StructType:
        """The contract that `append` checks."""
        return StructType.fromDDL(self.columns)


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
    "batch bigint, id string, text string, labels array<string>, target double, split string,"
    " published boolean, digest string",
    "one row per distinct document",
)
FEATURES = Table(
    "features",
    "batch bigint, key bigint, id string, split string, labels array<string>, target double,"
    " terms array<bigint>, counts array<int>, sequence array<int>",
    "one row per document, in the order of `key` within a file",
)
VOCABULARY = Table(
    "vocabulary",
    "batch bigint, term string, id bigint, df bigint, count bigint",
    "one row per term and batch: train documents of the batch that hold it, and its occurrences in them",
)
SNAPSHOTS = Table(
    "snapshots",
    "batch bigint, documents bigint, train bigint, test bigint, features_version bigint, vocabulary_version bigint",
    "one row per published state: rows of batches up to this one, counted",
)
PREDICTIONS = Table(
    "predictions",
    "run string, snapshot bigint, id string, labels array<string>, predicted string, probability float",
    "one row per run, snapshot and test document",
)
RUNS = Table("runs", "run string, job string, status string, report string", "one row per job that changed something")
METRICS = Table("metrics", "run string, snapshot bigint, name string, value double", "one row per run and figure")


@dataclass(frozen=True)
class Lake:
    """A data set of a lake: `<root>/<dataset>/{bronze,silver,gold,…}`."""

    root: str
    dataset: str
    features: str

    def path(self, table: Table) -> str:
        """Where a table lies; those of a feature set under its name and a digest of its settings."""
        gold = f"gold/{self.features}/" if table in (FEATURES, VOCABULARY, SNAPSHOTS) else ""
        return f"{self.root}/{self.dataset}/{gold}{table.place}"


def of(config: Config) -> Lake:
    """The data set and feature set that a configuration speaks of."""
    return Lake(
        files.absolute(config.lake).rstrip("/"),
        config.dataset_name,
        f"{config.names.features}-{features_digest(config.features)}",
    )


def features_digest(options: words.Options) -> str:
    """Eight hexadecimal digits that name a feature set's settings."""
    return hashlib.sha256(json.dumps(asdict(options), sort_keys=True).encode()).hexdigest()[:8]


def exists(spark: SparkSession, path: str) -> bool:
    """Whether a Delta table is there."""
    return version(spark, path) >= 0


def version(spark: SparkSession, path: str) -> int:
    """The newest Delta version of a table, -1 where there is none."""
    return int(_snapshot(spark, path).version())


def last_batch(spark: SparkSession, path: str, application: str = "textmill") -> int:
    """The highest batch that a table holds completely, 0 where there is none."""
    found = _snapshot(spark, path).transactions().get(application)
    return int(found.get()) if found.isDefined() else 0


def read(spark: SparkSession, lake: Lake, table: Table) -> DataFrame:
    """A table's rows; none where the table is not there yet."""
    path = lake.path(table)
    if not exists(spark, path):
        return spark.createDataFrame([], table.schema)
    return spark.read.format("delta").load(path)


def append(rows: DataFrame, lake: Lake, table: Table, batch: int, application: str = "textmill") -> None:
    """Write all rows of a batch in one commit, or nothing where they are there already.

    Raises:
        AssertionError: the rows are not of the table's columns and types.
    """
    kept = rows.select(*table.schema.names)
    found = [(item.name, item.dataType) for item in kept.schema]
    assert found == [(item.name, item.dataType) for item in table.schema], f"{table.place}: {found}"
    writer = kept.write.format("delta").mode("append")
    writer = writer.option("txnAppId", application).option("txnVersion", batch)
    # Statistics only of the leading column, the batch: a reader of new batches skips the files of the old ones,
    # and no writer computes minima and maxima of texts. Old rows are never rewritten.
    writer = writer.option("delta.dataSkippingNumIndexedCols", 1).option("delta.appendOnly", "true")
    writer.save(lake.path(table))


def of_batch(spark: SparkSession, lake: Lake, table: Table, batch: int) -> DataFrame:
    """The rows of one batch."""
    return read(spark, lake, table).where(F.col("batch") == batch)


def snapshot(spark: SparkSession, lake: Lake, wanted: str) -> dict[str, Any]:
    """The published state that `snapshot=` names: its row of `snapshots` (`latest`: the newest).

    Raises:
        UserError: there is none.
    """
    rows = read(spark, lake, SNAPSHOTS)
    if wanted != "latest":
        if not wanted.isdigit():
            raise UserError(f"snapshot={wanted} is neither 'latest' nor a batch number")
        rows = rows.where(F.col("batch") == int(wanted))
    found = rows.orderBy(F.desc("batch")).limit(1).collect()
    if not found:
        raise UserError(f"{lake.root}/{lake.dataset} has no snapshot {wanted} of the features {lake.features}")
    return found[0].asDict()  # type: ignore[no-any-return]


def _log(spark: SparkSession, path: str) -> Any:
    delta = spark._jvm.org.apache.spark.sql.delta.DeltaLog
    return delta.forTable(spark._jsparkSession, path)


def _snapshot(spark: SparkSession, path: str) -> Any:
    """Delta's own view of the newest state. Its Python interface does not offer the recorded transactions."""
    nothing = spark._jvm.scala.Option.empty()
    return _log(spark, path).update(False, nothing, nothing)
