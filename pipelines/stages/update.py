"""Brings a data set's tables up to date, stage by stage: as with make, each stage first runs those before it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.lakehouse import locks
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.locks import Overlap
from pipelines.lakehouse.splits import Split
from pipelines.stages import cleaning, featurization, ingestion
from pipelines.stages.ingestion import ConfiguredSource
from pipelines.text import tokenizer
from pipelines.tracking.reports import DONE, UNCHANGED, RowCounts

INGEST, CLEAN, FEATURIZE = "ingest", "clean", "featurize"


@dataclass(frozen=True)
class UpdateSettings:
    """The source of text, how text is split and tokenized, and what to do if another job holds the data set."""

    source: ConfiguredSource
    split: Split
    features: tokenizer.Options
    overlap: Overlap


@dataclass(frozen=True)
class TableUpdate:
    """What an update did: the batches that at least one stage took, their rows, and the seconds of each stage."""

    batches: list[int]
    rows: RowCounts
    seconds: dict[str, float]

    @property
    def status(self) -> str:
        """Whether anything was written."""
        return DONE if self.batches else UNCHANGED


def update_tables(dataset: Dataset, settings: UpdateSettings, *, through: str = FEATURIZE) -> TableUpdate:
    """Run the stages up to `through`, each on the batches that are new to it.

    Raises:
        UserError: the data set was divided with other `split.*` settings, or the source cannot be used (see
            `ingestion`).
        Busy: another job holds the data set.
    """
    with locks.tables_lock(dataset.session, dataset.folder, settings.overlap):
        return _run_stages(dataset, settings, through)


def _run_stages(dataset: Dataset, settings: UpdateSettings, through: str) -> TableUpdate:
    seconds: dict[str, float] = {}
    two_labels: int | None = None
    if through != INGEST:
        cleaning.check_split(dataset, settings.split)
    with _timed(seconds, INGEST):
        batches = set(ingestion.ingest_new_files(dataset, settings.source))
    if through != INGEST:
        with _timed(seconds, CLEAN):
            cleaned = cleaning.clean_new_batches(dataset, settings.split)
        batches.update(cleaned.batches)
        two_labels = cleaned.two_labels
    if through == FEATURIZE:
        with _timed(seconds, FEATURIZE):
            batches.update(featurization.featurize_new_batches(dataset, settings.features))
    taken = sorted(batches)
    return TableUpdate(taken, count_rows(dataset, taken, two_labels), seconds)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Note how many seconds the block takes."""
    began = time.monotonic()
    yield
    seconds[stage] = round(time.monotonic() - began, 2)


def count_rows(dataset: Dataset, batches: list[int], two_labels: int | None) -> RowCounts:
    """The rows of the batches from the first to the last of `batches`; `two_labels` is None before `clean`."""
    first, last = (batches[0], batches[-1]) if batches else (0, 0)
    kept, quarantined = dataset.raw_documents.count(first, last), dataset.quarantine.count(first, last)
    duplicates = None if two_labels is None else kept - dataset.clean_documents.count(first, last)
    return RowCounts(kept + quarantined, kept, quarantined, duplicates, two_labels)
