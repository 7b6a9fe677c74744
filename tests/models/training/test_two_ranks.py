"""Two real processes learn what one learns, and a rank that fails says why."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from models.bundles import weights
from models.dataset import vocabulary
from models.ranks import exit_records
from models.ranks.exit_records import RankFailure
from models.training.loop import fit
from models.training.task import Task
from tests.models.cases import corpus, make_task
from tests.models.processes import run_ranks

MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # 25 documents in batches of 8: the second rank has none of the last batch
    "mlp": ({"hidden": [16, 8], "dropout": 0.0}, {"clip": 0.5, "label_smoothing": 0.1}),
    "logistic": ({}, {"optimizer": "sgd", "lr": 0.5, "weight_decay": 0.001}),
    "linear": ({}, {"optimizer": "sgd", "lr": 0.1, "loss": "mse", "l1": 0.001}),
}


@dataclasses.dataclass
class Ended:
    """The tasks of two processes by name, and each process's exit status and standard error."""

    tasks: dict[str, Task]
    codes: list[int]
    errors: list[str]


def task_of(folder: Path, name: str, **more: Any) -> Task:
    options, train = MODELS[name]
    rows = [row | {"target": 3.0 + sum(row["counts"])} for row in corpus(25)]
    return make_task(folder, rows, files=2, model=name, options=options, train=train | more.pop("train", {}), **more)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Two ranks train each model, one of them without validation; in the last task the second rank fails."""
    folder = tmp_path_factory.mktemp("ranks")
    pair = {"ranks": 2, "timeout_s": 60.0}
    tasks = {
        "mlp": task_of(folder / "mlp", "mlp", train=pair, validation_share=0.0),
        "logistic": task_of(folder / "logistic", "logistic", train=pair),
        "linear": task_of(folder / "linear", "linear", train=pair),
        "failing": task_of(folder / "failing", "mlp", train=pair),
    }
    other = tasks | {"failing": dataclasses.replace(tasks["failing"], labels=["air"])}
    return Ended(tasks, *run_ranks(folder, [list(tasks.values()), list(other.values())]))


@pytest.mark.parametrize("name", MODELS)
def test_two_ranks_end_with_the_weights_of_one(
    name: str, ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    pair = ended.tasks[name]
    exit_records.check_all_finished(pair.folder, ranks=2)
    one = dataclasses.replace(pair, folder=str(tmp_path), train=dataclasses.replace(pair.train, ranks=1))
    (tmp_path / vocabulary.FILE).write_bytes((Path(pair.folder) / vocabulary.FILE).read_bytes())
    figures = fit(one)
    expected, actual = (load_file(Path(task.folder) / weights.FILE) for task in (one, pair))
    assert expected.keys() == actual.keys()
    for tensor_name, tensor in expected.items():
        assert (tensor - actual[tensor_name]).abs().max() <= 1e-5, tensor_name
        assert tensor.abs().max() > 1e-3, f"{tensor_name} has not moved"
    assert {record.step for record in exit_records.done_records(pair.folder)} == {figures.steps}


@pytest.mark.parametrize("name", MODELS)
def test_both_ranks_record_equal_weights(name: str, ended: Ended) -> None:
    first, second = exit_records.done_records(ended.tasks[name].folder)
    assert {first.rank, second.rank} == {0, 1}
    assert first.step == second.step > 0
    assert first.weights == second.weights
    assert len(first.weights) == 64
    assert not exit_records.failed_records(ended.tasks[name].folder)


def test_a_failing_rank_leaves_its_traceback(ended: Ended) -> None:
    folder = ended.tasks["failing"].folder
    record = json.loads(Path(folder, "ranks", "failed-1.json").read_text())
    assert record["rank"] == 1
    assert record["step"] == 0
    assert "Traceback (most recent call last)" in record["traceback"]
    assert "ValueError: a train document has the label" in record["traceback"]
    with pytest.raises(RankFailure, match=r"(?s)^rank 1 failed at step 0:\n.*a train document has the label"):
        exit_records.check_all_finished(folder, ranks=2)
    assert not (Path(folder) / weights.FILE).exists()
    assert all(ended.codes), ended.errors
