"""Two real processes do what one does; a rank that fails, or vanishes, is heard of."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from models.bundles import weights
from models.dataset import vocabulary
from models.ranks import exit_records
from models.training.loop import fit
from models.training.task import Task
from tests.models.cases import corpus, make_task
from tests.models.processes import run_ranks

MODELS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # 25 documents in batches of 8: in the last batch the second rank has none
    "mlp": ({"hidden": [16, 8], "dropout": 0.0}, {"clip": 0.5, "label_smoothing": 0.1}),
    "logistic": ({}, {"optimizer": "sgd", "lr": 0.5, "weight_decay": 0.001}),
    "linear": ({}, {"optimizer": "sgd", "lr": 0.1, "loss": "mse", "l1": 0.001}),
}


@dataclasses.dataclass
class Ended:
    """What two processes left: the tasks by name, and each process's exit status and errors."""

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
    exit_records.check(pair.folder, ranks=2)
    one = dataclasses.replace(pair, folder=str(tmp_path), train=dataclasses.replace(pair.train, ranks=1))
    (tmp_path / vocabulary.FILE).write_bytes((Path(pair.folder) / vocabulary.FILE).read_bytes())
    result = fit(one)
    expected, found = (load_file(Path(task.folder) / weights.FILE) for task in (one, pair))
    assert expected.keys() == found.keys()
    for tensor_name, tensor in expected.items():
        assert (tensor - found[tensor_name]).abs().max() <= 1e-5, tensor_name
        assert tensor.abs().max() > 1e-3, f"{tensor_name} has not moved"
    assert {record["step"] for record in exit_records.found(pair.folder, "done")} == {result["steps"]}


@pytest.mark.parametrize("name", MODELS)
def test_the_ranks_proofs_agree(name: str, ended: Ended) -> None:
    first, second = exit_records.found(ended.tasks[name].folder, "done")
    assert {first["rank"], second["rank"]} == {0, 1}
    assert first["step"] == second["step"] > 0
    assert first["weights"] == second["weights"]
    assert len(first["weights"]) == 64
    assert not exit_records.found(ended.tasks[name].folder, "failed")


def test_a_failing_rank_leaves_its_traceback(ended: Ended) -> None:
    folder = ended.tasks["failing"].folder
    record = json.loads(Path(folder, "ranks", "failed-1.json").read_text())
    assert record["rank"] == 1
    assert record["step"] == 0
    assert "Traceback (most recent call last)" in record["traceback"]
    assert "ValueError: a train document has the label" in record["traceback"]
    with pytest.raises(RuntimeError, match=r"(?s)^rank 1 failed at step 0:\n.*a train document has the label"):
        exit_records.check(folder, ranks=2)
    assert not (Path(folder) / weights.FILE).exists()
    assert all(ended.codes), ended.errors


def leave(folder: Path, monkeypatch: pytest.MonkeyPatch, rank: int, *, step: int = 3, weights: str = "w") -> None:
    monkeypatch.setenv("RANK", str(rank))
    with exit_records.leave(str(folder)) as witness:
        witness.step, witness.weights = step, weights


def test_every_rank_that_finished_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in range(3):
        leave(tmp_path, monkeypatch, rank)
    exit_records.check(str(tmp_path), ranks=3)
    assert [record["rank"] for record in exit_records.found(str(tmp_path), "done")] == [0, 1, 2]


def test_a_rank_that_left_nothing_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"^ranks \[0, 1, 2\] of 3 ended without a word$"):
        exit_records.check(str(tmp_path), ranks=3)
    leave(tmp_path, monkeypatch, 1)
    with pytest.raises(RuntimeError, match=r"^ranks \[0, 2\] of 3 ended without a word$"):
        exit_records.check(str(tmp_path), ranks=3)


@pytest.mark.parametrize("other", [{"step": 4}, {"weights": "v"}], ids=str)
def test_ranks_that_disagree_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    leave(tmp_path, monkeypatch, 0)
    leave(tmp_path, monkeypatch, 1, **other)
    with pytest.raises(RuntimeError, match="different"):
        exit_records.check(str(tmp_path), ranks=2)


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_any_end_but_the_regular_one_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]
) -> None:
    monkeypatch.setenv("RANK", "2")

    def fail() -> None:
        with exit_records.leave(str(tmp_path)) as witness:
            witness.step = 7
            raise kind("no more")

    with pytest.raises(kind, match="no more"):
        fail()
    (record,) = exit_records.found(str(tmp_path), "failed")
    assert (record["rank"], record["step"]) == (2, 7)
    assert f"{kind.__name__}: no more" in record["traceback"]
    assert [path.name for path in (tmp_path / "ranks").iterdir()] == ["failed-2.json"]


def test_the_first_failure_is_raised_and_the_last_launch_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exit_records.record(str(tmp_path), "failed", 1, step=5, cause="Oh: no", mistake=False, traceback="the cause")
    exit_records.record(str(tmp_path), "failed", 0, step=5, cause="", mistake=False, traceback="its consequence")
    leave(tmp_path, monkeypatch, 2)
    with pytest.raises(RuntimeError, match=r"^rank 1 failed at step 5:\nthe cause$"):
        exit_records.check(str(tmp_path), ranks=3)
    exit_records.clear(str(tmp_path))
    exit_records.clear(str(tmp_path))
    assert not exit_records.found(str(tmp_path), "failed") + exit_records.found(str(tmp_path), "done")


def test_the_digest_sees_every_bit_and_every_name() -> None:
    model = nn.Linear(3, 2)
    first = exit_records.digest(model)
    assert exit_records.digest(model) == first
    model.bias.data[1] = model.bias.data[1].nextafter(torch.tensor(9.0))
    second = exit_records.digest(model)
    assert second != first
    assert exit_records.digest(nn.Sequential(model)) != second
