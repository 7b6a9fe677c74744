"""Convolutions of several widths over word vectors, each pooled over time (Kim, EMNLP 2014).

Dimensions: B documents, T words of the longest, E the word vectors' width, F filters of all widths, C classes.
"""
# ruff: noqa: N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.dataset.inputs import Inputs
from models.parts.layers import WordVectors, highest
from models.parts.option_checks import check
from models.parts.settings import setting

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
    """Raise ValueError for widths that have no middle."""
    if not widths or any(width < 1 or width % 2 == 0 for width in widths):
        raise ValueError(f"model.widths must hold odd numbers above 0, not {widths}")


class Model(nn.Module):
    """The padding is zero before each convolution, and no maximum sees it: it never changes a result."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        self.vectors = WordVectors(terms, options.embedding, word_dropout=options.word_dropout)
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
        pooled = [highest(convolve(vectors_BET).transpose(1, 2), mask_BT) for convolve in self.convolutions]
        pooled_BF = torch.cat(pooled, 1).relu()  # relu is monotonic: the same before and after a maximum
        logits_BC: Tensor = self.output(self.dropout(pooled_BF))
        return logits_BC
