"""A data set of a lake, opened with a session: its tables, its snapshots and the folders of its runs."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from pyspark.sql import SparkSession

from pipelines.errors import UserError
from pipelines.lakehouse import schemas
from pipelines.lakehouse.schemas import TableSchema
from pipelines.lakehouse.tables import DeltaTable
from pipelines.text import tokenizer


@dataclass(frozen=True)
class Snapshot:
    """A published state of a feature set: the documents of all batches up to `batch`, a row of `SNAPSHOTS`.

    `train` and `test` count the documents of those splits; `labels` are those that models may learn, sorted. The Delta
    versions name the same state, for as long as Delta keeps them.
    """

    batch: int
    documents: int
    train: int
    test: int
    labels: tuple[str, ...]
    features_version: int
    vocabulary_version: int

    def to_dict(self) -> dict[str, Any]:
        """What a bundle records of it: plain values, without the labels, which the bundle has itself."""
        return {name: value for name, value in asdict(self).items() if name != "labels"}


@dataclass(frozen=True)
class Dataset:
    """The data set `name` of the lake in `root` with one of its feature sets; tables may not exist yet."""

    session: SparkSession
    root: str
    name: str
    feature_set: str

    @property
    def folder(self) -> str:
        """The data set's folder."""
        return f"{self.root}/{self.name}"

    @property
    def bundles_folder(self) -> str:
        """The folder of the runs' bundles."""
        return f"{self.folder}/bundles"

    def bundle_folder(self, run: str) -> str:
        """The folder of a run's bundle."""
        return f"{self.bundles_folder}/{run}"

    def table(self, schema: TableSchema) -> DeltaTable:
        """One of the data set's tables."""
        parent = f"{self.folder}/gold/{self.feature_set}" if schema.of_feature_set else self.folder
        return DeltaTable(self.session, schema, f"{parent}/{schema.name}", self.folder)

    @cached_property
    def batches(self) -> DeltaTable:
        """The planned batches."""
        return self.table(schemas.BATCHES)

    @cached_property
    def raw_documents(self) -> DeltaTable:
        """Bronze: documents as they came."""
        return self.table(schemas.RAW_DOCUMENTS)

    @cached_property
    def quarantine(self) -> DeltaTable:
        """Rejected rows and files."""
        return self.table(schemas.QUARANTINE)

    @cached_property
    def clean_documents(self) -> DeltaTable:
        """Silver: distinct documents."""
        return self.table(schemas.CLEAN_DOCUMENTS)

    @cached_property
    def features(self) -> DeltaTable:
        """Gold: documents as terms."""
        return self.table(schemas.FEATURES)

    @cached_property
    def vocabulary(self) -> DeltaTable:
        """Gold: the terms' frequencies."""
        return self.table(schemas.VOCABULARY)

    @cached_property
    def snapshots(self) -> DeltaTable:
        """Gold: the published states."""
        return self.table(schemas.SNAPSHOTS)

    @cached_property
    def predictions(self) -> DeltaTable:
        """Predictions for test documents."""
        return self.table(schemas.PREDICTIONS)

    @cached_property
    def runs(self) -> DeltaTable:
        """The jobs' reports."""
        return self.table(schemas.RUNS)

    @cached_property
    def metrics(self) -> DeltaTable:
        """The runs' metrics."""
        return self.table(schemas.METRICS)

    def snapshot(self, name: str) -> Snapshot:
        """The snapshot of a batch number, or the newest (`latest`).

        Raises:
            UserError: `name` is neither of these, or there is no such snapshot.
        """
        if name != "latest" and not (name.isascii() and name.isdigit()):
            raise UserError(f"snapshot must be 'latest' or a batch number, not {name}")
        number = self.snapshots.last_batch() if name == "latest" else int(name)
        snapshot = self.published(number)
        if not snapshot:
            raise UserError(f"{self.folder} has no snapshot={name} of the feature set {self.feature_set}")
        return snapshot

    def published(self, batch: int) -> Snapshot | None:
        """The snapshot of a batch, if it is published."""
        rows = self.snapshots.rows(batch, batch).to_pylist()
        return Snapshot(**rows[0] | {"labels": tuple(rows[0]["labels"])}) if rows else None


def open_dataset(session: SparkSession, lake: str, name: str, features: str, options: tokenizer.Options) -> Dataset:
    """The data set `name` of the lake at an address, with the feature set named `features`, made with `options`.

    Raises:
        UserError: the lake is a file.
    """
    if lake.startswith("file://") and os.path.isfile(lake.removeprefix("file://")):
        raise UserError(f"lake={lake} is a file; name a folder")
    return Dataset(session, lake, name, f"{features}-{options_digest(options)}")


def options_digest(options: tokenizer.Options) -> str:
    """Eight hexadecimal digits that name a feature set's settings."""
    return hashlib.sha256(json.dumps(asdict(options), sort_keys=True).encode()).hexdigest()[:8]
