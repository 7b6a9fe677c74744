"""Real launches: the failure of a rank never passes for success, and a training that can continue continues.

When ranks are launched again is in test_attempts.py, without launching any.
"""

import dataclasses
import functools
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from pyspark import cloudpickle
from pyspark.sql import SparkSession

from models.bundles import weights
from models.ranks.exit_records import RankFailure
from models.training import checkpoint, history
from models.training.task import Task
from pipelines.launch import launcher
from tests import reaper
from tests.models.cases import corpus, make_task, write_features
from tests.models.processes import run_ranks
from tests.pipelines import faulty

pytestmark = pytest.mark.submit
ROWS = corpus(64)
OPTIONS = {"hidden": [16], "dropout": 0.5}


def task_of(folder: Path, rows: Any = ROWS, **train: Any) -> Task:
    settings = {"epochs": 4, "patience": 0, "ranks": 2, "checkpoint_steps": 4, "timeout_s": 60.0}
    return dataclasses.replace(make_task(folder, rows, options=OPTIONS, train=settings | train), progress=True)


def weights_of(task: Task) -> bytes:
    return (Path(task.folder) / weights.FILE).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """What two ranks make that nobody launches or disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    task = dataclasses.replace(task_of(folder), progress=False)
    statuses, errors = run_ranks(folder, [[task], [task]])
    assert statuses == [0, 0], errors
    return task


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Chooses the fault of one rank, at one of its steps."""
    cloudpickle.register_pickle_by_value(faulty)

    def inject(name: str, *, rank: int = 1, step: int = 6) -> None:
        monkeypatch.setattr(launcher, "fit", functools.partial(faulty.fit, fault=name, rank=rank, step=step))

    yield inject
    cloudpickle.unregister_pickle_by_value(faulty)
    assert_no_ranks()


def launched_processes(argument: str = "") -> list[psutil.Process]:
    """The processes of this session's launches whose command contains `argument`, orphans among them."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it ends while we look
            command = " ".join(process.cmdline())  # read once: a process that has ended has none
            ours = command.endswith("/train.py") and process.environ().items() >= reaper.mark().items()
            processes += [process] if ours and argument in command else []
    return processes


def ranks() -> list[psutil.Process]:
    """The processes that train: neither TorchDistributor's wrappers nor torchrun."""
    return launched_processes(" -u ")


def assert_no_ranks() -> None:
    deadline = time.monotonic() + 40
    while left := launched_processes():
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_the_same_exception_at_the_same_step_ends_the_run(
    spark: SparkSession, tmp_path: Path, fault: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fault lies before the first checkpoint, so that the second launch reaches it again."""
    fault("raise", step=3)
    task = task_of(tmp_path)
    with pytest.raises(RankFailure) as failure:
        launcher.launch(spark, task)
    assert str(failure.value).startswith("rank 1 failed at step 2:\nTraceback (most recent call last):")
    assert "train_faultily" in str(failure.value)
    assert str(failure.value).strip().endswith("OSError: the disk is gone")
    output = capsys.readouterr().err
    assert output.count("launching again from step 0") == 1
    assert "[rank1]: Traceback" in output
    assert not (Path(task.folder) / weights.FILE).exists()


@pytest.mark.faults
def test_a_users_mistake_is_not_launched_again(
    spark: SparkSession, tmp_path: Path, fault: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fault("mistake")
    with pytest.raises(RankFailure, match=r"(?s)rank 1 failed at step 5.*ValueError: train\.nothing is wrong"):
        launcher.launch(spark, task_of(tmp_path))
    assert "launching again" not in capsys.readouterr().err


@pytest.mark.faults
def test_no_more_launches_than_max_failures_allows(spark: SparkSession, tmp_path: Path, fault: Any) -> None:
    fault("raise")  # at the sixth step of each launch, so at another step each time
    with pytest.raises(RankFailure, match="rank 1 failed at step 9"):
        launcher.launch(spark, task_of(tmp_path, max_failures=1))


@pytest.mark.faults
def test_different_weights_on_two_ranks_are_a_failure(spark: SparkSession, tmp_path: Path, fault: Any) -> None:
    fault("change", step=3)
    with pytest.raises(RankFailure, match="the ranks ended after different steps or with different weights"):
        launcher.launch(spark, task_of(tmp_path, max_failures=0, epochs=2))


@pytest.mark.parametrize(
    ("kind", "ranks"),
    [("hang", 2), pytest.param("stop", 2, marks=pytest.mark.faults), pytest.param("stop", 1, marks=pytest.mark.faults)],
)
def test_a_rank_that_hangs_ends_in_failure(
    spark: SparkSession, tmp_path: Path, fault: Any, kind: str, ranks: int
) -> None:
    fault(kind, rank=ranks - 1)
    began = time.monotonic()
    with pytest.raises(RankFailure) as failure:
        launcher.launch(spark, task_of(tmp_path, max_failures=0, timeout_s=15.0, ranks=ranks))
    assert time.monotonic() - began < 180
    if kind == "hang":
        assert "meet" in str(failure.value)
        assert "train.timeout_s=15 seconds" in str(failure.value)


def test_output_of_ranks_that_is_no_text_does_no_harm(
    spark: SparkSession, tmp_path: Path, fault: Any, undisturbed: Task, capsys: pytest.CaptureFixture[str]
) -> None:
    fault("noise")
    task = task_of(tmp_path)
    assert launcher.launch(spark, task).failures == 0
    assert weights_of(task) == weights_of(undisturbed)
    output = capsys.readouterr().err
    assert "[rank 1] \\xff\\xfe not UTF-8 \\xc3" in output
    assert "lines left out" in output


def kill_a_rank(seed: int, task: Task, killed: list[int]) -> None:
    """SIGKILL one of the ranks at a random moment within six seconds of their start."""
    draw = random.Random(seed)  # noqa: S311
    while len(started := ranks()) < task.train.ranks:
        time.sleep(0.02)
    time.sleep(draw.uniform(0, 6))
    victim = draw.choice(started)
    with suppress(psutil.NoSuchProcess):  # it has ended by itself
        victim.kill()
        killed.append(victim.pid)


def kill_and_compare(spark: SparkSession, tmp_path: Path, undisturbed: Task, seed: int, fault: Any) -> None:
    fault("slow", rank=0)  # so that training takes longer than the seconds in which the rank may be killed
    task, killed = task_of(tmp_path), list[int]()
    killer = threading.Thread(target=kill_a_rank, args=(seed, task, killed))
    killer.start()
    result = launcher.launch(spark, task)
    killer.join()
    assert weights_of(task) == weights_of(undisturbed)
    assert result.failures in (0, len(killed))  # none if the rank had finished before it was killed
    np.testing.assert_array_equal(history.read(task.folder)["loss"], history.read(undisturbed.folder)["loss"])


@pytest.mark.faults
def test_a_wrapper_that_is_killed_leaves_no_process(
    spark: SparkSession, tmp_path: Path, fault: Any, undisturbed: Task
) -> None:
    """TorchDistributor's own process above torchrun, without which the ranks would continue."""
    fault("slow", rank=0)
    task = task_of(tmp_path)

    def kill() -> None:
        while len(ranks()) < 2:
            time.sleep(0.05)
        time.sleep(3)
        launched_processes("torch_run_process_wrapper")[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    assert launcher.launch(spark, task).failures == 1
    killer.join()
    assert weights_of(task) == weights_of(undisturbed)


def test_a_killed_rank_changes_no_weight(spark: SparkSession, tmp_path: Path, fault: Any, undisturbed: Task) -> None:
    kill_and_compare(spark, tmp_path, undisturbed, 0, fault)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(1, 20))
def test_ranks_killed_at_random_moments_change_no_weight(
    spark: SparkSession, tmp_path: Path, fault: Any, undisturbed: Task, seed: int
) -> None:
    kill_and_compare(spark, tmp_path, undisturbed, seed, fault)


@pytest.mark.faults
@pytest.mark.parametrize("count", [7, 1])
def test_a_table_whose_batches_do_not_fill_all_ranks_is_trained(
    spark: SparkSession, tmp_path: Path, count: int
) -> None:
    """One file for two ranks; one of them has no row of the last batch. There is no validation split."""
    task = task_of(tmp_path, corpus(count), batch=2, checkpoint_steps=0)
    task = dataclasses.replace(task, validation_share=0.0)
    figures = launcher.launch(spark, task).figures
    assert (figures.steps, figures.documents, figures.validation) == (4 * -(-count // 2), count, None)


@pytest.mark.faults
def test_an_empty_train_split_is_a_users_mistake(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = task_of(tmp_path, [row | {"split": "validation"} for row in corpus(8)])
    with pytest.raises(RankFailure, match="ValueError: the train split holds no labelled document") as failure:
        launcher.launch(spark, task)
    assert failure.value.mistake
    assert "launching again" not in capsys.readouterr().err


@pytest.mark.faults
def test_a_file_that_breaks_is_told_of(spark: SparkSession, tmp_path: Path) -> None:
    task = task_of(tmp_path, max_failures=0)
    path = Path(task.files[0])
    content = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(0).column(6)  # terms: the index does not read them
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)
    with pytest.raises(RankFailure, match=r"(?s)rank \d failed at step 0:\nTraceback"):
        launcher.launch(spark, task)
    assert checkpoint.last_step(task.folder) == 0
    write_features(path, ROWS)
