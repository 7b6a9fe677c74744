"""Convolutions of several widths over word vectors, each pooled over time (Kim, EMNLP 2014).

Dimensions: B documents, T words of the longest document, E the width of the word vectors, F filters of all widths
together, C classes.
"""
# ruff: noqa: N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.dataset.inputs import Inputs
from models.options.checks import check
from models.options.fields import setting
from models.parts.layers import WordEmbedding, masked_max

READS = ("words",)


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `textcnn`."""

    length: int = setting(400, "Words of a document that are read, from its start.")
    embedding: int = setting(200, "Width of the word vectors.")
    widths: list[int] = setting([1, 3, 5], "Words that each kind of convolution sees at once, odd numbers.")
    filters: int = setting(200, "Convolution filters of each width.")
    dropout: float = setting(0.5, "Share of the pooled values that training drops.")
    word_dropout: float = setting(0.3, "Share of the words that training replaces with the unknown word.")

    def __post_init__(self) -> None:
        check("model", self, above_0=["length", "embedding", "filters"], shares=["dropout", "word_dropout"])
        check_widths(self.widths)


def check_widths(widths: list[int]) -> None:
    """Check that each width is odd, so that a filter has a word in its middle.

    Raises:
        ValueError: There is no width, or one is even or below 1.
    """
    if not widths or any(width < 1 or width % 2 == 0 for width in widths):
        raise ValueError(f"model.widths must hold odd numbers above 0, not {widths}")


class Model(nn.Module):
    """Padding never changes a result: it is zero before each convolution, and no maximum includes it."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        self.vectors = WordEmbedding(terms, options.embedding, word_dropout=options.word_dropout)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(options.embedding, options.filters, width, padding=width // 2) for width in options.widths
        )
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(options.filters * len(options.widths), classes)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.words
        mask_BT = inputs.words.mask_BT
        vectors_BET = self.vectors(inputs.words).transpose(1, 2)
        pooled = [masked_max(convolution(vectors_BET).transpose(1, 2), mask_BT) for convolution in self.convolutions]
        pooled_BF = torch.cat(pooled, 1).relu()  # ReLU is monotonic, so it may come after the maximum
        logits_BC: Tensor = self.output(self.dropout(pooled_BF))
        return logits_BC
