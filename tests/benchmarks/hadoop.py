"""A real Hadoop on this machine against the local disk: the stages of one run, and a rank's reading.

Daemons, driver and ranks share this machine's cores: on a cluster of its own Hadoop takes less of the jobs' time.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.dataset.bucket_cache import BucketCache
from models.ranks.process_group import ProcessGroup
from models.ranks.rank_status import RankStatus
from models.storage import files
from models.training.run_context import RunContext, prepare
from pipelines.job import session
from pipelines.readers.locations import DATA
from tests.benchmarks.training import prepared, stream
from tests.cluster.containers import ENVIRONMENT, SIZES, packed
from tests.cluster.daemons import LOOPBACK
from tests.cluster.hadoop import Hadoop, hadoop
from tests.cluster.jars import class_path
from tests.conftest import last_json
from tests.jobs import ROOT, environment

ROUNDS, WARMING = 60, 10  # a DataNode in service has compiled its code long ago
LOCAL = ["--master", "local[2]"]


def stages() -> list[dict[str, Any]]:
    """Seconds of each stage of one run of 20 Newsgroups with two ranks, each place once."""
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as cluster:
        for root in (cluster.address, f"file://{folder}"):
            for name in ("train.tab", "test.tab"):
                files.write(f"{root}/newsgroups/{name}", (DATA / "newsgroups" / name).read_bytes())
        files.write(f"{cluster.address}/textmill/{ENVIRONMENT.name}", ENVIRONMENT.read_bytes())
        there = on_yarn(packed(f"hdfs:///textmill/{ENVIRONMENT.name}"))
        places = {
            "local disk": (f"file://{folder}", LOCAL),
            "HDFS": (cluster.address, LOCAL),
            "HDFS and YARN, the environment from this machine": (cluster.address, on_yarn(packed())),
            "HDFS and YARN, the environment from HDFS": (cluster.address, there),
            "the same again, the environment on its nodes": (cluster.address, there),
        }
        rows: list[dict[str, Any]] = []
        for number, (name, (root, options)) in enumerate(places.items()):
            arguments = [f"source.path={root}/newsgroups", f"lake={root}/lake-{number}"]
            rows.append({"on": name, **seconds(cluster, options, arguments)})
    first = rows[0]
    ratios = [{key: round(row[key] / first[key], 2) for key in first if key != "on" and first[key]} for row in rows[1:]]
    return [*rows, *({"on": f"{row['on']}, local disk = 1"} | each for row, each in zip(rows[1:], ratios, strict=True))]


def on_yarn(settings: dict[str, str]) -> list[str]:
    """spark-submit's options for executors that have room for a rank."""
    options = ["--master", "yarn", "--deploy-mode", "client"]
    for name, value in (SIZES | settings | {"spark.executor.memoryOverhead": "3g"}).items():
        options += ["--conf", f"{name}={value}"]
    return options


def seconds(cluster: Hadoop, options: list[str], arguments: list[str]) -> dict[str, Any]:
    """What a run's report says of its stages, and `wall`, the whole command's."""
    command = ["spark-submit", *options, str(ROOT / "pipelines" / "train.py"), "source=newsgroups", "train.ranks=2"]
    variables = environment() | {"HADOOP_CONF_DIR": str(cluster.conf), "SPARK_LOCAL_IP": "127.0.0.1"}
    began = time.monotonic()
    done = subprocess.run([*command, *arguments], env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found = last_json(done.stdout)["seconds"] | {"wall": time.monotonic() - began}
    return {name: round(value, 1) for name, value in found.items()}


def reading() -> list[dict[str, Any]]:
    """Documents a second that a rank reads without a cache, from HDFS against from the local disk, in turn."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as cluster:
        task = prepared(folder)
        there = [f"{cluster.address}/features/{number}.parquet" for number, _ in enumerate(task.files)]
        for local, remote in zip(task.files, there, strict=True):
            files.write(remote, Path(local).read_bytes())
        works = {"local disk": work(task), "HDFS": work(replace(task, files=there))}
        speeds: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, each in works.items():
                speeds[name].append(speed(each))
        speeds = {name: found[WARMING:] for name, found in speeds.items()}
    rows: list[dict[str, Any]] = [
        {"from": name, "documents_per_second": round(statistics.median(found))} for name, found in speeds.items()
    ]
    shares = [far / near for far, near in zip(speeds["HDFS"], speeds["local disk"], strict=True)]
    spread = {"share": round(statistics.median(shares), 3), "lowest": round(min(shares), 3)}
    return [*rows, {"ratio": "HDFS to local disk", **spread, "highest": round(max(shares), 3)}]


def work(task: Any) -> RunContext:
    """What a rank knows before it trains."""
    return prepare(task, ProcessGroup(0, 1), RankStatus())


def speed(work: RunContext) -> float:
    """Documents a second of an epoch's batches that nothing is learnt from."""
    cache = BucketCache.of(work.cache.reader, buckets=int(work.cache.bucket_of.max()) + 1, capacity=0)
    began = time.monotonic()
    documents = sum(batch.documents for batch in stream(work, cache))
    return documents / (time.monotonic() - began)


@contextmanager
def started(folder: Path) -> Iterator[Hadoop]:
    """HDFS and YARN of two nodes."""
    spark = session.start("hadoop")
    jars = class_path()
    spark.stop()
    with hadoop(folder / "hadoop", jars, hosts=(LOOPBACK, LOOPBACK), cores=2) as cluster:
        yield cluster
