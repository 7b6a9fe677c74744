"""The commands as users type them: spark-submit in a process of its own, exit statuses, the two streams."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from pipelines import predict, train
from pipelines.config import load
from pipelines.errors import UserError
from tests.jobs import assert_gone, environment, small, start, submit, wait_for

pytestmark = pytest.mark.submit


@pytest.mark.parametrize(
    ("job", "arguments", "message"),
    [
        ("train", ["model=mpl", "--help"], "textmill: no model is named 'mpl'; did you mean 'mlp'?"),
        ("train", ["train.epoch=3"], "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("ingest", ["train.epochs=3"], "textmill: train.epochs belongs to train and compare, not to ingest"),
        ("evaluate", [], "textmill: bundle is required and has no default: Folder of the trained bundle."),
        ("ingest", ["source=files", "source.path=/no/such/place"], "there is nothing at"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(tmp_path: Path, job: str, arguments: list[str], message: str) -> None:
    done = submit(job, f"lake={tmp_path}/lake", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lake").exists()


def test_help_is_of_the_members_that_are_named(tmp_path: Path) -> None:
    done = submit("ingest", "source=files", "--help", cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (0, [])
    assert done.stdout.startswith("usage: spark-submit pipelines/ingest.py [key=value ...]\n\ningest: from a source's")
    assert "\nRequired:\n  source.path=...  " in done.stdout
    assert "train." not in done.stdout


def test_a_bundle_that_is_none_is_a_users_mistake(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^file:///no/such/bundle is not a usable bundle: "):
        predict.run(spark, load([f"lake={tmp_path}/lake", "bundle=/no/such/bundle", f"output={tmp_path}/out"]))
    assert not list(tmp_path.iterdir())


def test_settings_that_spark_refuses_are_one_line_and_status_2(tmp_path: Path) -> None:
    done = submit("ingest", f"lake={tmp_path}/lake", master="local[two]")
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("textmill: Spark does not start: Could not parse Master URL")
    assert "Traceback" not in done.stderr


def test_too_many_ranks_are_told_of_before_any_work(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^train\.ranks=3 needs 3 free task slots; Spark has 2$"):
        train.run(spark, load([*small(tmp_path), "train.ranks=3"]))
    assert not (tmp_path / "lake").exists()


def test_a_loss_that_is_no_number_is_a_users_mistake(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the loss is (nan|inf) at step \d+: try a lower train\.lr$"):
        train.run(spark, load([*small(tmp_path), "train.optimizer=sgd", "train.lr=1e30", "train.max_failures=3"]))


def test_from_the_pyspark_shell(tmp_path: Path) -> None:
    arguments = small(tmp_path)
    script = (
        "from pipelines import clean\nfrom pipelines.config import load\n"
        f"print('ROWS', clean.run(spark, load({arguments!r})).to_dict()['rows'])\n"
    )
    shell = subprocess.run(
        ["pyspark", "--master", "local[*]"],
        input=script,
        cwd=tmp_path,
        env=environment() | {"PYSPARK_DRIVER_PYTHON_OPTS": "-i"},  # the shell, though a pipe feeds it
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "ROWS {'read': 101, 'kept': 100, 'quarantined': 1, 'duplicates': 0, 'two_labels': 0}" in shell.stdout


def test_interrupt_ends_with_130_and_leaves_no_process(tmp_path: Path) -> None:
    arguments = [*small(tmp_path), "train.epochs=100000", "train.patience=0", f"report={tmp_path}/report.json"]
    running = start("train", arguments, tmp_path / "err")
    wait_for(tmp_path / "err", "epoch 1/", running)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(timeout=60) == 130
    assert_gone(running.pid)
    told = (tmp_path / "err").read_text()
    assert "textmill: interrupted; committed work is kept" in told
    assert "train: run=" in told, "by which it can go on"
    assert "KeyboardInterrupt" not in told
    assert json.loads((tmp_path / "report.json").read_text()) == {"job": "train", "status": "running"}


def test_a_report_that_cannot_be_written_is_told_before_any_work(tmp_path: Path) -> None:
    done = submit("ingest", f"lake={tmp_path}/lake", "source=bbc", f"report={tmp_path}")
    assert done.returncode == 2, done.stderr[-3000:]
    assert done.stderr.strip().splitlines()[-1].startswith(f"textmill: report=file://{tmp_path} cannot be written: ")
    assert not (tmp_path / "lake").exists()
