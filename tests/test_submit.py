"""The commands as users type them: spark-submit in a process of its own, exit statuses, the two streams, kills."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from pipelines import featurize, predict, train
from pipelines.config import CONF, UserError, load
from tests.conftest import documents, last_json, write_json

ROOT = CONF.parent
pytestmark = pytest.mark.submit


def environment() -> dict[str, str]:
    """The activated environment, with the project's Spark configuration."""
    scripts = str(Path(sys.executable).parent)
    return os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(CONF)}


def submit(
    job: str, *arguments: str, cwd: Path | None = None, master: str = "local[2]"
) -> subprocess.CompletedProcess[str]:
    """`spark-submit pipelines/<job>.py …` from another folder than the project's."""
    command = ["spark-submit", "--master", master, str(ROOT / "pipelines" / f"{job}.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd or "/", env=environment(), capture_output=True, text=True, check=False, timeout=300
    )


def small(tmp_path: Path) -> list[str]:
    """A source of a hundred documents, and a lake."""
    if not (tmp_path / "in").exists():
        write_json(tmp_path / "in" / "a.json", [*documents(100), [1]])
    return [
        f"lake={tmp_path}/lake",
        "source=files",
        f"source.path={tmp_path}/in",
        "source.format=json",
        "source.label=label",
        "train.epochs=3",
    ]


def test_train_then_predict(spark: SparkSession, tmp_path: Path) -> None:
    arguments = small(tmp_path)
    trained = submit("train", *arguments, "train.ranks=2", f"report={tmp_path}/report.json", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr[-3000:]
    report = last_json(trained.stdout)
    assert report["train"]["ranks"] == 2
    assert report["rows"] == {"read": 101, "kept": 100, "quarantined": 1, "duplicates": 0, "two_labels": 0}
    assert report["metrics"]["test"]["accuracy"] == 1.0
    assert "epoch 3/3" in trained.stderr
    assert "@progress" not in trained.stderr
    assert "epoch" not in trained.stdout.split("\n", 1)[0]
    assert last_json((tmp_path / "report.json").read_text()) == report
    again = train.run(spark, load([*arguments, "train.ranks=2", "train.reuse=true"]))
    assert (again["status"], again["run"]) == ("unchanged", report["run"])

    write_json(tmp_path / "new" / "n.json", [{"text": "a ship at sea"}, {"text": "wheat barn"}, {"nothing": 1}])
    new = [f"bundle={report['bundle']}", f"output={tmp_path}/out", "source=files", f"source.path={tmp_path}/new"]
    predicted = predict.run(spark, load([*new, "source.format=json", f"lake={tmp_path}/nowhere"]))
    assert predicted["rows"] == {"read": 3, "predicted": 2, "rejected": 1}
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("job", "arguments", "message"),
    [
        ("train", ["train.epoch=3"], "unknown key 'train.epoch'; did you mean 'train.epochs'?"),
        ("ingest", ["source=files", "source.path=/no/such/place"], "nothing is at"),
        ("predict", ["bundle=/no/such/bundle", "output=/no/out"], "is not a bundle that can be used"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_2(tmp_path: Path, job: str, arguments: list[str], message: str) -> None:
    done = submit(job, f"lake={tmp_path}/lake", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lake").exists()


def test_too_many_ranks_are_told_of_before_any_work(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^train\.ranks=3 needs as many free task slots; Spark has 2$"):
        train.run(spark, load([*small(tmp_path), "train.ranks=3"]))
    assert not (tmp_path / "lake").exists()


def test_a_loss_that_is_no_number_is_a_users_mistake(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the loss is (nan|inf) at step \d+: try a lower train\.lr$"):
        train.run(spark, load([*small(tmp_path), "train.optimizer=sgd", "train.lr=1e30", "train.max_failures=3"]))


@pytest.mark.cluster
def test_an_executor_that_is_killed_changes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    """Two executors in processes of their own; the ranks go on from the last checkpoint."""
    arguments = [*small(tmp_path), "train.ranks=2", "train.epochs=25", "train.patience=0", "train.checkpoint_steps=5"]
    undisturbed = train.run(spark, load([*arguments, "dataset=undisturbed"]))
    running = start("train", arguments, tmp_path / "err", master="local-cluster[2,1,1024]")
    wait_for(tmp_path / "err", "epoch 1/", running)
    executors = executors_of(running)
    assert len(executors) == 2
    executors[0].kill()
    assert running.wait(timeout=200) == 0, (tmp_path / "err").read_text()[-3000:]
    report = last_json((tmp_path / "err.out").read_text())
    assert (report["train"]["ranks"], report["train"]["failures"]) == (2, 1)
    assert report["train"]["steps"] == undisturbed["train"]["steps"]
    assert weights_of(report) == weights_of(undisturbed)
    assert_gone(running.pid)


def test_from_the_pyspark_shell(tmp_path: Path) -> None:
    arguments = small(tmp_path)
    script = (
        "from pipelines import featurize\nfrom pipelines.config import load\n"
        f"print('ROWS', featurize.run(spark, load({arguments!r}))['rows'])\n"
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
    arguments = [*small(tmp_path), "train.epochs=100000", "train.patience=0"]
    running = start("train", arguments, tmp_path / "err")
    wait_for(tmp_path / "err", "epoch 1/", running)
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait(timeout=60) == 130
    assert_gone(running.pid)
    told = (tmp_path / "err").read_text()
    assert "textmill: interrupted; what was committed is kept" in told
    assert "KeyboardInterrupt" not in told


KILLED = ("run=killed", "train.epochs=40", "train.patience=0", "train.checkpoint_steps=3")
JOBS = {"featurize": featurize.run, "train": train.run}


@pytest.fixture(scope="module")
def field(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose lake holds what undisturbed runs made: `featurize` and `train`."""
    folder = tmp_path_factory.mktemp("kills")
    for job, run in JOBS.items():
        run(spark, load([*small(folder), f"dataset={job}", *KILLED]))
    return folder


STAGES = ["ingest: batch", "clean: batch", "featurize: batch", "train: epoch"]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_run_and_a_second_one_make_an_undisturbed_runs_tables(
    spark: SparkSession, field: Path, stage: str, seed: int
) -> None:
    kill_and_repeat(spark, field, stage, seed, longest=2.0)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(2, 12))
@pytest.mark.parametrize("stage", ["looking", *STAGES, "evaluate"])
def test_many_kills(spark: SparkSession, field: Path, stage: str, seed: int) -> None:
    kill_and_repeat(spark, field, stage, seed, longest=4.0)


def kill_and_repeat(spark: SparkSession, field: Path, stage: str, seed: int, longest: float) -> None:
    """SIGKILL all processes of a run at a seeded moment of a stage; run again; compare with an undisturbed run."""
    job = "train" if stage.startswith(("train", "evaluate")) else "featurize"
    killed = f"{stage.replace(': ', '-')}-{seed}"
    if job == "train":  # its tables are there, and its run goes on where it was
        shutil.copytree(field / "lake" / "featurize", field / "lake" / killed)
    arguments = [*small(field), f"dataset={killed}", *KILLED]
    running = start(job, arguments, field / f"{killed}.err")
    wait_for(field / f"{killed}.err", stage, running)
    time.sleep(random.Random(killed).uniform(0, longest))  # noqa: S311
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait(timeout=60), "the kill came too late"
    JOBS[job](spark, load(arguments))
    assert_equal_lakes(field / "lake", job, killed)


def start(
    job: str, arguments: list[str], errors: Path, master: str = "local[2]", **more: str
) -> subprocess.Popen[bytes]:
    """A job in a process group of its own, its standard error in a file and its standard output beside it."""
    command = ["spark-submit", "--master", master, str(ROOT / "pipelines" / f"{job}.py"), *arguments]
    with errors.open("wb") as stream, errors.with_suffix(".out").open("wb") as output:
        variables = environment() | more
        return subprocess.Popen(command, env=variables, stdout=output, stderr=stream, start_new_session=True)


def executors_of(running: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The executors' JVMs below a job; processes that end while we look are none."""
    found = []
    for process in psutil.Process(running.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie is one too
            if any("CoarseGrainedExecutorBackend" in word for word in process.cmdline()):
                found.append(process)
    return found


def weights_of(report: dict[str, Any]) -> bytes:
    """The weights that a training ended with."""
    return Path(report["bundle"].removeprefix("file://"), "weights.safetensors").read_bytes()


def wait_for(path: Path, text: str, running: subprocess.Popen[bytes]) -> None:
    """Until a job has said something."""
    deadline = time.monotonic() + 240
    while text not in path.read_text(errors="replace"):
        assert running.poll() is None, path.read_text(errors="replace")[-3000:]
        assert time.monotonic() < deadline, f"'{text}' was not said"
        time.sleep(0.05)


def assert_gone(group: int) -> None:
    """No process of a group is left, after a moment to end."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes are left")


def assert_equal_lakes(lake: Path, one: str, other: str) -> None:
    """All tables are equal in all columns but the run, read without Spark; trained weights too."""
    import pyarrow as pa
    from deltalake import DeltaTable

    for name in ("weights.safetensors", "vocabulary.parquet") if one == "train" else ():
        mine, theirs = (lake / dataset / "bundles" / "killed" / name for dataset in (one, other))
        assert mine.read_bytes() == theirs.read_bytes(), name
    places = sorted(str(log.parent.relative_to(lake / one)) for log in (lake / one).rglob("_delta_log"))
    for place in places:
        if place in ("runs", "metrics"):
            continue
        rows = []
        for dataset in (one, other):
            found = pa.table(DeltaTable(str(lake / dataset / place)).to_pyarrow_table())
            kept = [
                name for name in found.column_names if name not in ("run", "features_version", "vocabulary_version")
            ]
            rows.append(sorted(map(repr, found.select(sorted(kept)).to_pylist())))
        assert rows[0] == rows[1], place
