"""Multinomial logistic regression on TF-IDF.

Dimensions: B documents, C classes.
"""
# ruff: noqa: N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

from torch import Tensor, nn

from models.dataset.inputs import Inputs

READS = ("bags",)


@dataclass(frozen=True)
class Options:
    """Logistic regression has no `model.*` keys."""


class Model(nn.Module):
    """logits = x W + b; only the rows of W whose terms occur in the documents are read."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        """All weights start at zero: the problem is convex, and any other start favours some class."""
        super().__init__()
        self.table = nn.EmbeddingBag(terms, classes, mode="sum")
        self.bias = nn.Parameter(nn.init.zeros_(self.table.weight.new_empty(classes)))
        nn.init.zeros_(self.table.weight)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.bags
        bags = inputs.bags
        logits_BC: Tensor = self.table(bags.indices_N, bags.offsets_B, per_sample_weights=bags.weights_N) + self.bias
        return logits_BC
