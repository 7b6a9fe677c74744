"""Multinomial logistic regression on sparse features.

Dimensions: B documents, N terms in all of them together, C classes.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Options:
    """Logistic regression has no settings of its own."""


class Model(nn.Module):
    """logits = x W + b, reading only the rows of W whose terms occur."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        """Start at zero: the problem is convex, and every start but this one favours some class."""
        super().__init__()
        self.table = nn.EmbeddingBag(terms, classes, mode="sum")
        self.bias = nn.Parameter(nn.init.zeros_(self.table.weight.new_empty(classes)))
        nn.init.zeros_(self.table.weight)

    def forward(self, indices_N: Tensor, offsets_B: Tensor, weights_N: Tensor) -> Tensor:
        """logits_BC; `offsets_B` says where each document starts in `indices_N` and `weights_N`."""
        logits_BC: Tensor = self.table(indices_N, offsets_B, per_sample_weights=weights_N) + self.bias
        return logits_BC
