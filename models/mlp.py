"""Multilayer perceptron on TF-IDF.

Dimensions: B documents, H the width of the first layer, C classes.
"""
# ruff: noqa: N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

from torch import Tensor, nn

from models.dataset.inputs import Inputs
from models.options.checks import check
from models.options.fields import setting

READS = ("bags",)
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `mlp`."""

    hidden: list[int] = setting([256], "Width of each hidden layer, the first one first.")
    activation: str = setting("relu", "Activation of the hidden layers: relu, tanh, sigmoid or gelu.")
    dropout: float = setting(0.5, "Share of the hidden layers' outputs that training drops.")

    def __post_init__(self) -> None:
        check("model", self, shares=["dropout"])
        if not 1 <= len(self.hidden) <= 16 or min(self.hidden) < 1:
            raise ValueError(f"model.hidden must hold 1 to 16 widths above 0, not {self.hidden}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"model.activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation}")


class Model(nn.Module):
    """A sparse first layer, which reads only the rows of terms that occur, then dense layers."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        first, *widths = options.hidden
        self.table = nn.EmbeddingBag(terms, first, mode="sum")
        self.bias = nn.Parameter(nn.init.zeros_(self.table.weight.new_empty(first)))
        # torch's default N(0, 1) is meant for word vectors. A document's weights have length 1 (l2), so a standard
        # deviation of 0.01 gives the hidden layer a scale that fits the learning rates of the dense layers.
        nn.init.normal_(self.table.weight, std=0.01)
        activation = ACTIVATIONS[options.activation]
        layers: list[nn.Module] = []
        for width in [*widths, classes]:
            layers += [activation(), nn.Dropout(options.dropout), nn.Linear(first, width)]
            first = width
        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.bags
        bags = inputs.bags
        first_BH = self.table(bags.indices_N, bags.offsets_B, per_sample_weights=bags.weights_N) + self.bias
        logits_BC: Tensor = self.layers(first_BH)
        return logits_BC
