"""The tables of a lake: the columns of each, and what one row of it is (its grain).

Every table is append-only. Its first column is its key: all rows of one commit share its value, so that the files of a
batch or of a run are found in the table's log.
"""

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from pipelines.lakehouse.parquet_writer import ROW_GROUP


@dataclass(frozen=True)
class TableSchema:
    """A table's name (its path below the data set), its columns as DDL, and its grain in words.

    `row_group`: rows in a Parquet row group. `of_feature_set`: each feature set has such a table of its own.
    """

    name: str
    ddl: str
    grain: str
    row_group: int = ROW_GROUP
    of_feature_set: bool = False

    @cached_property
    def spark(self) -> StructType:
        """The columns for Spark."""
        return StructType.fromDDL(self.ddl)

    @cached_property
    def arrow(self) -> pa.Schema:
        """The columns for Arrow's record batches."""
        return to_arrow_schema(self.spark)

    @property
    def key(self) -> str:
        """The name of the first column."""
        return str(self.spark.names[0])


BATCHES = TableSchema(
    "bronze/batches",
    "batch bigint, source string, settings string, path string, name string, size bigint, modified bigint,"
    " digest string, problem string",
    "one row per file of a planned batch",
)
RAW_DOCUMENTS = TableSchema(
    "bronze/documents",
    "batch bigint, id string, path string, row bigint, text string, content binary, labels array<string>,"
    " target double, split string, digest string",
    "one row per raw document",
)
QUARANTINE = TableSchema(
    "bronze/quarantine",
    "batch bigint, path string, row bigint, reason string, digest string",
    "one row per rejected row or file, with the reason",
)
CLEAN_DOCUMENTS = TableSchema(
    "silver/documents",
    "batch bigint, id string, text string, content binary, labels array<string>, target double,"
    " split string, published boolean, digest string",
    "one row per distinct document",
)
FEATURES = TableSchema(
    "features",
    "batch bigint, key bigint, id string, split string, labels array<string>, target double,"
    " terms array<bigint>, counts array<int>, sequence array<int>, content binary",
    "one row per document; within a file sorted by `key`, the test split last",
    row_group=512,  # a rank decodes whole row groups: they must be small compared with a shuffle bucket
    of_feature_set=True,
)
VOCABULARY = TableSchema(
    "vocabulary",
    "batch bigint, term string, id bigint, df bigint, count bigint",
    "one row per term and batch: the batch's train documents with the term, and its occurrences in them",
    of_feature_set=True,
)
SNAPSHOTS = TableSchema(
    "snapshots",
    "batch bigint, documents bigint, train bigint, test bigint, labels array<string>, features_version bigint,"
    " vocabulary_version bigint",
    "one row per published state: the documents of all batches up to this one, counted, and the labels to learn",
    of_feature_set=True,
)
PREDICTIONS = TableSchema(
    "predictions",
    "run string, snapshot bigint, id string, labels array<string>, target double, predicted string,"
    " probability float, predicted_labels array<string>, predicted_value double",
    "one row per run, snapshot and test document; columns of other tasks than the run's are null",
)
RUNS = TableSchema(
    "runs", "run string, job string, status string, report string", "one row per job that changed something"
)
METRICS = TableSchema(
    "metrics",
    "run string, snapshot bigint, step bigint, name string, value double",
    "one row per run and metric; for training metrics, one per step as well",
)
ALL = (
    *(BATCHES, RAW_DOCUMENTS, QUARANTINE, CLEAN_DOCUMENTS, FEATURES, VOCABULARY, SNAPSHOTS),
    *(PREDICTIONS, RUNS, METRICS),
)
