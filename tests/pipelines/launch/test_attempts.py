"""When ranks are launched again, and when not; the launches themselves are scripted, test_launcher.py has real ones."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.ranks.exit_records import DoneRecord, FailedRecord, RankFailure, failed_records, write_record
from models.training.loop import fit
from models.training.task import Task
from pipelines.launch import launcher
from tests.models.cases import corpus, make_task

Attempt = Callable[[Task], Any]
FIGURES = SimpleNamespace(seconds=0.0)


def finished(*weights: str, steps: Sequence[int] = (9, 9)) -> Attempt:
    """A launch whose ranks end with such weights, after such steps."""

    def attempt(task: Task) -> Any:
        for rank, digest in enumerate(weights):
            write_record(task.exit_folder, DoneRecord(rank, time.time(), steps[rank], digest))
        return FIGURES

    return attempt


def failed(step: int, cause: str = "OSError: the disk is gone", *, mistake: bool = False) -> Attempt:
    """A launch whose second rank fails, which Spark reports as a failed job."""

    def attempt(task: Task) -> Any:
        write_record(task.exit_folder, FailedRecord(1, time.time(), step, cause, mistake, f"Traceback\n{cause}"))
        raise RuntimeError("Job aborted due to stage failure")

    return attempt


def lost(_: Task) -> Any:
    """A launch that ends with its executor."""
    raise RuntimeError("Job aborted due to stage failure: ExecutorLostFailure")


@pytest.fixture
def launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., launcher.LaunchResult]:
    """Launches two ranks as often as the launcher wants, each time as the next attempt says; all must be used up."""

    def launched(*attempts: Attempt, max_failures: int = 3) -> launcher.LaunchResult:
        remaining = list(attempts)
        distributor = SimpleNamespace(run=lambda _, task: remaining.pop(0)(task))
        monkeypatch.setattr(launcher, "TorchDistributor", lambda **_: distributor)
        monkeypatch.setattr(launcher, "_await_slots", lambda *_: None)
        monkeypatch.setattr(launcher, "_cancel_when_silent", lambda *_: nullcontext())
        task = make_task(tmp_path, corpus(9), train={"ranks": 2, "max_failures": max_failures})
        try:
            return launcher.launch(None, task)  # type: ignore[arg-type]
        finally:
            assert not remaining, "there were fewer launches"

    return launched


Launch = Callable[..., launcher.LaunchResult]


def test_ranks_that_agree_are_believed(launch: Launch) -> None:
    assert launch(finished("a", "a")).failures == 0


@pytest.mark.parametrize("attempt", [finished("a", "b"), finished("a", "a", steps=(9, 8))], ids=["weights", "steps"])
def test_ranks_that_differ_are_a_failure(launch: Launch, attempt: Attempt) -> None:
    """Spark reports success."""
    with pytest.raises(RankFailure, match="the ranks ended after different steps or with different weights"):
        launch(attempt, max_failures=0)


@pytest.mark.parametrize("attempt", [lost, finished("a")], ids=["executor", "rank"])
def test_a_rank_without_a_record_is_a_failure_whatever_spark_says(launch: Launch, attempt: Attempt) -> None:
    with pytest.raises(RankFailure, match=r"^ranks \[(0, )?1\] of 2 ended without leaving a record$"):
        launch(attempt, max_failures=0)
    assert launch(attempt, finished("a", "a")).failures == 1


def test_a_launch_that_fails_although_all_ranks_finished_is_a_failure(launch: Launch) -> None:
    def attempt(task: Task) -> Any:
        finished("a", "a")(task)
        raise RuntimeError("Job aborted due to stage failure")

    with pytest.raises(RankFailure, match=r"^the launch failed: Job aborted"):
        launch(attempt, max_failures=0)


def test_ranks_are_launched_again_after_any_other_failure(launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    result = launch(failed(3), lost, failed(3), finished("a", "a"))
    assert result.failures == 3
    assert capsys.readouterr().err.count("launching again from step 0") == 3


def test_no_more_failures_than_max_failures(launch: Launch) -> None:
    with pytest.raises(RankFailure, match=r"^rank 1 failed at step 4:\nTraceback\nOSError: the disk is gone$"):
        launch(failed(3), failed(4), max_failures=1)


def test_the_same_failure_twice_is_the_last(launch: Launch) -> None:
    with pytest.raises(RankFailure, match=r"^rank 1 failed at step 3:"):
        launch(failed(3), failed(3))
    with pytest.raises(RankFailure, match=r"OSError: another"):
        launch(failed(3), failed(3, "OSError: another"), failed(3, "OSError: another"))


def test_a_users_mistake_is_not_launched_again(launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RankFailure) as failure:
        launch(failed(0, "ValueError: train.nothing is wrong", mistake=True))
    assert failure.value.mistake
    assert "launching again" not in capsys.readouterr().err


def test_an_empty_train_split_is_a_users_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    task = make_task(tmp_path, [row | {"split": "validation"} for row in corpus(8)])
    task = dataclasses.replace(task, attempt="first")
    with pytest.raises(ValueError, match="the train split holds no labelled document"):
        fit(task)
    (record,) = failed_records(task.exit_folder)
    assert record.mistake
    assert record.cause.startswith("ValueError: the train split holds no labelled document")
