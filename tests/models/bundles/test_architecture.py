"""Architectures are found by name, and refuse settings that they cannot have."""

import math
from typing import Any

import pytest
import torch

from models.bundles import architecture
from models.dataset.inputs import InputSpec
from tests.models.cases import MODELS


@pytest.mark.parametrize("name", ["../evil", "/evil", "training.loop", "os.path", "", "absent", "a b", "mlp.py"])
def test_an_unknown_architecture_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="model"):
        architecture.build(name, {}, terms=2, classes=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": []},
        {"hidden": [0]},
        {"hidden": [2.5]},
        {"hidden": 3},
        {"hidden": [True]},
        {"hidden": [2] * 17},
        {"activation": "relu6"},
        {"dropout": 1.0},
        {"dropout": math.nan},
        {"dropout": "0.5"},
        {"width": 3},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"model.{next(iter(wrong))}"):
        architecture.build("mlp", wrong, terms=2, classes=2)


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    parsed = architecture.parse_options(architecture.find_module("mlp").Options, {"dropout": 0}, section="model")
    assert parsed.dropout == 0


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mlp", {}, InputSpec(bags=True, length=0)),
        ("textcnn", {"length": 7}, InputSpec(bags=False, length=7)),
        ("hybrid", {"length": 9}, InputSpec(bags=True, length=9)),
        ("imagecnn", {"height": 8, "width": 4}, InputSpec(bags=False, length=0, image=(8, 4, 1))),
    ],
)
def test_the_input_spec_follows_from_reads_and_options(name: str, options: dict[str, Any], expected: InputSpec) -> None:
    assert architecture.input_spec(name, options) == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_model_without_memory_has_the_shapes_of_the_real_one(name: str) -> None:
    sketch = architecture.build_without_memory(name, {}, terms=11, classes=3).state_dict()
    real = architecture.build(name, {}, terms=11, classes=3).state_dict()
    assert {key: tensor.shape for key, tensor in sketch.items()} == {key: tensor.shape for key, tensor in real.items()}
    assert {tensor.device for tensor in sketch.values()} == {torch.device("meta")}


def test_sizes_that_no_machine_has_are_refused() -> None:
    with pytest.raises(ValueError, match="no possible model"):
        architecture.build_without_memory("mlp", {"hidden": [8, 2**70]}, terms=2, classes=2)
