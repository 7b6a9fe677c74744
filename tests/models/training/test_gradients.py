"""Sparse gradients sum to the dense ones."""

import torch

from models.bundles import architecture
from models.dataset.inputs import Bags, Inputs
from models.ranks.process_group import ProcessGroup
from models.training.gradients import GradientReducer
from tests.models.cases import TERMS


def gradients_after_two_steps(*, sparse: bool) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = architecture.build("mlp", {"hidden": [8], "dropout": 0.0}, terms=TERMS, classes=3)
    reducer = GradientReducer(model, ProcessGroup(0, 1), sparse=sparse)
    for seed in (0, 1):  # the second step must not see the first one's rows
        torch.manual_seed(seed)
        reducer.clear()
        for _ in range(2):
            indices = torch.randint(0, TERMS // (1 + seed), (9,))
            outputs = model(Inputs(Bags(indices, torch.tensor([0, 4, 4]), torch.rand(9))))
            outputs.square().sum().backward()
            reducer.collect()
        assert reducer.reduce(torch.tensor(3.5)) == 3.5
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_sparse_gradients_equal_the_dense_ones() -> None:
    sparse, dense = gradients_after_two_steps(sparse=True), gradients_after_two_steps(sparse=False)
    assert sparse.keys() == dense.keys()
    assert len(sparse) == 4
    for name, gradient in dense.items():
        torch.testing.assert_close(sparse[name], gradient)
