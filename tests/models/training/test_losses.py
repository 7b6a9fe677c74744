"""Losses and class weights equal their formulas."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from models.dataset.inputs import Inputs
from models.dataset.micro_batches import MicroBatch
from models.training.losses import balanced_class_weights, summed_loss
from models.training.task import Options

OUTPUTS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]])


def batch_of(labels: list[int], targets: list[float] | None = None) -> MicroBatch:
    multi_hot = torch.nn.functional.one_hot(torch.tensor(labels), 3).bool()
    return MicroBatch(Inputs(), torch.tensor(labels), multi_hot, torch.tensor(targets or [0.0] * len(labels)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_equals_its_formula(smoothing: float) -> None:
    p = np.exp(OUTPUTS.numpy()) / np.exp(OUTPUTS.numpy()).sum(1, keepdims=True)
    target = np.array([[1, 0, 0], [0, 0, 1]]) * (1 - smoothing) + smoothing / 3
    loss = summed_loss(Options(label_smoothing=smoothing), OUTPUTS, batch_of([0, 2]))
    assert loss.item() == pytest.approx(-(target * np.log(p)).sum(), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_equals_its_formula(smoothing: float) -> None:
    p = 1 / (1 + np.exp(-OUTPUTS.numpy()))
    target = np.array([[1, 1, 0], [0, 0, 0]]) * (1 - smoothing) + smoothing / 2
    multi_hot = torch.tensor([[True, True, False], [False, False, False]])
    batch = dataclasses.replace(batch_of([0, 0]), multi_hot=multi_hot)
    loss = summed_loss(Options(loss="binary", label_smoothing=smoothing), OUTPUTS, batch)
    assert loss.item() == pytest.approx(-(target * np.log(p) + (1 - target) * np.log(1 - p)).sum(), rel=1e-5)


def test_squared_error_equals_its_formula() -> None:
    loss = summed_loss(Options(loss="mse"), torch.tensor([[1.0], [4.0]]), batch_of([0, 0], [2.0, 1.5]))
    assert loss.item() == pytest.approx(1 + 6.25)


def test_balanced_weights_equal_scikit_learns() -> None:
    labels = np.array([0, 0, 0, 0, 2, 2, 3])
    weights = balanced_class_weights(torch.from_numpy(labels), 4)
    # scikit-learn counts only the three classes that occur
    expected = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=labels) * 3 / 4
    assert weights[[0, 2, 3]].tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert weights[1] == 0


def test_a_document_counts_as_much_as_its_class() -> None:
    loss = summed_loss(Options(), OUTPUTS, batch_of([0, 2]), torch.tensor([2.0, 1.0, 0.5]))
    first, second = (
        summed_loss(Options(), OUTPUTS[row : row + 1], batch_of([label])).item() for row, label in ((0, 0), (1, 2))
    )
    assert loss.item() == pytest.approx(2 * first + 0.5 * second)
