"""A stopped run goes on as if it had not stopped; any number of ranks computes the same."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundles import weights
from models.ranks import exit_records
from models.training import checkpoint, history, loop
from models.training.loop import fit
from models.training.task import Task
from tests.models.cases import corpus, make_task
from tests.models.processes import run_ranks

DROPOUT = {"hidden": [16, 8], "dropout": 0.5}
STEPS = 7  # of 51 documents in batches of 8
ROWS = corpus(64)  # of which 13 are for validation


@pytest.fixture(autouse=True)
def single_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def task_of(folder: Path, *, options: dict[str, Any] = DROPOUT, **train: Any) -> Task:
    settings = {"epochs": 4, "refit": True, "label_smoothing": 0.1, "patience": 0, "timeout_s": 60.0}
    return make_task(folder, ROWS, files=2, options=options, train=settings | train)


def losses(task: Task) -> Any:
    return history.read(task.folder)["loss"].to_numpy()


def weights_of(task: Task) -> bytes:
    return (Path(task.folder) / weights.FILE).read_bytes()


def stop_at(monkeypatch: pytest.MonkeyPatch, task: Task, step: int) -> None:
    """Train, but stop before this step."""
    train_step, left = loop.train_step, [step]

    def limited(*values: Any) -> float:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return train_step(*values)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", limited)
        with pytest.raises(KeyboardInterrupt):
            fit(task)


@pytest.mark.parametrize(
    "settings", [{}, {"optimizer": "sgd", "lr": 0.1, "schedule": "plateau", "cache_gb": 0.0}], ids=str
)
def test_a_stopped_run_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    undisturbed = task_of(tmp_path / "undisturbed", **settings)
    figures = fit(undisturbed)
    assert figures.steps > 5 * STEPS
    for stop in (2, 6, STEPS + 1, 2 * STEPS + 3, figures.steps - 2, figures.steps):
        task = task_of(tmp_path / str(stop), checkpoint_steps=3, **settings)
        stop_at(monkeypatch, task, stop)
        assert checkpoint.last_step(task.folder) == (stop - 1) // 3 * 3
        again = fit(task)
        assert again.resumed_at == (stop - 1) // 3 * 3
        assert weights_of(task) == weights_of(undisturbed), stop
        assert losses(task).tolist() == losses(undisturbed).tolist()
        same = ("steps", "epochs", "loss", "validation", "documents")
        assert [getattr(again, name) for name in same] == [getattr(figures, name) for name in same]


def test_early_stopping_survives_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"epochs": 40, "lr": 0.05, "patience": 2, "schedule": "constant", "refit": False}
    undisturbed = task_of(tmp_path / "undisturbed", **settings)
    figures = fit(undisturbed)
    assert figures.steps < 40 * STEPS
    task = task_of(tmp_path / "stopped", checkpoint_steps=1, **settings)
    stop_at(monkeypatch, task, figures.steps - 3)
    assert fit(task).epochs == figures.epochs
    assert weights_of(task) == weights_of(undisturbed)


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = task_of(tmp_path / "undisturbed")
    fit(undisturbed)
    task = task_of(tmp_path / "damaged", checkpoint_steps=4)
    stop_at(monkeypatch, task, 15)
    folder = Path(task.folder) / checkpoint.FOLDER
    older, newer = sorted(folder.iterdir())
    assert [path.name[:17] for path in (older, newer)] == ["step-000000000008", "step-000000000012"]
    content = newer.read_bytes()
    newer.write_bytes(content[: len(content) // 2])
    intact = checkpoint.newest(task.folder)
    assert intact
    assert intact.state.steps == 8
    older.write_bytes(b"")
    changed = bytearray(content)
    changed[-1] ^= 1
    newer.write_bytes(changed)
    assert checkpoint.newest(task.folder) is None
    assert fit(task).resumed_at == 0
    assert weights_of(task) == weights_of(undisturbed)


@pytest.fixture(scope="module")
def by_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[float, int], Task]:
    """Four shards, with dropout and without, on one, two and four ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    tasks = {
        (dropout, ranks): task_of(
            folder / f"{dropout}-{ranks}", options=DROPOUT | {"dropout": dropout}, ranks=ranks, shards=4
        )
        for dropout in (0.5, 0.0)
        for ranks in (1, 2, 4)
    }
    for dropout in (0.5, 0.0):
        fit(tasks[dropout, 1])
    for ranks in (2, 4):
        chosen = [task for (_, number), task in tasks.items() if number == ranks]
        codes, errors = run_ranks(folder, [chosen] * ranks)
        assert not any(codes), errors
    return tasks


@pytest.mark.parametrize("dropout", [0.5, 0.0])
def test_losses_are_the_same_step_by_step_for_any_number_of_ranks(
    by_ranks: dict[tuple[float, int], Task], dropout: float
) -> None:
    one, two, four = (losses(by_ranks[dropout, ranks]) for ranks in (1, 2, 4))
    assert len(one) > 5 * STEPS
    np.testing.assert_allclose(two, one, rtol=1e-5)
    np.testing.assert_allclose(four, one, rtol=1e-5)
    assert np.ptp(one) > 0.1, "nothing was learnt"


def test_dropout_differs_from_shard_to_shard_and_step_to_step(by_ranks: dict[tuple[float, int], Task]) -> None:
    with_dropout, without = (losses(by_ranks[dropout, 1]) for dropout in (0.5, 0.0))
    assert (np.abs(with_dropout - without) > 1e-4).mean() > 0.9


@pytest.mark.parametrize("then", [2, 1])
def test_two_ranks_that_stopped_go_on_as_two_or_as_one(
    tmp_path: Path, by_ranks: dict[tuple[float, int], Task], then: int
) -> None:
    undisturbed = by_ranks[0.5, 2]
    first = task_of(tmp_path, ranks=2, shards=4, checkpoint_steps=5)
    codes, errors = run_ranks(tmp_path, [[first], [first]], steps=2 * STEPS)
    assert all("stopped" in error for error in errors), errors
    assert checkpoint.last_step(first.folder) == 10
    exit_records.clear(first.folder)
    rest = dataclasses.replace(first, train=dataclasses.replace(first.train, ranks=then))
    codes, errors = run_ranks(tmp_path, [[rest]] * then)
    assert not any(codes), errors
    np.testing.assert_allclose(losses(rest), losses(undisturbed), rtol=1e-5)
    assert (weights_of(rest) == weights_of(undisturbed)) or then == 1
    exit_records.check_all_finished(rest.folder, ranks=then)


def test_ranks_that_see_different_checkpoints_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [task_of(tmp_path / name, ranks=2, checkpoint_steps=5) for name in ("one", "other")]
    stop_at(monkeypatch, dataclasses.replace(tasks[0], train=dataclasses.replace(tasks[0].train, ranks=1, shards=2)), 9)
    codes, errors = run_ranks(tmp_path, [[task] for task in tasks])
    assert all(codes)
    assert all("the ranks found different checkpoints" in error for error in errors), errors
