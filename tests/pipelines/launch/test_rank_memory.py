"""What ranks need is known before they are launched, and said where it is not there."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.dataset import vocabulary
from models.training.task import Task
from pipelines.errors import UserError
from pipelines.launch import rank_memory
from tests.models.cases import IDS, LABELS, ROOT, TERMS, corpus, make_task, row
from tests.models.processes import free_port


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


def test_too_little_is_refused_with_the_number_where_it_is_enforced(tmp_path: Path) -> None:
    task = make_task(tmp_path, corpus(9), train={"cache_gb": 0.0, "ranks": 2})
    needed = rank_memory.needed_mb(task, TERMS)
    with pytest.raises(UserError, match=f"memoryOverhead={needed}m"):
        rank_memory.check(spark(), task, TERMS)
    with pytest.raises(UserError, match=f"2 ranks on an executor need about {2 * needed} MB"):
        rank_memory.check(spark("k8s://x", spark_executor_cores="4"), task, TERMS)
    rank_memory.check(spark(spark_executor_memoryOverhead=f"{needed}m"), task, TERMS)
    rank_memory.check(spark("spark://x"), task, TERMS)


def needed(folder: Path, length: int, **train: Any) -> int:
    """The estimate for a model of long documents in large batches."""
    options = {"length": length, "embedding": 64, "heads": 2}
    settings = {"cache_gb": 0.0, "batch": 512} | train
    return rank_memory.needed_mb(
        make_task(folder, corpus(9), model="attention", options=options, train=settings), TERMS
    )


def test_what_a_pass_needs_depends_on_the_documents_of_one_rank_and_piece(tmp_path: Path) -> None:
    shortest, longest = needed(tmp_path, 1), needed(tmp_path, 400)
    assert longest > shortest + 500
    quarter = needed(tmp_path, 400, batch=128)
    assert needed(tmp_path, 400, accumulate=4) == needed(tmp_path, 400, ranks=4) == quarter
    assert longest - shortest == pytest.approx(4 * (quarter - shortest), rel=0.05)


def test_cached_documents_are_counted(tmp_path: Path) -> None:
    assert needed(tmp_path, 1, cache_gb=0.5) == needed(tmp_path, 1) + 512


RANK = """
import pickle, resource, sys
from models.training import loop
loop.fit(pickle.load(open(sys.argv[1], "rb")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mb(task: Task) -> int:
    """The largest resident set of a rank that does the task in a process of its own."""
    path = Path(task.folder, "task.pickle")
    path.write_bytes(pickle.dumps(task))
    alone = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-c", RANK, str(path)],
        cwd=ROOT,
        env=os.environ | alone | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.splitlines()[-1])


def long_documents(count: int, words: int) -> list[dict[str, Any]]:
    """Documents of so many words, drawn from the vocabulary."""
    draw = np.random.default_rng(0)
    rows = []
    for number in range(count):
        terms, sequence, counts = np.unique(draw.integers(0, TERMS, words), return_inverse=True, return_counts=True)
        bag = {IDS[term]: int(count) for term, count in zip(terms, counts, strict=True)}
        rows.append(row(number, bag, LABELS[number % 3 :][:1]) | {"sequence": sequence.tolist()})
    return rows


def write_terms(task: Task, count: int) -> None:
    """A vocabulary of so many terms, those of the documents first."""
    ids = [*IDS, *range(count - TERMS)]
    table = pa.table({"term": [f"t{place}" for place in range(count)], "id": ids, "df": [1] * count})
    pq.write_table(table, Path(task.folder, vocabulary.FILE))


@pytest.mark.submit
@pytest.mark.parametrize(
    ("model", "options", "terms", "words", "batch"),
    [
        ("mlp", {"hidden": [16], "dropout": 0.0}, 1_000, 50, 16),
        ("mlp", {"hidden": [96], "dropout": 0.0}, 300_000, 50, 16),
        ("attention", {"length": 400, "embedding": 64, "heads": 2}, 1_000, 400, 256),
    ],
    ids=["small", "many-weights", "long-documents"],
)
def test_the_estimate_is_what_a_rank_takes(
    tmp_path: Path, model: str, options: dict[str, Any], terms: int, words: int, batch: int
) -> None:
    """Never less, or the cluster would kill it; and not more than twice as much."""
    train = {"cache_gb": 0.0, "epochs": 1, "batch": batch, "checkpoint_steps": 1}
    task = make_task(tmp_path, long_documents(5 * batch // 4, words), model=model, options=options, train=train)
    write_terms(task, terms)
    peak, estimate = peak_mb(task), rank_memory.needed_mb(task, terms) - rank_memory.LAUNCH_MB
    print(f"{model}: estimate {estimate} MB, peak {peak} MB")
    assert peak < estimate < 2 * peak
