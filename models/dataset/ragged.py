"""Rows stored one after the other: of different lengths (`Ragged`), or all of one shape (`Stack`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Ragged:
    """B rows of different lengths in one or more parallel `columns` (N,).

    Row b of a column is `column[offsets[b]:offsets[b + 1]]`; `offsets` is (B + 1,). This is the layout of SciPy's
    compressed sparse rows and of Arrow's list arrays.
    """

    columns: tuple[NDArray[Any], ...]
    offsets: Ints

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints:
        """The length of each row, (B,)."""
        return np.diff(self.offsets)

    @property
    def nbytes(self) -> int:
        """The memory of the arrays, in bytes."""
        return sum(column.nbytes for column in self.columns) + self.offsets.nbytes

    def take(self, rows: Ints) -> "Ragged":
        """A copy of the given rows, in the given order."""
        offsets, positions = gather_rows(self.offsets, self.lengths, rows)
        return Ragged(tuple(column[positions] for column in self.columns), offsets)

    def slice(self, start: int, end: int) -> "Ragged":
        """The rows from `start` up to but not including `end`, as a view."""
        offsets = self.offsets[start : end + 1]
        values = slice(offsets[0], offsets[-1])
        return Ragged(tuple(column[values] for column in self.columns), offsets - offsets[0])

    def truncate(self, length: int) -> "Ragged":
        """Every row cut off after its first `length` values; the object itself if no row is longer."""
        if not len(self) or self.lengths.max() <= length:
            return self
        offsets, positions = gather_rows(self.offsets, np.minimum(self.lengths, length), np.arange(len(self)))
        return Ragged(tuple(column[positions] for column in self.columns), offsets)


@dataclass(frozen=True)
class Stack:
    """B rows of one shape: `values` (B, …)."""

    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        """The memory of the array, in bytes."""
        return self.values.nbytes

    def take(self, rows: Ints) -> "Stack":
        """A copy of the given rows, in the given order."""
        return Stack(self.values[rows])

    def slice(self, start: int, end: int) -> "Stack":
        """The rows from `start` up to but not including `end`, as a view."""
        return Stack(self.values[start:end])


def gather_rows(offsets: Ints, lengths: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """The layout of selected rows of a `Ragged`, placed one after the other.

    Args:
        offsets: where each row starts, (B + 1,).
        lengths: how many values to take of each row, (B,).
        rows: which rows, in which order, (R,).

    Returns:
        The new offsets (R + 1,), and the positions of the values in the old columns.
    """
    starts, lengths = offsets[rows], lengths[rows]
    new_offsets = np.concatenate(([0], np.cumsum(lengths)))
    return new_offsets, np.arange(new_offsets[-1]) + np.repeat(starts - new_offsets[:-1], lengths)


def concatenate(pieces: Sequence[Any]) -> Any:
    """The rows of all `pieces` in one object; at least one piece, and either all `Ragged` or all `Stack`."""
    if len(pieces) == 1:
        return pieces[0]
    if isinstance(pieces[0], Stack):
        return Stack(np.concatenate([piece.values for piece in pieces]))
    columns = tuple(np.concatenate(parts) for parts in zip(*(piece.columns for piece in pieces), strict=True))
    lengths = np.concatenate([piece.lengths for piece in pieces])
    return Ragged(columns, np.concatenate(([0], np.cumsum(lengths))))
