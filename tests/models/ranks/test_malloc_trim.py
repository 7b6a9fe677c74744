"""Freed memory goes back."""

import time
from typing import Any

import pytest
import torch

from models.ranks import malloc_trim as heap
from models.training.history import resident_mb


def test_what_is_freed_is_given_back() -> None:
    """200 MB in blocks too small for one of their own, between others that stay."""
    blocks = [torch.ones(15_000) for _ in range(7000)]
    kept = blocks[::100]
    del blocks
    before = resident_mb()
    heap.trim(time.monotonic() - 2 * heap.SECONDS)
    assert resident_mb() < before - 150
    assert all(block.sum() == 15_000 for block in kept)


def test_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Library:
        malloc_trim = calls.append

    monkeypatch.setattr(heap, "_library", lambda: Library)
    long_ago = time.monotonic() - 2 * heap.SECONDS
    now = heap.trim(long_ago)
    assert now > long_ago
    assert heap.trim(now) == now
    assert calls == [0]


def test_another_c_library_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = object()
    monkeypatch.setattr(heap, "_library", lambda: nothing)
    assert heap.trim(0.0) > 0
