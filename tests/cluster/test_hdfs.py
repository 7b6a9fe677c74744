"""Text, lake, bundle and predictions on a real HDFS: the tables must be those of the same run on the local disk."""

import gzip
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from hdfs_native import Client
from pyspark.sql import SparkSession

from models.storage import files
from pipelines.readers import orange_tab
from pipelines.readers.formats import FORMATS
from pipelines.readers.rows import Row
from pipelines.sources import reviews_zh
from pipelines.sources.files import Options
from tests.cluster import sites
from tests.cluster.daemons import free_port
from tests.cluster.hadoop import Hadoop, hdfs
from tests.cluster.jars import HADOOP, class_path
from tests.conftest import documents, last_json, write_json
from tests.jobs import ROOT, environment

pytestmark = pytest.mark.cluster

# Names that a client which takes them for URLs would shorten or decode: both of the last two would be "new ".
FIRST, SECOND, LATER, NEW = "a.json", "sub/b 50%25 é.json", "new #1.json", "new #2?.json"
RUN = "first"
HA = "org.apache.hadoop.hdfs.server.namenode.ha"
MEASURED = ("train.documents_per_second", "train.memory_mb")  # of the table `metrics`


@dataclass(frozen=True)
class Place:
    """A folder with `in`, `lake` and `out` in it, and the Hadoop configuration to reach it with, if it needs one."""

    root: str
    conf: Path | None = None

    def put(self, name: str, rows: list[Any], scratch: Path) -> None:
        """JSON lines at `<root>/<name>`, by way of the folder `scratch`."""
        write_json(scratch / "rows.json", rows)
        files.write(f"{self.root}/{name}", (scratch / "rows.json").read_bytes())

    def run(self, job: str, *arguments: str) -> dict[str, Any]:
        """The report of a job that must succeed."""
        done = self.submit(job, *arguments)
        assert done.returncode == 0, done.stderr[-3000:]
        return last_json(done.stdout)

    def submit(self, job: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`spark-submit pipelines/<job>.py …` on two cores."""
        command = ["spark-submit", "--master", "local[2]", str(ROOT / "pipelines" / f"{job}.py"), *arguments]
        variables = environment() | ({"HADOOP_CONF_DIR": str(self.conf)} if self.conf else {})
        return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False, timeout=300)

    def taken(self) -> list[str]:
        """The arguments that name the source and the lake."""
        source = ["source=files", f"source.path={self.root}/in", "source.format=json", "source.label=label"]
        return [*source, f"lake={self.root}/lake"]

    def table(self, name: str) -> list[str]:
        """All rows of a Delta table in an order of their own; addresses without the root."""
        return sorted(repr(row).replace(self.root, "") for row in self.rows(name) if row.get("name") not in MEASURED)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a Delta table, in all columns but when a file was changed.

        Read without Spark, which takes seconds a table: the log's commits name the files.
        """
        filesystem, root = files.locate(f"{self.root}/{name}")
        active: dict[str, None] = {}
        for commit in sorted(
            path for path in filesystem.ls(f"{root}/_delta_log", detail=False) if path.endswith(".json")
        ):
            for action in map(json.loads, files.read(self.address(commit)).splitlines()):
                if "add" in action:
                    active[unquote(action["add"]["path"])] = None
                elif "remove" in action:
                    del active[unquote(action["remove"]["path"])]
        return [row for file in active for row in self.parquet(f"{root}/{file}")]

    def parquet(self, path: str) -> list[dict[str, Any]]:
        """The rows of a Parquet file, their columns sorted."""
        rows = pq.read_table(io.BytesIO(files.read(self.address(path)))).to_pylist()
        return [{name: row[name] for name in sorted(row) if name != "modified"} for row in rows]

    def address(self, path: str) -> str:
        """The address of a path that a listing gave."""
        host = re.match(r"\w+://[^/]*", self.root)
        assert host
        return f"{host[0]}{path}"

    def tables(self) -> list[str]:
        """The names of the lake's Delta tables, but that of the reports, which hold seconds."""
        filesystem, root = files.locate(f"{self.root}/lake")
        logs = {str(path).rpartition("/_delta_log/")[0] for path in filesystem.find(root) if "/_delta_log/" in path}
        return sorted(f"lake{log.removeprefix(root)}" for log in logs if not log.endswith("/runs"))


@pytest.fixture(scope="module")
def cluster(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    with hdfs(tmp_path_factory.mktemp("hdfs"), class_path([HADOOP])) as started:
        yield started


@pytest.fixture(scope="module")
def trained(cluster: Hadoop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, Place]:
    """HDFS and the local disk, a model trained on each by two ranks from the same files, one row of them bad."""
    scratch = tmp_path_factory.mktemp("local")
    places = Place(cluster.address, cluster.conf), Place(f"file://{scratch}")
    for place in places:
        place.put(f"in/{FIRST}", [*documents(60), [1]], scratch)
        place.put(f"in/{SECOND}", documents(40, start=60), scratch)
        report = place.run(
            "train", *place.taken(), "train.ranks=2", "train.epochs=3", "train.checkpoint_steps=2", f"run={RUN}"
        )
        assert report["train"]["ranks"] == 2
        assert report["rows"] == {"read": 101, "kept": 100, "quarantined": 1, "duplicates": 0, "two_labels": 0}
        assert report["bundle"] == f"{place.root}/lake/files/bundles/{RUN}"
    return places


def assert_equal(places: tuple[Place, Place]) -> None:
    """The two places hold the same tables with the same rows."""
    remote, local = places
    assert remote.tables() == local.tables()
    for name in local.tables():
        assert remote.table(name) == local.table(name), name


def test_train(trained: tuple[Place, Place], cluster: Hadoop) -> None:
    assert_equal(trained)
    assert len(trained[1].tables()) == 9
    bundles = [f"{place.root}/lake/files/bundles/{RUN}" for place in trained]
    assert files.names(bundles[0]) == files.names(bundles[1])
    for name in ("weights.safetensors", "vocabulary.parquet"):
        assert files.read(f"{bundles[0]}/{name}") == files.read(f"{bundles[1]}/{name}"), name
    left = [status.path for status in Client(cluster.address).list_status("/", True) if status.path.endswith(".tmp")]
    assert not left, "a file was written beside its place and left there"


def test_predict_with_addresses_that_leave_the_host_to_hadoop(trained: tuple[Place, Place], tmp_path: Path) -> None:
    remote, local = trained
    for place, root in ((remote, "hdfs:/"), (local, f"{local.root}/")):
        place.put(f"asked/{NEW}", [{"text": "a ship at sea"}, {"text": "wheat barn"}, {"nothing": 1}], tmp_path)
        report = place.run(
            "predict",
            f"bundle={root}lake/files/bundles/{RUN}",
            f"output={root}out",
            "source=files",
            f"source.path={root}asked",
            "source.format=json",
        )
        assert report["rows"] == {"read": 3, "predicted": 2, "rejected": 1}
    found = [row.replace("hdfs://", "") for row in remote.table("out")]
    assert found == local.table("out")


def test_a_second_run_takes_the_new_files_alone(trained: tuple[Place, Place], tmp_path: Path) -> None:
    for place in trained:
        place.put(f"in/{LATER}", documents(10, start=100), tmp_path)
        place.put(f"in/{NEW}", documents(10, start=110), tmp_path)
        report = place.run("featurize", *place.taken())
        assert report["batches"] == [2]
        assert report["rows"]["read"] == 20
    batches = trained[0].rows("lake/files/bronze/batches")
    assert {row["name"] for row in batches if row["batch"] == 2} == {LATER, NEW}
    assert_equal(trained)


def name_service(cluster: Hadoop, conf: Path) -> None:
    """The clients' configuration as on most clusters: a name for two NameNodes, of which the first is down."""
    names = {
        "dfs.nameservices": "text",
        "dfs.ha.namenodes.text": "down,up",
        "dfs.namenode.rpc-address.text.down": f"127.0.0.1:{free_port()}",
        "dfs.namenode.rpc-address.text.up": cluster.address.removeprefix("hdfs://"),
        "dfs.client.failover.proxy.provider.text": f"{HA}.ConfiguredFailoverProxyProvider",
        "dfs.client.failover.max.attempts": "15",
    }
    sites.write_sites(conf, sites.merged(sites.clients("hdfs://text", 1), {sites.HDFS: names}))


def test_a_name_service_that_addresses_leave_out(
    cluster: Hadoop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log calls its files by name, as for any other lake: `maintain` would take others for nobody's."""
    name_service(cluster, tmp_path / "conf")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path / "conf"))
    place = Place("hdfs://text/service", tmp_path / "conf")
    lake = ["lake=hdfs:///service/lake", "dataset=files"]
    source = ["source=files", "source.path=hdfs:///service/in", "source.format=json", "source.label=label"]
    for number in range(4):
        place.put(f"in/{number}.json", documents(20, start=number * 20), tmp_path)
        if number < 3:
            place.run("ingest", *lake, *source)
    report = place.run("train", *lake, *source, "train.ranks=2", "train.epochs=3")
    assert report["rows"]["read"] == 80
    assert report["train"]["ranks"] == 2
    rows = place.table("lake/files/bronze/documents")
    assert place.run("maintain", *lake, "maintain.retention_hours=0")["files"]["bronze/documents"] == [4, 1]
    assert place.table("lake/files/bronze/documents") == rows
    filesystem, root = files.locate(f"{place.root}/lake")
    logs = [
        files.read(place.address(path))
        for path in filesystem.find(root)
        if path.endswith(".json") and "/_delta" in path
    ]
    assert len(logs) > 9
    assert not any(b'"path":"hdfs:' in log for log in logs)


def test_every_source_reads_the_rows_that_it_reads_on_a_local_disk(cluster: Hadoop, tmp_path: Path) -> None:
    """Files of some megabytes: whoever takes HDFS's pieces for lines finds other rows."""
    options = Options(path=str(tmp_path), label="label", format="json")
    texts = [f"{'a ship at sea, ' * 8}{number}" for number in range(20_000)]
    written = {
        "train.tab": "class\ttext\nd\tstring\nclass\t\n" + "".join(f"sea\t{text}\n" for text in texts),
        "pos.txt": "".join(f"{text}\n" for text in texts),
        "a.json": "".join(json.dumps({"text": text, "label": "sea"}) + "\n" for text in texts),
        "a.csv": "text,label\n" + "".join(f'"{text}",sea\n' for text in texts),
    }
    readers: dict[str, Callable[[str], Iterator[Row]]] = {
        "train.tab": orange_tab.read_rows,
        "pos.txt": lambda path: reviews_zh.read_rows(path, reviews_zh.Options()),
        "a.json": lambda path: FORMATS["json"](path, options),
        "a.csv": lambda path: FORMATS["csv"](path, options),
    }
    written |= {f"{name}.gz": written[name] for name in ("a.json", "a.csv")}
    for name, content in written.items():
        path, raw = tmp_path / name, content.encode()
        path.write_bytes(gzip.compress(raw, 1) if name.endswith(".gz") else raw)
        files.write(f"{cluster.address}/formats/{name}", path.read_bytes())
        rows = readers[name.removesuffix(".gz")]
        found = list(rows(f"{cluster.address}/formats/{name}"))
        assert [row.text for row in found] == texts, name
        assert found == list(rows(f"file://{path}")), name


def test_a_name_node_that_does_not_answer_is_told_of(trained: tuple[Place, Place], tmp_path: Path) -> None:
    done = trained[0].submit("ingest", f"lake={tmp_path}/lake", "source=files", "source.path=hdfs://127.0.0.1:1/in")
    assert done.returncode == 1, done.stderr[-3000:]
    assert "textmill: hdfs://127.0.0.1:1/in cannot be reached: " in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "lake").exists()
