"""The training engine: reading against tensors in memory, gradients, ranks, shards, memory; Spark makes the tables."""

import dataclasses
import json
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from models.bundles import architecture
from models.dataset import vocabulary
from models.dataset.bucket_cache import BucketCache
from models.dataset.loader import training_batches
from models.dataset.micro_batches import Batch
from models.dataset.sampling import SamplingPlan, ShardAssignment
from models.dataset.tfidf import Options as TfidfOptions
from models.ranks.process_group import ProcessGroup
from models.ranks.rank_status import RankStatus
from models.training import history
from models.training.run_context import RunContext, prepare
from models.training.task import Options, Task
from models.training.trainer import Trainer, train_step
from pipelines.config import CONF, load
from tests.benchmarks.jobs import submit
from tests.models.cases import FEATURES
from tests.models.processes import free_port, run_ranks

ROUNDS = 9
ROWS, WIDTH, BATCH, LENGTH = 50_000, 256, 64, 100  # of the table whose gradients are compared


def prepared(folder: str, source: str = "newsgroups", **train_options: Any) -> Task:
    """A source as a task of one rank on one core, after a short training through Spark."""
    report = submit("train", f"lake={folder}/lake", f"source={source}", "train.epochs=1", "train.refit=false")
    bundle = report["bundle"].removeprefix("file://")
    manifest = json.loads(Path(bundle, "model.json").read_text())
    files = sorted(str(path) for path in Path(folder, "lake", source).rglob("features/*.parquet"))
    settings = manifest["train"] | {"ranks": 1, "shards": 1, "threads": 1, "patience": 0, "refit": False}
    return Task(
        files=files,
        batch=1,
        documents=manifest["documents"],
        labels=manifest["labels"],
        model="mlp",
        folder=bundle,
        options=manifest["options"],
        tfidf=TfidfOptions(**manifest["tfidf"]),
        train=Options(**settings | train_options),
        progress=False,
    )


def reading() -> list[dict[str, Any]]:
    """Training's speed with the first epoch's batches, cached ones and ones read anew, as shares of that from memory.

    A share is the middle one of all rounds. `alone_s` are the seconds that the epoch's batches take where nothing is
    learnt from them.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = prepared(folder)
        torch.set_num_threads(1)
        shares: dict[str, list[float]] = {"first epoch": [], "cached": [], "no cache": []}
        alone: dict[str, list[float]] = {name: [] for name in shares}
        speeds: list[float] = []
        work = prepare(task, ProcessGroup(0, 1), RankStatus())
        ready = [batch for _, _, batch in training_batches(work.cache, _plan(work, 1), work.assignment)]
        for _ in range(ROUNDS):
            for name, cache in _caches(work).items():
                seconds = _side_by_side(work, iter(ready), stream(work, cache), cache)
                shares[name].append(seconds[0] / seconds[1])
                speeds.append(sum(batch.documents for batch in ready) / seconds[0])
            for name, cache in _caches(work).items():
                began = time.monotonic()
                for _batch in stream(work, cache):
                    pass
                alone[name].append(time.monotonic() - began)
    rows: list[dict[str, Any]] = [{"from": "memory", "documents_per_second": round(statistics.median(speeds))}]
    for name, values in shares.items():
        low, high = min(values), max(values)
        spread = {"share": round(statistics.median(values), 3), "lowest": round(low, 3), "highest": round(high, 3)}
        rows.append({"from": name, **spread, "alone_s": round(statistics.median(alone[name]), 3)})
    return rows


def _caches(work: RunContext) -> dict[str, BucketCache]:
    """One with an empty cache, one with a full one, one that has none."""
    reader, buckets = work.cache.reader, int(work.cache.bucket_of.max()) + 1
    full, empty, none = (BucketCache.of(reader, buckets=buckets, capacity=size) for size in (1 << 30, 1 << 30, 0))
    for _batch in stream(work, full):
        pass
    return {"first epoch": empty, "cached": full, "no cache": none}


def _side_by_side(
    work: RunContext, one: Iterator[Batch], other: Iterator[Batch], cache: BucketCache
) -> tuple[float, float]:
    """Seconds of an epoch's batches and of others of the same documents from a cache, two new models, step by step.

    The machine's speed changes by more than what is looked for, but seldom within two steps. Where its tables lie in
    memory makes a model up to 4 % faster than another: so each takes every second step of either side. Decoding
    ahead, in a thread of its own, is to be paid by the cache alone: its turn lasts until no bucket is being read. So
    it is as if a rank had one core; with an idle second one, decoding costs less.
    """
    seconds, trainers = [0.0, 0.0], [_trainer(work), _trainer(work)]
    for step in range(_plan(work, 1).steps):
        for side in (0, 1) if step // 2 % 2 else (1, 0):
            trainer = trainers[(side + step) % 2]
            began = time.monotonic()
            train_step(work, trainer, next((one, other)[side]), step, 1e-3)
            if side:
                with cache.lock:
                    pass
            seconds[side] += time.monotonic() - began
    return seconds[0], seconds[1]


def _plan(work: RunContext, epochs: int) -> SamplingPlan:
    return SamplingPlan(np.flatnonzero(~work.validation_mask), work.task.train.batch, epochs, 0)


def stream(work: RunContext, cache: BucketCache, shards: int = 1) -> Iterator[Batch]:
    """The batches of an epoch."""
    return (batch for _, _, batch in training_batches(cache, _plan(work, 1), ShardAssignment(0, 1, shards)))


def _trainer(work: RunContext) -> Trainer:
    """A new model's."""
    torch.manual_seed(0)
    terms, classes = work.cache.reader.encoder.vocabulary_size, len(work.task.labels)
    return Trainer.of(
        architecture.build("mlp", work.task.options, terms=terms, classes=classes), work.task.train, work.group
    )


STEP = """
import json, sys, time, torch
from torch import nn
from models.ranks import process_group
from models.training.gradients import GradientReducer
from models.training.optimizers import build_optimizer
from models.training.task import Options
rows, width, size, length, sparse, steps = map(int, sys.argv[1:])
torch.set_num_threads(1)
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.EmbeddingBag(rows, width, mode="sum"), nn.Linear(width, 20)
with process_group.join(timeout_s=60) as group:
    torch.manual_seed(group.rank)
    model = Model()
    gradients = GradientReducer(model, group, sparse=bool(sparse))
    optimizer = build_optimizer(Options(), model.parameters())
    seconds = []
    for step in range(steps):
        places = (torch.rand(size // group.size * length) ** 3 * rows).long()
        began = time.perf_counter()
        gradients.clear()
        bags = model.table(places, torch.arange(0, len(places), length), per_sample_weights=torch.rand(len(places)))
        nn.functional.cross_entropy(model.layer(bags), torch.zeros(len(bags), dtype=int)).backward()
        gradients.collect()
        middle = time.perf_counter()
        gradients.reduce(torch.tensor(0.0))
        after = time.perf_counter()
        optimizer.step()
        seconds.append((middle - began, after - middle, time.perf_counter() - after))
    if not group.rank:
        print(json.dumps([1000 * sorted(part)[len(part) // 2] for part in zip(*seconds[2:])]))
"""


def gradients() -> list[dict[str, Any]]:
    """Milliseconds of a step of a 50,000 x 256 table: passes, exchange, optimizer; sparse or dense, 1 rank or 2."""
    rows = []
    for ranks in (1, 2):
        for sparse in (0, 1):
            arguments = [str(number) for number in (ROWS, WIDTH, BATCH, LENGTH, sparse, 30)]
            passes, exchange, step = json.loads(_spawned(STEP, arguments, ranks))
            rows.append(
                {
                    "ranks": ranks,
                    "gradient": ("dense", "sparse")[sparse],
                    "passes_ms": round(passes, 1),
                    "exchange_ms": round(exchange, 1),
                    "optimizer_ms": round(step, 1),
                    "total_ms": round(passes + exchange + step, 1),
                }
            )
    return rows


def _spawned(code: str, arguments: list[str], ranks: int) -> str:
    """What rank 0 of some processes prints."""
    place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, "-c", code, *arguments]
    running = [
        subprocess.Popen(
            command,
            cwd=CONF.parent,
            env=os.environ | place | {"RANK": str(rank), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    said = [process.communicate(timeout=300)[0] for process in running]
    return said[0]


def scaling() -> list[dict[str, Any]]:
    """Documents a second of two ranks on two cores against one on one, and of several shards on one rank."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        base = prepared(folder)
        options = dataclasses.asdict(load(["model=transformer"]).model)
        sequences = dataclasses.replace(prepared(folder, "r8"), model="transformer", options=options)
        cases = {
            "transformer on R8, batch 64": (sequences, {"batch": 64}),
            "transformer on R8, batch 256": (sequences, {"batch": 256}),
            "mlp on 20 Newsgroups, batch 64": (base, {"batch": 64}),
            "mlp on 20 Newsgroups, batch 512": (base, {"batch": 512}),
        }
        for name, (task, more) in cases.items():
            speeds = {ranks: _trained(task, folder, ranks=ranks, shards=ranks, **more) for ranks in (1, 2)}
            rows.append(
                {
                    "model": name,
                    "one": round(speeds[1]),
                    "two": round(speeds[2]),
                    "ratio": round(speeds[2] / speeds[1], 2),
                }
            )
        rows += _sharded(base)
    return rows


def _sharded(task: Task) -> list[dict[str, Any]]:
    """The speed of several shards on one rank against one shard's."""
    torch.set_num_threads(1)
    work = prepare(task, ProcessGroup(0, 1), RankStatus())
    cache = _caches(work)["cached"]
    ratios: dict[int, list[float]] = {2: [], 4: [], 8: []}
    for _ in range(ROUNDS):
        for shards, found in ratios.items():
            seconds = _side_by_side(work, stream(work, cache), stream(work, cache, shards), cache)
            found.append(seconds[0] / seconds[1])
    return [
        {"shards on one rank": shards, "speed against one shard": round(statistics.median(found), 3)}
        for shards, found in ratios.items()
    ]


def _trained(task: Task, folder: str, **train_options: Any) -> float:
    """Documents a second, the middle of all steps but the first epoch's."""
    options = dataclasses.replace(task.train, epochs=2, checkpoint_s=0.0, **train_options)
    mine = dataclasses.replace(task, train=options)
    codes, errors = run_ranks(Path(folder), [[mine]] * options.ranks, timeout_s=600)
    assert not any(codes), errors
    speeds = history.read(mine.folder)["documents_per_second"].to_pylist()
    return statistics.harmonic_mean(speeds[len(speeds) // 2 : -1])


PEAK = """
import pickle, resource, sys
from models.training import loop
loop.fit(pickle.load(open(sys.argv[1], "rb")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def memory() -> list[dict[str, Any]]:
    """Peak megabytes of a rank over corpora up to ten times its cache, and the bytes of their terms."""
    rows, cache = [], 0.025
    with tempfile.TemporaryDirectory() as folder:
        for documents in (15_000, 75_000, 150_000):
            place = Path(folder) / str(documents)
            task = _synthetic(place, documents, cache)
            (place / "task.pickle").write_bytes(pickle.dumps(task))
            peak = float(_spawned(PEAK, [str(place / "task.pickle")], 1))
            size = 150 * 12 * documents / 2**30
            rows.append({"documents": documents, "times the cache": round(size / cache, 1), "peak_mb": round(peak)})
    return rows


def _synthetic(folder: Path, documents: int, cache: float) -> Task:
    """Documents of 150 terms, in sorted files of 5,000."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    ids = np.sort(draw.integers(-(2**63), 2**63, 30_000, dtype=np.int64))
    paths = []
    for number in range(documents // 5000):
        keys = np.sort(draw.integers(-(2**63), 2**63, 5000, dtype=np.int64))
        offsets = np.arange(0, 5001 * 150, 150, dtype=np.int32)
        terms = pa.ListArray.from_arrays(offsets, ids[draw.integers(0, len(ids), 5000 * 150)])
        counts = pa.ListArray.from_arrays(offsets, draw.integers(1, 5, 5000 * 150).astype(np.int32))
        columns = {
            "batch": np.ones(5000, np.int64),
            "key": keys,
            "id": keys.astype(str),
            "split": ["train"] * 5000,
            "labels": [[("a", "b")[int(key) & 1]] for key in keys],
            "target": pa.nulls(5000, pa.float64()),
            "terms": terms,
            "counts": counts,
            "sequence": counts,
            "content": pa.nulls(5000, pa.binary()),
        }
        paths.append(str(folder / f"{number}.parquet"))
        pq.write_table(pa.table(columns, schema=FEATURES), paths[-1], row_group_size=512, compression="zstd")
    table = pa.table({"term": [f"t{n}" for n in range(len(ids))], "id": ids, "df": np.ones(len(ids), np.int64)})
    pq.write_table(table, folder / vocabulary.FILE)
    options = Options(epochs=2, lr=0.01, threads=1, cache_gb=cache, checkpoint_s=0.0, batch=256)
    return Task(
        files=paths,
        batch=1,
        documents=documents,
        labels=["a", "b"],
        model="logistic",
        folder=str(folder),
        train=options,
        progress=False,
    )
