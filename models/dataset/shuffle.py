"""Pseudo-random order from a document's key alone: no state, no file order, no number of ranks."""

import numpy as np
from numpy.typing import NDArray

from models.dataset.ragged import Ints

Words = NDArray[np.uint64]

POOL = 32  # batches whose documents are sorted by length together
FEWEST, MOST, PARTS = 4096, 65_536, 64  # documents in a bucket, and into how many buckets a corpus between them falls


def mix(words: Words) -> Words:
    """The splitmix64 finaliser, a bijection on 64-bit words.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014); constants as in
    Vigna's splitmix64.c.
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def scatter(keys: Ints, *salts: int) -> Words:
    """One word for each key, to sort by. Distinct keys give distinct words, so there are no ties to break."""
    words = keys.astype(np.int64, copy=False).view(np.uint64)
    for salt in salts:
        words = mix(words ^ mix(np.array([salt & (2**64 - 1)], dtype=np.uint64)))
    return words


def seed(*numbers: int) -> int:
    """A seed for torch's generators that follows from some numbers."""
    return int(scatter(np.zeros(1, np.int64), *numbers)[0] >> np.uint64(1))


def buckets(documents: int) -> int:
    """How many buckets a corpus is shuffled in, by its size alone: a rank holds one or two of them at once."""
    size = min(max(documents // PARTS, FEWEST), MOST)
    return max(1, -(-documents // size))


def bucket(keys: Ints, number: int) -> NDArray[np.int32]:
    """The bucket, of so many, that each key falls into: ranges of keys, which are ranges of rows in a sorted file."""
    high = (keys.view(np.uint64) ^ np.uint64(1 << 63)) >> np.uint64(32)
    return ((high * np.uint64(number)) >> np.uint64(32)).astype(np.int32)


def shuffled(keys: Ints, in_bucket: NDArray[np.int32], *, seed: int, epoch: int) -> Ints:
    """Places of the documents in this epoch's order: buckets in a random order, and so are the documents in each."""
    numbers = np.arange(int(in_bucket.max(initial=0)) + 1)
    turn = scatter(numbers, seed, epoch, 1)[in_bucket]
    return np.lexsort((scatter(keys, seed, epoch), turn))


def by_length(lengths: Ints, in_bucket: NDArray[np.int32], *, size: int, seed: int, epoch: int) -> Ints:
    """Places of the documents of an order, moved within their bucket so that a batch's have about the same length.

    `POOL` batches of `size` at a time are sorted by `lengths` (D,), cut into batches, and these come in a random order.
    Batches are cut where the whole order's are: one that two buckets share keeps documents of both.
    """
    places = np.arange(len(lengths))
    pools = places // (size * POOL)
    bounds = np.flatnonzero(np.diff(pools) | np.diff(in_bucket)) + 1
    found = []
    for pool in np.split(places, bounds):
        chosen = pool[np.argsort(lengths[pool], kind="stable")]
        ends = np.flatnonzero(np.diff(pool // size)) + 1
        cut = np.split(chosen, ends)
        whole = [piece for piece in cut if len(piece) == size]
        turn = np.argsort(scatter(np.arange(len(whole)) + int(pool[0]), seed, epoch, 2))
        turned = iter([whole[number] for number in turn])
        found += [next(turned) if len(piece) == size else piece for piece in cut]
    return np.concatenate(found)
