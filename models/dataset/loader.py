"""Documents to tensors: the same global batches, cut into the same shards, for every number of ranks."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from queue import Full, Queue
from threading import Event, Lock, Thread

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.dataset.encoder import Documents, at_once, chained, pieces, tensors
from models.dataset.index import Index, Reader
from models.dataset.inputs import Inputs
from models.dataset.ragged import Ints
from models.dataset.shuffle import bucket, by_length, shuffled


@dataclass(frozen=True)
class Part:
    """Documents of a global batch that go through the model at once: `inputs`, `labels` (B,), `marks` (B, C),
    `targets` (B,), as the index has them.

    `shards`: (shard, documents) of each shard that they belong to, one behind the other.
    """

    inputs: Inputs
    labels: Tensor
    marks: Tensor
    targets: Tensor
    shards: tuple[tuple[int, int], ...] = ()

    def to(self, device: torch.device) -> "Part":
        """The same on a device."""
        if device.type == "cpu":
            return self
        names = ("inputs", "labels", "marks", "targets")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})


@dataclass(frozen=True)
class Batch:
    """This rank's parts of a global batch of `documents` documents, which weigh `weight` in all; there may be none."""

    parts: list[Part]
    documents: int
    weight: float


@dataclass(frozen=True)
class Place:
    """This rank among `ranks`, which share `shards` virtual shards; each owns some that follow one another."""

    rank: int = 0
    ranks: int = 1
    shards: int = 1

    @property
    def own(self) -> range:
        """The shards of this rank, one at least: shard s belongs to rank ⌊s · ranks / shards⌋."""
        first, last = (-(-(rank * self.shards) // self.ranks) for rank in (self.rank, self.rank + 1))
        return range(first, last)


@dataclass
class Feed:
    """Documents by buckets, decoded once where `cache` bytes hold them, else read again when their turn comes."""

    reader: Reader
    in_bucket: NDArray[np.int32]
    cache: int
    held: dict[int, Documents] = field(default_factory=dict)
    full: bool = False
    lock: Lock = field(default_factory=Lock)

    @classmethod
    def of(cls, reader: Reader, *, buckets: int, cache: int) -> "Feed":
        """A feed of all that the reader's index names."""
        return cls(reader, bucket(reader.index.key, buckets), cache)

    @property
    def index(self) -> Index:
        """What there is."""
        return self.reader.index

    def documents(self, rows: Ints) -> Documents:
        """Documents of one bucket, in the order of `rows`."""
        number = int(self.in_bucket[rows[0]])
        with self.lock:
            whole = self.held.get(number)
            if whole is None and self.full:
                return self.reader.read(rows)
            members = np.flatnonzero(self.in_bucket == number)
            if whole is None:
                whole = self.reader.read(members)
                self._hold(number, whole)
        return whole.take(np.searchsorted(members, rows))

    def _hold(self, number: int, whole: Documents) -> None:
        taken = sum(held.nbytes for held in self.held.values())
        if taken + whole.nbytes <= self.cache:
            self.held[number] = whole
        else:
            self.full = True


@dataclass(frozen=True)
class Epoch:
    """One epoch's global order: `rows` of the index; and the places in it of this rank's documents, from a step on."""

    number: int
    step: int
    rows: Ints
    mine: Ints


Item = Epoch | Documents | BaseException | None


def steps(rows: int, size: int) -> int:
    """Global batches of at most `size` in `rows` documents."""
    return -(-rows // size)


@dataclass(frozen=True)
class Plan:
    """What is trained on: `rows` of the index, in global batches of `size`, for `epochs`; `class_weight` is (C,)."""

    rows: Ints
    size: int
    epochs: int
    seed: int
    pieces: int = 1
    class_weight: NDArray[np.float32] | None = None

    @property
    def steps(self) -> int:
        """Of one epoch."""
        return steps(len(self.rows), self.size)


def batches(
    feed: Feed, plan: Plan, place: Place, *, epoch: int = 1, step: int = 0
) -> Generator[tuple[int, int, Batch]]:
    """(epoch, step of the epoch from 1, batch), from after `step` steps of an epoch on, to the end of the last."""
    stream = _ahead(_read(feed, plan, place, epoch, step))
    limit = feed.reader.encoder.reads.length
    for item in stream:
        assert isinstance(item, Epoch)
        shard_of = (item.mine % plan.size) % place.shards
        numbers = np.arange(item.step, plan.steps)
        ends = np.searchsorted(item.mine // plan.size, numbers, side="right").tolist()
        buffer: Documents | None = None
        taken = at = 0  # documents used; the next one's place in the buffer
        for number, end in zip(numbers.tolist(), ends, strict=True):
            whole = item.rows[number * plan.size : (number + 1) * plan.size]
            while (len(buffer) - at if buffer else 0) < end - taken:
                found = next(stream)
                assert isinstance(found, Documents)
                buffer = chained([buffer.slice(at, len(buffer)), found]) if buffer else found
                at = 0
            parts: list[Part] = []
            if buffer and end > taken:  # or this rank has no document of this batch
                documents = buffer.slice(at, at + end - taken)
                rows, shards = item.rows[item.mine[taken:end]], shard_of[taken:end]
                longest = min(limit, int(feed.index.length[whole].max())) if limit else 0
                parts = list(_parts(feed.index, rows, documents, shards, pieces=plan.pieces, longest=longest))
                taken, at = end, at + len(rows)
            yield item.number, number + 1, Batch(parts, len(whole), _weight(feed.index, whole, plan))


def _weight(index: Index, rows: Ints, plan: Plan) -> float:
    return float(len(rows) if plan.class_weight is None else plan.class_weight[index.label[rows]].sum(dtype=np.float64))


def _read(feed: Feed, plan: Plan, place: Place, epoch: int, step: int) -> Iterator[Epoch | Documents]:
    """Each epoch, followed by this rank's documents, a bucket's at a time."""
    keys, in_bucket = feed.index.key[plan.rows], feed.in_bucket[plan.rows]
    for number in range(epoch, plan.epochs + 1):
        rows = plan.rows[shuffled(keys, in_bucket, seed=plan.seed, epoch=number)]
        if length := feed.reader.encoder.reads.length:
            lengths = np.minimum(feed.index.length[rows], length)
            rows = rows[by_length(lengths, feed.in_bucket[rows], size=plan.size, seed=plan.seed, epoch=number)]
        places = np.arange(len(rows))
        shard = (places % plan.size) % place.shards
        first = step * plan.size
        mine = places[(place.own.start <= shard) & (shard < place.own.stop) & (places >= first)]
        yield Epoch(number, step, rows, mine)
        turns = feed.in_bucket[rows[mine]]
        for chunk in np.split(mine, np.flatnonzero(np.diff(turns)) + 1):
            if len(chunk):
                yield feed.documents(rows[chunk])
        step = 0


def _parts(
    index: Index, rows: Ints, documents: Documents, shards: Ints, *, pieces: int, longest: int
) -> Iterator[Part]:
    """A rank's documents of a global batch, cut into `pieces`, each with its part of every shard.

    Words are padded to the whole batch's `longest`, so that dropout's numbers fall on the same words on any rank.
    """
    if pieces == 1 and (shards == shards[0]).all():  # the usual case, in a third of the time
        yield part(index, rows, documents, shards=((int(shards[0]), len(rows)),), longest=longest)
        return
    piece = np.zeros_like(shards)
    if pieces > 1:
        for shard in np.unique(shards):
            own = shards == shard
            piece[own] = np.arange(own.sum()) * pieces // own.sum()
    for number in np.unique(piece):
        mine = np.flatnonzero(piece == number)
        mine = mine[np.argsort(shards[mine], kind="stable")]
        names, counts = np.unique(shards[mine], return_counts=True)
        share = tuple(zip(names.tolist(), counts.tolist(), strict=True))
        yield part(index, rows[mine], documents.take(mine), shards=share, longest=longest)


def part(
    index: Index, rows: Ints, documents: Documents, *, shards: tuple[tuple[int, int], ...] = (), longest: int = 0
) -> Part:
    """Documents of the index as tensors; their words padded to `longest` at least."""
    return Part(
        inputs=tensors(documents, longest=longest),
        labels=torch.from_numpy(index.label[rows]),
        marks=torch.from_numpy(index.marks[rows]),
        targets=torch.from_numpy(index.target[rows].astype(np.float32)),
        shards=shards,
    )


def scored(feed: Feed, rows: Ints, place: Place) -> Iterator[Part]:
    """This rank's share of the documents `rows`, to be scored, some of about the same length at a time."""
    longest = feed.reader.encoder.reads.length
    order = rows[np.lexsort((feed.index.length[rows], feed.in_bucket[rows]))]
    for whole in np.split(order, np.flatnonzero(np.diff(feed.in_bucket[order])) + 1):
        own = whole[place.rank :: place.ranks]
        if len(own):
            documents = feed.documents(own)
            lengths = np.minimum(feed.index.length[own], longest)
            for some in pieces(lengths, max(1, at_once(feed.reader.encoder.reads) // place.ranks)):
                yield part(feed.index, own[some], documents.slice(some.start, some.stop))


def _ahead(items: Iterator[Epoch | Documents]) -> Iterator[Epoch | Documents]:
    """The same items, the next one made in a thread while the last one is used."""
    ready: Queue[Item] = Queue(maxsize=1)
    stopped = Event()
    Thread(target=_fill, args=(items, ready, stopped), daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()


def _fill(items: Iterator[Epoch | Documents], ready: "Queue[Item]", stopped: Event) -> None:
    try:
        for item in items:
            if not _put(ready, item, stopped):
                return
        _put(ready, None, stopped)
    except BaseException as error:  # raised again by the reader of the queue
        _put(ready, error, stopped)


def _put(ready: "Queue[Item]", item: Item, stopped: Event) -> bool:
    """Wait for a place in the queue; False where nobody reads it any more."""
    while not stopped.is_set():
        try:
            ready.put(item, timeout=0.1)
        except Full:
            continue
        return True
    return False
