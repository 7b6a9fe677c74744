"""Rows one behind the other: taken, sliced, truncated and concatenated."""

import numpy as np

from models.dataset.ragged import Stack, concatenate
from tests.models.cases import ragged

ROWS = ragged([[1, 2], [], [3, 4, 5], [6]], [[7, 8], [], [9, 0, 1], [2]])


def test_rows_are_taken_in_any_order_and_repeatedly() -> None:
    taken = ROWS.take(np.array([2, 0, 0, 1]))
    assert [column.tolist() for column in taken.columns] == [[3, 4, 5, 1, 2, 1, 2], [9, 0, 1, 7, 8, 7, 8]]
    assert taken.offsets.tolist() == [0, 3, 5, 7, 7]


def test_a_slice_has_offsets_of_its_own() -> None:
    assert (ROWS.slice(1, 3).columns[0].tolist(), ROWS.slice(1, 3).offsets.tolist()) == ([3, 4, 5], [0, 0, 3])
    assert ROWS.slice(4, 4).offsets.tolist() == [0]


def test_long_rows_are_truncated_in_each_column() -> None:
    short = ROWS.truncate(2)
    assert [column.tolist() for column in short.columns] == [[1, 2, 3, 4, 6], [7, 8, 9, 0, 2]]
    assert short.offsets.tolist() == [0, 2, 2, 4, 5]
    assert ROWS.truncate(3) is ROWS


def test_pieces_are_concatenated() -> None:
    both = concatenate([ROWS, ROWS.slice(1, 3)])
    assert both.offsets.tolist() == [0, 2, 2, 5, 6, 6, 9]
    assert [column.tolist() for column in both.columns] == [
        [1, 2, 3, 4, 5, 6, 3, 4, 5],
        [7, 8, 9, 0, 1, 2, 9, 0, 1],
    ]


def test_rows_of_one_shape() -> None:
    stack = Stack(np.arange(12).reshape(3, 2, 2))
    assert stack.take(np.array([2, 0])).values[:, 0, 0].tolist() == [8, 0]
    assert (len(stack.slice(1, 3)), stack.nbytes) == (2, 96)
    assert concatenate([stack, stack.slice(0, 1)]).values[:, 1, 1].tolist() == [3, 7, 11, 3]
