"""Batches of documents as tensors, with their labels and targets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from models.dataset.encoder import EncodedDocuments, to_inputs
from models.dataset.index import Index
from models.dataset.inputs import Inputs
from models.dataset.ragged import Ints

ShardSizes = tuple[tuple[int, int], ...]  # (shard, documents)


@dataclass(frozen=True)
class MicroBatch:
    """B documents that go through the model at once.

    Attributes:
        inputs: what the model reads.
        labels: (B,) as in `Index.label`.
        multi_hot: (B, C) as in `Index.multi_hot`.
        targets: (B,) as in `Index.target`, in float32.
        shards: how many of the documents belong to each shard; the documents lie in the order of the shards.
    """

    inputs: Inputs
    labels: Tensor
    multi_hot: Tensor
    targets: Tensor
    shards: ShardSizes = ()

    def to(self, device: torch.device) -> "MicroBatch":
        """The same tensors on `device`."""
        if device.type == "cpu":
            return self
        names = ("inputs", "labels", "multi_hot", "targets")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class Batch:
    """One rank's part of a global batch; a rank may have no document of it.

    Attributes:
        micro_batches: this rank's documents.
        documents: the number of documents in the whole global batch.
        weight: the sum of the weights of all its documents.
    """

    micro_batches: list[MicroBatch]
    documents: int
    weight: float


def make_micro_batch(
    index: Index, rows: Ints, documents: EncodedDocuments, *, shards: ShardSizes = (), min_length: int = 0
) -> MicroBatch:
    """The documents `rows` (B,) of the index as tensors; their words are padded to `min_length` at least."""
    return MicroBatch(
        inputs=to_inputs(documents, min_length=min_length),
        labels=torch.from_numpy(index.label[rows]),
        multi_hot=torch.from_numpy(index.multi_hot[rows]),
        targets=torch.from_numpy(index.target[rows].astype(np.float32)),
        shards=shards,
    )


def split_micro_batches(
    index: Index, rows: Ints, documents: EncodedDocuments, shards: Ints, *, accumulate: int, min_length: int
) -> Iterator[MicroBatch]:
    """A rank's documents of a global batch in `accumulate` micro-batches, each with a part of every shard.

    Args:
        index: of all documents.
        rows: of the rank's documents, (B,).
        documents: the documents, encoded, in the same order.
        shards: the shard of each document, (B,).
        accumulate: the number of micro-batches.
        min_length: words of the longest document of the global batch. All micro-batches are padded to it, so that
            dropout meets the same words whichever rank computes a shard.
    """
    if accumulate == 1 and (shards == shards[0]).all():  # the usual case, in a third of the time
        own_shard = ((int(shards[0]), len(rows)),)
        yield make_micro_batch(index, rows, documents, shards=own_shard, min_length=min_length)
        return
    number_of = np.zeros_like(shards)
    if accumulate > 1:
        for shard in np.unique(shards):
            in_shard = shards == shard
            number_of[in_shard] = np.arange(in_shard.sum()) * accumulate // in_shard.sum()
    for number in np.unique(number_of):
        chosen = np.flatnonzero(number_of == number)
        chosen = chosen[np.argsort(shards[chosen], kind="stable")]
        names, counts = np.unique(shards[chosen], return_counts=True)
        sizes = tuple(zip(names.tolist(), counts.tolist(), strict=True))
        yield make_micro_batch(index, rows[chosen], documents.take(chosen), shards=sizes, min_length=min_length)
