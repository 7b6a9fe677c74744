"""The order of documents follows from keys, seed and epoch alone."""

import numpy as np

from models.dataset import shuffle

KEYS = np.random.default_rng(8).integers(-(2**63), 2**63, 300, dtype=np.int64)


def test_splitmix64_gives_the_published_sequence() -> None:
    """The first outputs of Vigna's splitmix64.c for the seed 1234567, as its users publish them."""
    gamma = 0x9E3779B97F4A7C15
    states = [(1234567 + number * gamma) % 2**64 for number in range(3)]
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert shuffle.splitmix64(np.array(states, np.uint64)).tolist() == expected


def test_hashes_of_distinct_keys_are_distinct() -> None:
    keys = np.arange(-50_000, 50_000)
    assert len(set(shuffle.hash_keys(keys, 3, -1).tolist())) == len(keys)
    assert (shuffle.hash_keys(keys, 3, -1) != shuffle.hash_keys(keys, 3, 0)).all()


def test_an_epochs_order_is_a_function_of_seed_epoch_and_key() -> None:
    bucket_of = shuffle.assign_buckets(KEYS, 4)
    orders = {
        (seed, epoch): KEYS[shuffle.epoch_order(KEYS, bucket_of, seed=seed, epoch=epoch)].tolist()
        for seed in range(4)
        for epoch in range(4)
    }
    assert len(set(map(tuple, orders.values()))) == 16
    assert all(sorted(keys) == sorted(KEYS.tolist()) for keys in orders.values())
    third = KEYS[::3]
    order = shuffle.epoch_order(third, bucket_of[::3], seed=2, epoch=3)
    assert third[order].tolist() == [key for key in orders[2, 3] if key in set(third.tolist())]


def test_documents_of_a_bucket_follow_one_another() -> None:
    bucket_of = shuffle.assign_buckets(KEYS, 7)
    ordered = bucket_of[shuffle.epoch_order(KEYS, bucket_of, seed=0, epoch=1)]
    assert (np.diff(ordered) != 0).sum() == 6


def test_epochs_have_unrelated_orders() -> None:
    one_bucket = np.zeros(300, np.int32)
    orders = [shuffle.epoch_order(KEYS, one_bucket, seed=0, epoch=epoch) for epoch in range(4)]
    positions = np.array([np.argsort(order) for order in orders])
    assert np.abs(np.corrcoef(positions)[np.triu_indices(4, 1)]).max() < 0.25


def test_a_bucket_is_a_range_of_keys() -> None:
    bucket_of = shuffle.assign_buckets(np.sort(KEYS), 7)
    assert (np.diff(bucket_of) >= 0).all()
    assert np.bincount(bucket_of, minlength=7).min() > 20
    assert shuffle.assign_buckets(np.array([-(2**63), -1, 0, 2**63 - 1]), 4).tolist() == [0, 1, 2, 3]


def test_large_corpora_get_more_buckets() -> None:
    counts = (0, 10, 4097, 100_000, 10_000_000)
    assert [shuffle.default_buckets(count) for count in counts] == [1, 1, 2, 25, 153]


def test_batches_by_length_stay_within_bucket_and_pool() -> None:
    lengths = np.random.default_rng(3).integers(1, 500, 1000)
    bucket_of = np.repeat([2, 0, 1], [333, 500, 167])
    order = shuffle.length_batched_order(lengths, bucket_of, size=4, seed=0, epoch=1)
    assert sorted(order.tolist()) == list(range(1000))
    np.testing.assert_array_equal(bucket_of[order], bucket_of)
    pool = 4 * shuffle.POOL_BATCHES
    np.testing.assert_array_equal(order // pool, np.arange(1000) // pool)
    full_batches = [lengths[order[start : start + 4]] for start in range(336, 832, 4)]
    assert np.mean([batch.max() - batch.min() for batch in full_batches]) < 30  # of 500 / 32 batches of a pool
    again = shuffle.length_batched_order(lengths, bucket_of, size=4, seed=0, epoch=2)
    assert (again != order).any()
