"""Computes the next item of an iterator in a thread while the caller uses the last one."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
POLL_S = 0.1  # how often the thread checks whether its items are still needed


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    """The end of the items; `error` is what the iterator raised, if it did."""

    error: BaseException | None = None


def prefetch(items: Iterator[T]) -> Generator[T]:
    """The same items, each computed one step ahead. An exception of `items` is raised after the items before it.

    Closing the generator ends the thread.
    """
    queue: Queue[_Item[T] | _End] = Queue(maxsize=1)
    closed = Event()
    Thread(target=_fill, args=(items, queue, closed), daemon=True).start()
    try:
        while isinstance(entry := queue.get(), _Item):
            yield entry.value
        if entry.error:
            raise entry.error
    finally:
        closed.set()


def _fill(items: Iterator[T], queue: "Queue[_Item[T] | _End]", closed: Event) -> None:
    try:
        for item in items:
            if not _put(queue, _Item(item), closed):
                return
        _put(queue, _End(), closed)
    except BaseException as error:  # raised again by `prefetch`, in the caller's thread
        _put(queue, _End(error), closed)


def _put(queue: "Queue[_Item[T] | _End]", entry: _Item[T] | _End, closed: Event) -> bool:
    """Wait for room in the queue; returns False if nobody reads from it any more."""
    while not closed.is_set():
        try:
            queue.put(entry, timeout=POLL_S)
        except Full:
            continue
        return True
    return False
