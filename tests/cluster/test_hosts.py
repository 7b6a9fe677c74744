"""Two hosts in network namespaces, a DataNode and a NodeManager on each: what goes over the wire between them."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models.training import files as store
from tests.cluster import hosts
from tests.cluster.conftest import Hosts
from tests.cluster.containers import SIZES, code_alone
from tests.cluster.daemons import Host
from tests.conftest import last_json
from tests.jobs import ROOT, environment

pytestmark = pytest.mark.cluster

READ = """
import sys, time
from models.training import files
began = time.monotonic()
print(len(files.read(sys.argv[1])), time.monotonic() - began)
"""
BLOCK = 4 << 20  # bytes of the file that is read


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
    assert done.returncode == 0, done.stderr[-3000:]
    return last_json(done.stdout)


def traffic(nodes: list[Host]) -> int:
    """Bytes that both hosts have received."""
    return sum(map(hosts.received, nodes))


def test_a_block_is_read_where_it_lies(several: Hosts) -> None:
    """Both hosts hold it, and each reads its own: next to nothing comes over the link."""
    path = f"{several.cluster.address}/block"
    store.write(path, b"\0" * BLOCK)
    for node in several.nodes:
        before = hosts.received(node)
        command = [*node.prefix, sys.executable, "-c", READ, path]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        assert int(done.stdout.split()[0]) == BLOCK
        assert hosts.received(node) - before < BLOCK / 20


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
