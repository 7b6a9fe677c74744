"""Pseudo-random order from a document's key alone: no state, no file order, no number of ranks."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def mix(words: Words) -> Words:
    """The splitmix64 finaliser, a bijection on 64-bit words.

    Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014); constants as in
    Vigna's splitmix64.c.
    """
    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def scatter(keys: NDArray[np.int64], *salts: int) -> Words:
    """One word for each key, to sort by. Distinct keys give distinct words, so there are no ties to break."""
    words = keys.astype(np.int64, copy=False).view(np.uint64)
    for salt in salts:
        words = mix(words ^ mix(np.array([salt & (2**64 - 1)], dtype=np.uint64)))
    return words
