"""Each rank records how it ended, and the records decide whether a launch succeeded."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.ranks import exit_records
from models.ranks.exit_records import DoneRecord, FailedRecord, RankFailure


def finish(folder: Path, monkeypatch: pytest.MonkeyPatch, rank: int, *, step: int = 3, weights: str = "w") -> None:
    monkeypatch.setenv("RANK", str(rank))
    with exit_records.record_exit(str(folder)) as status:
        status.step, status.weights = step, weights


def test_finished_ranks_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(3):
        finish(tmp_path, monkeypatch, rank)
    exit_records.check_all_finished(str(tmp_path), ranks=3)
    assert [record.rank for record in exit_records.done_records(str(tmp_path))] == [0, 1, 2]


def test_a_rank_without_a_record_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RankFailure, match=r"^ranks \[0, 1, 2\] of 3 ended without leaving a record$"):
        exit_records.check_all_finished(str(tmp_path), ranks=3)
    finish(tmp_path, monkeypatch, 1)
    with pytest.raises(RankFailure, match=r"^ranks \[0, 2\] of 3 ended without leaving a record$"):
        exit_records.check_all_finished(str(tmp_path), ranks=3)


@pytest.mark.parametrize("other", [{"step": 4}, {"weights": "v"}], ids=str)
def test_ranks_that_disagree_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    finish(tmp_path, monkeypatch, 0)
    finish(tmp_path, monkeypatch, 1, **other)
    with pytest.raises(RankFailure, match="different"):
        exit_records.check_all_finished(str(tmp_path), ranks=2)


@pytest.mark.parametrize("kind", [RuntimeError, ValueError, KeyboardInterrupt, SystemExit])
def test_every_exception_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    monkeypatch.setenv("RANK", "2")

    def fail() -> None:
        with exit_records.record_exit(str(tmp_path)) as status:
            status.step = 7
            raise kind("no more")

    with pytest.raises(kind, match="no more"):
        fail()
    (record,) = exit_records.failed_records(str(tmp_path))
    assert (record.rank, record.step, record.cause) == (2, 7, f"{kind.__name__}: no more")
    assert record.mistake == (kind is ValueError)
    assert record.traceback.startswith("Traceback (most recent call last)")
    assert f"{kind.__name__}: no more" in record.traceback
    assert [path.name for path in (tmp_path / "ranks").iterdir()] == ["failed-2.json"]


def test_the_first_failure_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = FailedRecord(0, 20.0, 5, cause="", mistake=False, traceback="its consequence")
    first = FailedRecord(1, 10.0, 5, cause="Oh: no", mistake=True, traceback="the cause")
    for record in (later, first):
        exit_records.write_record(str(tmp_path), record)
    finish(tmp_path, monkeypatch, 2)
    with pytest.raises(RankFailure, match=r"^rank 1 failed at step 5:\nthe cause$") as failure:
        exit_records.check_all_finished(str(tmp_path), ranks=3)
    assert (failure.value.step, failure.value.cause, failure.value.mistake) == (5, "Oh: no", True)


def test_records_of_an_earlier_launch_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(tmp_path, monkeypatch, 0)
    exit_records.write_record(str(tmp_path), FailedRecord(1, 1.0, 2, "", False, "text"))
    exit_records.clear(str(tmp_path))
    exit_records.clear(str(tmp_path))
    assert not exit_records.done_records(str(tmp_path))
    assert not exit_records.failed_records(str(tmp_path))


def test_records_have_the_fields_that_other_versions_read(tmp_path: Path) -> None:
    exit_records.write_record(str(tmp_path), DoneRecord(0, 1.5, 7, "ab"))
    exit_records.write_record(str(tmp_path), FailedRecord(1, 2.5, 7, "E: x", True, "text"))
    done, failed = (json.loads((tmp_path / "ranks" / f"{name}.json").read_text()) for name in ("done-0", "failed-1"))
    assert done == {"rank": 0, "time": 1.5, "step": 7, "weights": "ab"}
    assert failed == {"rank": 1, "time": 2.5, "step": 7, "cause": "E: x", "mistake": True, "traceback": "text"}


def test_failures_repeat_if_exception_and_step_are_the_same() -> None:
    first = RankFailure("m", step=3, cause="OSError: x")
    assert RankFailure("n", step=3, cause="OSError: x").repeats(first)
    for other in (
        RankFailure("m", step=4, cause="OSError: x"),
        RankFailure("m", step=3, cause="OSError: y"),
        RankFailure("m", step=3),
    ):
        assert not other.repeats(first)
    assert not RankFailure("m", step=3).repeats(RankFailure("m", step=3)), "lost, not failed"
    assert not first.repeats(None)
