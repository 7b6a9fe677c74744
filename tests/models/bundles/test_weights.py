"""The digest of a model's weights."""

import torch
from torch import nn

from models.bundles import weights


def test_the_digest_depends_on_every_bit_and_every_name() -> None:
    model = nn.Linear(3, 2)
    first = weights.digest(model)
    assert weights.digest(model) == first
    assert len(first) == 64
    model.bias.data[1] = model.bias.data[1].nextafter(torch.tensor(9.0))
    second = weights.digest(model)
    assert second != first
    assert weights.digest(nn.Sequential(model)) != second
