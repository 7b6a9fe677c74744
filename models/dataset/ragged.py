"""Rows held one behind the other: of different lengths (compressed rows), or of one shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """B rows in one or more `columns` (N,): row b is `column[offsets[b]:offsets[b + 1]]`; `offsets` is (B + 1,)."""

    columns: tuple[NDArray[Any], ...]
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """Of each row, (B,)."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(column.nbytes for column in self.columns) + self.offsets.nbytes

    def take(self, rows: Ints) -> "Ragged":
        """Those of `rows`, in their order."""
        offsets, places = gathered(self.offsets, self.lengths, rows)
        return Ragged(tuple(column[places] for column in self.columns), offsets)

    def slice(self, start: int, end: int) -> "Ragged":
        """The rows from `start` to before `end`; a view."""
        offsets = self.offsets[start : end + 1]
        part = slice(offsets[0], offsets[-1])
        return Ragged(tuple(column[part] for column in self.columns), offsets - offsets[0])

    def cut(self, length: int) -> "Ragged":
        """The first `length` values of each row."""
        if not len(self) or self.lengths.max() <= length:
            return self
        offsets, places = gathered(self.offsets, np.minimum(self.lengths, length), np.arange(len(self)))
        return Ragged(tuple(column[places] for column in self.columns), offsets)


@dataclass(frozen=True)
class Stack:
    """B rows of one shape, `values` (B, …)."""

    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """Memory of the array."""
        return self.values.nbytes

    def take(self, rows: Ints) -> "Stack":
        """Those of `rows`, in their order."""
        return Stack(self.values[rows])

    def slice(self, start: int, end: int) -> "Stack":
        """The rows from `start` to before `end`; a view."""
        return Stack(self.values[start:end])


def gathered(offsets: Ints, lengths: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """The offsets (len(rows) + 1,) of `rows`, and the places of their first `lengths[row]` values."""
    starts, lengths = offsets[rows], lengths[rows]
    result = np.concatenate(([0], np.cumsum(lengths)))
    return result, np.arange(result[-1]) + np.repeat(starts - result[:-1], lengths)


def joined(pieces: Sequence[Any]) -> Any:
    """The rows of some, one at least, all `Ragged` or all `Stack`, behind one another."""
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], Stack):
        return Stack(np.concatenate([piece.values for piece in pieces]))
    columns = tuple(np.concatenate(some) for some in zip(*(piece.columns for piece in pieces), strict=True))
    lengths = np.concatenate([piece.lengths for piece in pieces])
    return Ragged(columns, np.concatenate(([0], np.cumsum(lengths))))
