"""Training on a real standalone cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.standalone import Standalone, standalone
from tests.conftest import last_json
from tests.jobs import small, submit

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with standalone(tmp_path_factory.mktemp("standalone")) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both tests' documents and lake are: the second needs no table anew."""
    return tmp_path_factory.mktemp("text")


def test_two_ranks_on_two_workers(cluster: Standalone, folder: Path) -> None:
    done = cluster.submit(*small(folder), "train.ranks=2")
    assert done.returncode == 0, done.stderr[-3000:]
    report = last_json(done.stdout)
    assert report["train"]["ranks"] == 2
    assert report["metrics"]["test"]["accuracy"] == 1.0
    assert "epoch 3/3" in done.stderr, "a rank on a worker tells of its progress here"
    cluster.assert_idle()


def test_more_ranks_than_workers_are_told_of(cluster: Standalone, folder: Path) -> None:
    done = cluster.submit(*small(folder), "train.ranks=3", "train.slots_s=30")
    assert done.returncode == 2, done.stderr[-3000:]
    assert done.stderr.strip().splitlines()[-1] == "textmill: train.ranks=3 needs 3 free task slots; Spark has 2"
    cluster.assert_idle()


def test_a_master_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    """Spark gives it up after a minute: status 1, for nobody made a mistake."""
    done = submit("train", *small(tmp_path), master="spark://127.0.0.1:1")
    assert done.returncode == 1
    assert "textmill: Spark does not start: its master is gone" in done.stderr.strip().splitlines()[-1]
    assert "starting Spark … " in done.stderr
    assert "Traceback" not in done.stderr
