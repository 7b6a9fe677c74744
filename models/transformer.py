"""Transformer encoder (Vaswani et al., 2017) with layer normalisation before each part (Xiong et al., 2020).

Dimensions: B documents, T words of the longest document, E the width of the word vectors, C classes.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.attention import SelfAttention
from models.dataset.inputs import Inputs
from models.options.checks import check
from models.options.fields import setting
from models.parts.layers import WordEmbedding, masked_max, masked_mean

READS = ("words",)
POSITIONS = ("learned", "sinusoidal")


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `transformer`."""

    length: int = setting(400, "Words of a document that are read, from its start.")
    embedding: int = setting(128, "Width of the word vectors.")
    n_layers: int = setting(1, "Encoder layers, one above another.")
    n_heads: int = setting(4, "Attention heads of each layer, which share the embedding's width equally.")
    feedforward: int = setting(256, "Width of the inner layer of each layer's feed-forward part.")
    positions: str = setting("learned", "How positions are encoded: learned or sinusoidal.")
    dropout: float = setting(0.3, "Share of the word vectors, of each part's output and of the pooled values dropped.")
    word_dropout: float = setting(0.3, "Share of the words that training replaces with the unknown word.")

    def __post_init__(self) -> None:
        check(
            "model",
            self,
            above_0=["length", "embedding", "n_layers", "n_heads", "feedforward"],
            shares=["dropout", "word_dropout"],
        )
        if self.embedding % self.n_heads:
            raise ValueError(f"model.embedding={self.embedding} cannot be divided among model.n_heads={self.n_heads}")
        if self.positions not in POSITIONS:
            raise ValueError(f"model.positions must be one of {', '.join(POSITIONS)}, not {self.positions}")


class Layer(nn.Module):
    """Self-attention, then two dense layers for each word by itself, each with a residual connection."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        width = options.embedding
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, options.n_heads)
        self.dense = nn.Sequential(
            nn.Linear(width, options.feedforward), nn.GELU(), nn.Linear(options.feedforward, width)
        )
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """outputs_BTE; padding is False in `mask_BT`."""
        vectors_BTE = vectors_BTE + self.dropout(self.attention(self.before_attention(vectors_BTE), mask_BT))
        outputs_BTE: Tensor = vectors_BTE + self.dropout(self.dense(self.before_dense(vectors_BTE)))
        return outputs_BTE


class Model(nn.Module):
    """Encoder layers over words and positions; a linear layer classifies the maximum and the mean over the words.

    The layers' output is added to the word vectors before it is pooled. Without this, two layers learn slowly from a
    few thousand documents.
    """

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        width = options.embedding
        self.vectors = WordEmbedding(terms, width, word_dropout=options.word_dropout)
        learned = options.positions == "learned"
        self.positions_TE = nn.Parameter(torch.empty(options.length, width).normal_(std=0.02)) if learned else None
        self.dropout = nn.Dropout(options.dropout)
        self.layers = nn.ModuleList(Layer(options) for _ in range(options.n_layers))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(2 * width, classes)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.words
        mask_BT = inputs.words.mask_BT
        words_BTE = self.vectors(inputs.words)
        vectors_BTE = self.dropout(words_BTE + self.positions(words_BTE))
        for layer in self.layers:
            vectors_BTE = layer(vectors_BTE, mask_BT)
        sum_BTE = words_BTE + self.norm(vectors_BTE)
        pooled = torch.cat([masked_max(sum_BTE, mask_BT), masked_mean(sum_BTE, mask_BT)], 1)
        logits_BC: Tensor = self.output(self.dropout(pooled))
        return logits_BC

    def positions(self, words_BTE: Tensor) -> Tensor:
        """positions_TE, the encoding of each position, which is added to the word vectors."""
        length, width = words_BTE.shape[1:]
        if self.positions_TE is None:
            return sinusoids(length, width).to(words_BTE.device)
        return self.positions_TE[:length]


def sinusoids(length: int, width: int) -> Tensor:
    """Sine and cosine of position / 10,000^(2i / width), alternating, (length, width).

    Vaswani et al., 2017, section 3.5.
    """
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(length)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]
