"""Loads batches: the same global batches, cut into the same shards, for every number of ranks."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from models.dataset.bucket_cache import BucketCache
from models.dataset.encoder import EncodedDocuments, concatenate_documents, max_documents, scoring_slices
from models.dataset.index import Index
from models.dataset.micro_batches import Batch, MicroBatch, make_micro_batch, split_micro_batches
from models.dataset.prefetch import prefetch
from models.dataset.ragged import Ints
from models.dataset.sampling import EpochOrder, SamplingPlan, ShardAssignment, epoch_orders


def training_batches(
    cache: BucketCache, plan: SamplingPlan, assignment: ShardAssignment, *, epoch: int = 1, step: int = 0
) -> Generator[tuple[int, int, Batch]]:
    """All batches from `epoch` on to the end of the last epoch; of the first one, `step` steps are skipped.

    The next bucket is read in a thread while batches are used.

    Yields:
        The epoch, the step in it (both from 1), and this rank's part of the global batch.
    """
    stream = prefetch(_orders_and_documents(cache, plan, assignment, epoch, step))
    limit = cache.reader.encoder.spec.length
    for order in stream:
        assert isinstance(order, EpochOrder)
        buffer, shards = _Buffer(stream), assignment.shards_of(order.own, plan.size)
        steps = np.arange(order.first_step, plan.steps)
        ends = np.searchsorted(order.own // plan.size, steps, side="right").tolist()
        start = 0
        for number, end in zip(steps.tolist(), ends, strict=True):
            batch_rows = order.rows[number * plan.size : (number + 1) * plan.size]
            micro_batches: list[MicroBatch] = []
            if end > start:
                rows = order.rows[order.own[start:end]]
                longest = min(limit, int(cache.index.length[batch_rows].max())) if limit else 0
                parts = split_micro_batches(
                    cache.index,
                    rows,
                    buffer.take(end - start),
                    shards[start:end],
                    accumulate=plan.accumulate,
                    min_length=longest,
                )
                micro_batches = list(parts)
            weight = _total_weight(cache.index, batch_rows, plan)
            yield order.number, number + 1, Batch(micro_batches, len(batch_rows), weight)
            start = end


def _orders_and_documents(
    cache: BucketCache, plan: SamplingPlan, assignment: ShardAssignment, epoch: int, step: int
) -> Iterator[EpochOrder | EncodedDocuments]:
    """Each epoch's order, followed by this rank's documents, one bucket's at a time."""
    for order in epoch_orders(cache, plan, assignment, epoch, step):
        yield order
        rows = order.rows[order.own]
        for bucket_rows in np.split(rows, np.flatnonzero(np.diff(cache.bucket_of[rows])) + 1):
            if len(bucket_rows):
                yield cache.read(bucket_rows)


@dataclass
class _Buffer:
    """Documents that have been read from a stream and not yet been taken: `documents` from `start` on."""

    stream: Iterator[EpochOrder | EncodedDocuments]
    documents: EncodedDocuments | None = None
    start: int = 0

    def take(self, count: int) -> EncodedDocuments:
        """The next `count` documents."""
        while self.documents is None or len(self.documents) - self.start < count:
            piece = next(self.stream)
            assert isinstance(piece, EncodedDocuments)
            if self.documents is not None:
                rest = self.documents.slice(self.start, len(self.documents))
                piece = concatenate_documents([rest, piece])
            self.documents, self.start = piece, 0
        self.start += count
        return self.documents.slice(self.start - count, self.start)


def _total_weight(index: Index, rows: Ints, plan: SamplingPlan) -> float:
    if plan.class_weight is None:
        return float(len(rows))
    return float(plan.class_weight[index.label[rows]].sum(dtype=np.float64))


def evaluation_batches(cache: BucketCache, rows: Ints, assignment: ShardAssignment) -> Iterator[MicroBatch]:
    """This rank's share of the documents `rows` of the index, documents of similar lengths together."""
    spec, index = cache.reader.encoder.spec, cache.index
    order = rows[np.lexsort((index.length[rows], cache.bucket_of[rows]))]
    for bucket_rows in np.split(order, np.flatnonzero(np.diff(cache.bucket_of[order])) + 1):
        own = bucket_rows[assignment.rank :: assignment.ranks]
        if len(own):
            documents = cache.read(own)
            lengths = np.minimum(index.length[own], spec.length)
            for chosen in scoring_slices(lengths, max(1, max_documents(spec) // assignment.ranks)):
                yield make_micro_batch(index, own[chosen], documents.slice(chosen.start, chosen.stop))
