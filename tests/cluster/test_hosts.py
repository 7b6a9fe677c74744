"""Two hosts in network namespaces, a DataNode and a NodeManager on each: what goes over the wire between them."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hdfs_native import Client

from models.storage import files
from tests.cluster import hosts
from tests.cluster.conftest import Hosts
from tests.cluster.containers import SIZES, code_alone
from tests.cluster.daemons import Host
from tests.conftest import last_json
from tests.jobs import ROOT, environment

pytestmark = pytest.mark.cluster

READ = """
import sys
import pyarrow.parquet as pq
from models.storage import files
filesystem, inner = files.locate(sys.argv[1])
with filesystem.open(inner, "rb") as file:
    print(sum(len(rows) for rows in pq.ParquetFile(file).iter_batches(1000)))
"""
DOCUMENTS = 20_000


def submit(several: Hosts, settings: dict[str, str], *arguments: str) -> dict[str, Any]:
    """The report of two ranks, one on each host, with the driver here."""
    command = ["spark-submit", "--master", "yarn", "--deploy-mode", "client"]
    for name, value in (SIZES | settings | several.settings()).items():
        command += ["--conf", f"{name}={value}"]
    root = several.cluster.address
    source = ["source=files", f"source.path={root}/in", "source.format=json", "source.label=label"]
    command += [str(ROOT / "pipelines" / "train.py"), *source, f"lake={root}/lake", "train.ranks=2", *arguments]
    variables = environment() | {"HADOOP_CONF_DIR": str(several.cluster.conf), "SPARK_LOCAL_IP": several.master.address}
    done = subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return last_json(done.stdout)


def traffic(nodes: list[Host]) -> int:
    """Bytes that both hosts have received."""
    return sum(map(hosts.received, nodes))


def test_documents_are_read_where_a_copy_lies(several: Hosts, tmp_path: Path) -> None:
    """With a copy on each host next to nothing comes over a link; with one copy, the host without it pays the file."""
    draw = np.random.default_rng(0)
    table = pa.table({"terms": list(draw.integers(0, 1 << 30, (DOCUMENTS, 50)))})
    pq.write_table(table, tmp_path / "documents.parquet")
    content = (tmp_path / "documents.parquet").read_bytes()
    path = f"{several.cluster.address}/documents.parquet"
    files.write(path, content)
    both = [read(node, path) for node in several.nodes]
    Client(several.cluster.address).set_replication("/documents.parquet", 1)
    one = eventually(lambda: [read(node, path) for node in several.nodes], lambda found: max(found) > len(content))
    print(f"bytes over the wire a document, of {len(content) / DOCUMENTS:.0f}: a copy on each host", end=" ")
    print(f"{max(both) / DOCUMENTS:.1f}, one copy {max(one) / DOCUMENTS:.0f} for the host without it")
    assert max(both) < len(content) / 20
    assert min(one) < len(content) / 20


def read(node: Host, path: str) -> int:
    """Bytes that come to a host while it reads all documents of a file as a rank does."""
    before = hosts.received(node)
    command = [*node.prefix, sys.executable, "-c", READ, path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == DOCUMENTS
    return hosts.received(node) - before


def eventually(look: Callable[[], list[int]], enough: Callable[[list[int]], bool]) -> list[int]:
    """What `look` finds at last: a copy too many is not removed at once."""
    deadline = time.monotonic() + 60
    while not enough(found := look()):
        assert time.monotonic() < deadline, found
    return found


def test_ranks_on_two_hosts_exchange_gradients_and_little_else(several: Hosts, tmp_path: Path) -> None:
    """What ten times the steps add is the steps' own: some copies of the gradients that a step has."""
    settings = code_alone(tmp_path)
    common = ["train.cache_gb=0.1", "train.patience=0", "train.refit=false", "train.batch=16", "model=mlp"]
    found = {}
    for epochs in (1, 5, 25):  # the first brings the tables up to date
        before, began = traffic(several.nodes), time.monotonic()
        report = submit(several, settings, *common, f"train.epochs={epochs}")
        found[epochs] = (traffic(several.nodes) - before, report["train"]["steps"], time.monotonic() - began)
    (some, few, _), (more, many, _) = found[5], found[25]
    a_step = (more - some) / (many - few)
    gradients = 4 * report["train"]["parameters"]
    print(f"{a_step:,.0f} bytes a step over the wire, a gradient of all weights has {gradients:,}; {found}")
    assert 0 < a_step < 4 * gradients
