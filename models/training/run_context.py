"""What a rank knows before it trains: which documents there are, which are held back, how they are read."""

import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bundles import architecture
from models.dataset import shuffle, vocabulary
from models.dataset.encoder import Encoder
from models.dataset.index import Reader, Wanted, read_index, validation
from models.dataset.loader import Feed, Place
from models.dataset.target_scaling import Scale
from models.ranks import exit_records
from models.ranks.process_group import Group
from models.storage import files
from models.training.history import History
from models.training.losses import balanced
from models.training.task import Task


@dataclass
class Work:
    """What stays the same throughout a run."""

    task: Task
    group: Group
    witness: exit_records.Witness
    feed: Feed
    held: NDArray[np.bool_]
    class_weight: Tensor | None
    scale: Scale
    history: History = field(default_factory=History)
    saved: float = field(default_factory=time.monotonic)
    trimmed: float = field(default_factory=time.monotonic)
    stepping: float = 0.0  # seconds in steps
    seen: int = 0  # documents in them

    @property
    def place(self) -> Place:
        """This rank's shards."""
        return Place(self.group.rank, self.group.size, self.task.shards)


def prepare(task: Task, group: Group, witness: exit_records.Witness) -> Work:
    """Look for the documents to learn from, and choose those for validation."""
    options = task.train
    table = vocabulary.opened(files.read(f"{task.folder}/{vocabulary.FILE}"))
    reads = architecture.reads(task.model, task.options)
    encoder = Encoder(vocabulary.weigher(table, documents=task.documents, options=task.tfidf), reads)
    targets, several = options.loss == "mse", options.loss == "binary"
    wanted = Wanted(task.labels, task.batch, targets=targets, several=several, words=reads.length > 0)
    index = read_index(task.files, wanted)
    # The shares are of all documents; of what the test split leaves, validation's is larger.
    held = validation(index, share=task.validation_share / (1 - task.test_share), salt=task.salt)
    if held.all():
        what = "document with a target" if targets else "labelled document"
        raise ValueError(f"the train split holds no {what}: those that there are, are for validation")
    scale = Scale.of(index.target[~held]) if targets else Scale()
    index = replace(index, target=scale.standardised(index.target))
    buckets = options.shuffle_buckets or shuffle.buckets(task.documents)
    feed = Feed.of(Reader(task.files, index, encoder), buckets=buckets, cache=int(options.cache_gb * 2**30))
    class_weight = None
    if options.class_weights == "balanced":
        class_weight = balanced(torch.from_numpy(index.label[~held]), len(task.labels)).to(group.device)
    return Work(task, group, witness, feed, held, class_weight, scale)
