"""What ranks need is known before they are launched, and said where it is not there."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.errors import UserError
from pipelines.launch import rank_memory
from tests.models.cases import TERMS, corpus, make_task


def spark(master: str = "yarn", **settings: str) -> Any:
    """A session as far as it is asked."""
    found = {key.replace("_", "."): value for key, value in settings.items()}
    return SimpleNamespace(
        sparkContext=SimpleNamespace(master=master),
        conf=SimpleNamespace(get=lambda key, default=None: found.get(key, default)),
    )


def test_sizes_are_read_as_spark_writes_them() -> None:
    assert [rank_memory.megabytes(text) for text in ("512", "1g", "2048k", "3GB", "1t")] == [
        512,
        1024,
        2,
        3072,
        1 << 20,
    ]


def test_the_overhead_is_what_spark_gives() -> None:
    assert rank_memory.overhead_mb(spark()) == 384
    assert rank_memory.overhead_mb(spark(spark_executor_memory="8g")) == 819
    assert rank_memory.overhead_mb(spark(spark_executor_memoryOverhead="2g")) == 2048
    assert rank_memory.overhead_mb(spark(spark_executor_memory="8g", spark_executor_memoryOverheadFactor="0.4")) == 3276


def test_a_model_of_many_weights_needs_more(tmp_path: Path) -> None:
    small = make_task(tmp_path, corpus(9), train={"cache_gb": 0.0})
    wide = make_task(tmp_path, corpus(9), train={"cache_gb": 0.5}, options={"hidden": [1024], "dropout": 0.0})
    difference = rank_memory.needed_mb(wide, 1_000_000) - rank_memory.needed_mb(small, TERMS)
    assert difference == pytest.approx(512 + 9 * 4 * 1024 * 1_000_000 / 2**20, rel=0.01)


def test_too_little_is_refused_with_the_number_where_it_is_enforced(tmp_path: Path) -> None:
    task = make_task(tmp_path, corpus(9), train={"cache_gb": 0.0, "ranks": 2})
    needed = rank_memory.needed_mb(task, TERMS)
    with pytest.raises(UserError, match=f"memoryOverhead={needed}m"):
        rank_memory.check(spark(), task, TERMS)
    with pytest.raises(UserError, match=f"2 ranks on an executor need some {2 * needed} MB"):
        rank_memory.check(spark("k8s://x", spark_executor_cores="4"), task, TERMS)
    rank_memory.check(spark(spark_executor_memoryOverhead=f"{needed}m"), task, TERMS)
    rank_memory.check(spark("spark://x"), task, TERMS)


def test_long_documents_and_large_batches_need_more(tmp_path: Path) -> None:
    def needed(length: int, **train: Any) -> int:
        options = {"length": length, "embedding": 64, "heads": 2}
        train = {"cache_gb": 0.0, "batch": 512} | train
        return rank_memory.needed_mb(
            make_task(tmp_path, corpus(9), model="attention", options=options, train=train), TERMS
        )

    none = needed(1)
    # of each word at least its vector, query, key and value, in 4 bytes, for two directions
    assert needed(400) - none > 2 * 512 * 400 * 64 * 4 * 4 / 2**20
    assert needed(400) - none == pytest.approx(2 * (needed(200) - none), rel=0.05)
    assert needed(400) - none == pytest.approx(2 * (needed(400, ranks=2) - none), rel=0.05)
    assert needed(400, accumulate=4) == pytest.approx(needed(400, batch=128), rel=0.01)
