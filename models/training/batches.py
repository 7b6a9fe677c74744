"""Documents to tensors: the same global batches for every number of ranks, and as many steps on each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.training.documents import Documents
from models.training.order import scatter


@dataclass(frozen=True)
class Batch:
    """One rank's part of a global batch of `documents` documents; the part may be empty.

    `indices` and `weights` (N,), `offsets` (B,) where each document starts, `labels` (B,).
    """

    indices: Tensor
    offsets: Tensor
    weights: Tensor
    labels: Tensor
    documents: int


def shuffled(documents: Documents, rows: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """`rows` in the order of this epoch, a function of (seed, epoch, document's key) alone."""
    return rows[np.argsort(scatter(documents.key[rows], seed, epoch))]


def steps(rows: int, size: int) -> int:
    """Global batches of at most `size` in `rows` documents."""
    return -(-rows // size)


def cut(documents: Documents, rows: NDArray[np.int64], *, size: int, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
    """Rank `rank`'s part of each global batch of `size`, every `ranks`-th document of it."""
    for start in range(0, len(rows), size):
        whole = rows[start : start + size]
        mine = whole[rank::ranks]
        indices, weights, offsets = documents.take(mine)
        yield Batch(
            indices=torch.from_numpy(indices),
            offsets=torch.from_numpy(offsets[:-1]),
            weights=torch.from_numpy(weights),
            labels=torch.from_numpy(documents.label[mine]),
            documents=len(whole),
        )
