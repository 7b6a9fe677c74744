"""The history has a row for each step, also in TensorBoard's event files."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.training import history
from models.training.history import History
from models.training.loop import fit
from tests.models.cases import corpus, make_task

STEPS = 18  # 3 epochs of 48 documents in batches of 8


def test_each_step_of_a_training_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    train = {"epochs": 3, "schedule": "linear", "tensorboard": True}
    task = make_task(tmp_path, corpus(48), validation_share=0.0, train=train)
    fit(task)
    table = history.read(task.folder)
    assert table.column_names == ["step", *history.COLUMNS]
    assert table["step"].to_pylist() == list(range(1, STEPS + 1))
    assert table["learning_rate"].to_pylist() == pytest.approx([0.01 * (1 - step / STEPS) for step in range(STEPS)])
    assert min(table["documents_per_second"].to_pylist()) > 0
    assert min(table["memory_mb"].to_pylist()) > 50
    events = EventAccumulator(str(Path(task.folder) / history.EVENTS))
    events.Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    assert losses == pytest.approx(table["loss"].to_pylist(), rel=1e-6)


def test_a_history_survives_a_checkpoint() -> None:
    first = History()
    for step in range(3):
        first.add(memory_mb=50.0 + step, loss=1 / (step + 1), learning_rate=0.1, documents_per_second=10.0)
    assert History(first.tensor()).table().equals(first.table())
    assert first.table()["loss"].to_pylist() == [1, 1 / 2, 1 / 3]
    assert History().table().num_rows == 0
