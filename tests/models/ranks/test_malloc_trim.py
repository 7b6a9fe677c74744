"""Freed memory is returned to the operating system."""

import time
from typing import Any

import pytest
import torch

from models.ranks import malloc_trim
from models.training.history import resident_mb


def test_freed_memory_is_returned() -> None:
    """400 MB in blocks too small for a mapping of their own, between others that stay."""
    blocks = [torch.ones(15_000) for _ in range(7000)]
    kept = blocks[::100]
    del blocks
    before = resident_mb()
    malloc_trim.trim_if_due(time.monotonic() - 2 * malloc_trim.INTERVAL_S)
    assert resident_mb() < before - 150
    assert all(block.sum() == 15_000 for block in kept)


def test_memory_is_returned_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Library:
        malloc_trim = calls.append

    monkeypatch.setattr(malloc_trim, "_c_library", lambda: Library)
    long_ago = time.monotonic() - 2 * malloc_trim.INTERVAL_S
    now = malloc_trim.trim_if_due(long_ago)
    assert now > long_ago
    assert malloc_trim.trim_if_due(now) == now
    assert calls == [0]


def test_a_c_library_without_malloc_trim_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = object()
    monkeypatch.setattr(malloc_trim, "_c_library", lambda: nothing)
    assert malloc_trim.trim_if_due(0.0) > 0
