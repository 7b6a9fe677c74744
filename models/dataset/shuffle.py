"""The pseudo-random order of documents, computed from their keys alone.

There is no random state: neither the layout of the files nor the number of ranks changes the order.
"""

import numpy as np
from numpy.typing import NDArray

from models.dataset.ragged import Ints

UInts = NDArray[np.uint64]

POOL_BATCHES = 32  # batches whose documents are sorted by length together
# A corpus is shuffled in 64 buckets, but in fewer or more where these would leave the limits of a bucket's size.
BUCKETS, MIN_BUCKET, MAX_BUCKET = 64, 4096, 65_536


def splitmix64(words: UInts) -> UInts:
    """The finaliser of the splitmix64 generator, a bijection on 64-bit words.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014); the constants are those of
    Vigna's splitmix64.c.
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def hash_keys(keys: Ints, *salts: int) -> UInts:
    """A 64-bit hash of each key, (D,), to sort by; distinct keys have distinct hashes, so there are no ties."""
    words = keys.astype(np.int64, copy=False).view(np.uint64)
    for salt in salts:
        words = splitmix64(words ^ splitmix64(np.array([salt & (2**64 - 1)], dtype=np.uint64)))
    return words


def derive_seed(*numbers: int) -> int:
    """A seed for one of torch's generators, below 2^63, that is a function of `numbers`."""
    return int(hash_keys(np.zeros(1, np.int64), *numbers)[0] >> np.uint64(1))


def default_buckets(documents: int) -> int:
    """The number of buckets in which to shuffle a corpus; a rank holds one or two of them at a time."""
    size = min(max(documents // BUCKETS, MIN_BUCKET), MAX_BUCKET)
    return max(1, -(-documents // size))


def assign_buckets(keys: Ints, buckets: int) -> NDArray[np.int32]:
    """The number of each key's bucket, (D,).

    A bucket is a range of keys; feature files are sorted by key, so it is also a range of each file's rows.
    """
    high = (keys.view(np.uint64) ^ np.uint64(1 << 63)) >> np.uint64(32)
    return ((high * np.uint64(buckets)) >> np.uint64(32)).astype(np.int32)


def epoch_order(keys: Ints, bucket_of: NDArray[np.int32], *, seed: int, epoch: int) -> Ints:
    """The positions (D,) of the documents in an epoch's order: shuffled buckets of shuffled documents.

    Args:
        keys: the documents' keys, (D,).
        bucket_of: the number of each document's bucket, (D,).
        seed: of the training.
        epoch: from 1.
    """
    numbers = np.arange(int(bucket_of.max(initial=0)) + 1)
    bucket_hashes = hash_keys(numbers, seed, epoch, 1)[bucket_of]
    return np.lexsort((hash_keys(keys, seed, epoch), bucket_hashes))


def length_batched_order(lengths: Ints, bucket_of: NDArray[np.int32], *, size: int, seed: int, epoch: int) -> Ints:
    """An epoch's order changed so that the documents of a batch have similar lengths and need little padding.

    `POOL_BATCHES` batches at a time are sorted by length, cut into batches again, and the batches shuffled. Documents
    never leave their bucket. A batch that lies across two buckets keeps documents of both.

    Args:
        lengths: of the documents, in words, in the epoch's order, (D,).
        bucket_of: the number of each document's bucket, in the same order, (D,).
        size: documents in a batch.
        seed: of the training.
        epoch: from 1.

    Returns:
        Positions in the epoch's order, (D,).
    """
    positions = np.arange(len(lengths))
    pool_of = positions // (size * POOL_BATCHES)
    bounds = np.flatnonzero(np.diff(pool_of) | np.diff(bucket_of)) + 1
    order = []
    for pool in np.split(positions, bounds):
        by_length = pool[np.argsort(lengths[pool], kind="stable")]
        batch_ends = np.flatnonzero(np.diff(pool // size)) + 1
        pieces = np.split(by_length, batch_ends)
        full = [piece for piece in pieces if len(piece) == size]
        shuffled = np.argsort(hash_keys(np.arange(len(full)) + int(pool[0]), seed, epoch, 2))
        next_full = iter([full[number] for number in shuffled])
        order += [next(next_full) if len(piece) == size else piece for piece in pieces]
    return np.concatenate(order)
