"""The documents of each rank in each step: a function of keys, seed, epoch and shards, not of files or ranks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dataset.bucket_cache import BucketCache
from models.dataset.ragged import Ints
from models.dataset.shuffle import epoch_order, length_batched_order


def count_batches(documents: int, size: int) -> int:
    """How many batches of at most `size` documents there are."""
    return -(-documents // size)


@dataclass(frozen=True)
class ShardAssignment:
    """The virtual shards of one of `ranks` ranks.

    Every global batch is cut into `shards` shards, each with its own random stream. A rank owns whole shards, at least
    one, with consecutive numbers: shard s belongs to rank ⌊s · ranks / shards⌋.
    """

    rank: int = 0
    ranks: int = 1
    shards: int = 1

    @property
    def own_shards(self) -> range:
        """The numbers of this rank's shards."""
        first, end = (-(-(rank * self.shards) // self.ranks) for rank in (self.rank, self.rank + 1))
        return range(first, end)

    def shards_of(self, positions: Ints, size: int) -> Ints:
        """The shard of each position in an epoch's order, (D,), when its global batches have `size` documents."""
        return (positions % size) % self.shards


@dataclass(frozen=True)
class SamplingPlan:
    """What a training learns from, and in which batches.

    Attributes:
        rows: of the index, (D,).
        size: documents in a global batch.
        epochs: their number.
        seed: of the shuffling.
        accumulate: micro-batches that a rank cuts its part of a global batch into.
        class_weight: what a document of each class counts, (C,); 1 if None.
    """

    rows: Ints
    size: int
    epochs: int
    seed: int
    accumulate: int = 1
    class_weight: NDArray[np.float32] | None = None

    @property
    def steps(self) -> int:
        """Global batches in an epoch."""
        return count_batches(len(self.rows), self.size)


@dataclass(frozen=True)
class EpochOrder:
    """The order of one epoch's documents.

    Attributes:
        number: of the epoch, from 1.
        first_step: the first global batch that is still to be trained on, from 0.
        rows: of the index, in the epoch's order, (D,).
        own: the positions in `rows` of this rank's documents, from `first_step` on, ascending.
    """

    number: int
    first_step: int
    rows: Ints
    own: Ints


def epoch_orders(
    cache: BucketCache, plan: SamplingPlan, assignment: ShardAssignment, epoch: int, step: int
) -> Iterator[EpochOrder]:
    """The order of each epoch from `epoch` on; of the first one, `step` steps have been taken already."""
    keys, bucket_of = cache.index.key[plan.rows], cache.bucket_of[plan.rows]
    for number in range(epoch, plan.epochs + 1):
        rows = plan.rows[epoch_order(keys, bucket_of, seed=plan.seed, epoch=number)]
        if limit := cache.reader.encoder.spec.length:
            lengths = np.minimum(cache.index.length[rows], limit)
            order = length_batched_order(lengths, cache.bucket_of[rows], size=plan.size, seed=plan.seed, epoch=number)
            rows = rows[order]
        positions = np.arange(len(rows))
        shard = assignment.shards_of(positions, plan.size)
        shards = assignment.own_shards
        own = positions[(shards.start <= shard) & (shard < shards.stop) & (positions >= step * plan.size)]
        yield EpochOrder(number, step, rows, own)
        step = 0
