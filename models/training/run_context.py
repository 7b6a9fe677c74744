"""What a rank prepares before it trains: the index of documents, those for validation, and their reader."""

import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bundles import architecture
from models.dataset import vocabulary
from models.dataset.bucket_cache import BucketCache
from models.dataset.encoder import Encoder
from models.dataset.feature_reader import FeatureReader
from models.dataset.index import DocumentFilter, Index, read_index, validation_mask
from models.dataset.sampling import ShardAssignment
from models.dataset.shuffle import default_buckets
from models.dataset.target_scaling import TargetScale
from models.ranks.process_group import ProcessGroup
from models.ranks.rank_status import RankStatus
from models.storage import files
from models.training.history import History
from models.training.losses import balanced_class_weights
from models.training.task import Task


@dataclass
class RunContext:
    """Everything that one rank needs throughout a run.

    Attributes:
        status: this rank's progress, for the watchdog and the exit record.
        cache: the documents to learn from.
        validation_mask: which of them are for validation, (D,).
        class_weight: what a document of each class counts, (C,); 1 if None.
        scale: of the targets.
        checkpointed_at, trimmed_at: when the last checkpoint was written and memory was last returned
            (`time.monotonic`).
        step_seconds, step_documents: the time spent in steps, and the documents in their global batches.
    """

    task: Task
    group: ProcessGroup
    status: RankStatus
    cache: BucketCache
    validation_mask: NDArray[np.bool_]
    class_weight: Tensor | None
    scale: TargetScale
    history: History = field(default_factory=History)
    checkpointed_at: float = field(default_factory=time.monotonic)
    trimmed_at: float = field(default_factory=time.monotonic)
    step_seconds: float = 0.0
    step_documents: int = 0

    @property
    def assignment(self) -> ShardAssignment:
        """The shards of this rank."""
        return ShardAssignment(self.group.rank, self.group.size, self.task.shards)


def prepare(task: Task, group: ProcessGroup, status: RankStatus) -> RunContext:
    """Index the documents to learn from, and choose those for validation.

    Raises:
        ValueError: There is no document to learn from, one has a label that the task lacks, the targets are too large,
            or the vocabulary cannot be used.
    """
    options = task.train
    spec = architecture.input_spec(task.model, task.options)
    table = vocabulary.open_parquet(files.read(f"{task.folder}/{vocabulary.FILE}"))
    transformer = vocabulary.read_transformer(table, documents=task.documents, options=task.tfidf)
    encoder = Encoder(transformer, spec)
    index, mask = _read_documents(task, count_words=spec.length > 0)
    scale = TargetScale()
    if task.kind == "target":
        scale = TargetScale.of(index.target[~mask])
        index = replace(index, target=scale.standardise(index.target))
    class_weight = None
    if options.class_weights == "balanced":
        labels = torch.from_numpy(index.label[~mask])
        class_weight = balanced_class_weights(labels, len(task.labels)).to(group.device)
    buckets = options.shuffle_buckets or default_buckets(task.documents)
    reader = FeatureReader(task.files, index, encoder)
    cache = BucketCache.of(reader, buckets=buckets, capacity=int(options.cache_gb * 2**30))
    return RunContext(task, group, status, cache, mask, class_weight, scale)


def _read_documents(task: Task, *, count_words: bool) -> tuple[Index, NDArray[np.bool_]]:
    """The documents of the train and validation splits, and which of them are for validation, (D,)."""
    kind = task.kind
    selection = DocumentFilter(
        task.labels, task.batch, targets=kind == "target", multi_label=kind == "labels", count_words=count_words
    )
    index = read_index(task.files, selection)
    # The shares are of all documents. Of those outside the test split, the validation's share is larger.
    mask = validation_mask(index, share=task.validation_share / (1 - task.test_share), salt=task.salt)
    if mask.all():
        what = "document with a target" if selection.targets else "labelled document"
        raise ValueError(f"the train split holds no {what} apart from those for validation")
    return index, mask
