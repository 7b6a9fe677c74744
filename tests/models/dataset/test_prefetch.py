"""Items are computed one step ahead, in a thread that ends with its reader."""

import threading
import time
from collections.abc import Iterator

import pytest

from models.dataset.prefetch import POLL_S, prefetch


def test_all_items_come_in_their_order() -> None:
    assert list(prefetch(iter([3, None, 1]))) == [3, None, 1]


def test_the_next_item_is_computed_while_one_is_used() -> None:
    computed = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        computed.set()
        yield 2

    stream = prefetch(items())
    assert next(stream) == 1
    assert computed.wait(10), "nothing was computed ahead"
    assert list(stream) == [2]


def test_an_error_is_raised_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(KeyError, match="no more"):
        next(stream)


def test_the_thread_ends_when_the_reader_does() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    before = threading.active_count()
    stream = prefetch(endless())
    next(stream)
    assert threading.active_count() == before + 1
    stream.close()
    deadline = time.monotonic() + 100 * POLL_S
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(POLL_S / 10)
