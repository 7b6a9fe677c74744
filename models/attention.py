"""Self-attention over word vectors, softmax(Q Kᵀ / √D) V (Vaswani et al., 2017, section 3.2.1), pooled over time.

Dimensions: B documents, T words of the longest document, E the width of the word vectors, H heads, D = E / H the width
of a head's queries, keys and values, C classes.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from models.dataset.inputs import Inputs
from models.options.checks import check
from models.options.fields import setting
from models.parts.layers import WordEmbedding, masked_max, masked_mean

READS = ("words",)


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `attention`."""

    length: int = setting(400, "Words of a document that are read, from its start.")
    embedding: int = setting(200, "Width of the word vectors.")
    heads: int = setting(4, "Attention heads, which share the embedding's width equally.")
    dropout: float = setting(0.5, "Share of the word vectors' and of the pooled values that training drops.")
    word_dropout: float = setting(0.3, "Share of the words that training replaces with the unknown word.")

    def __post_init__(self) -> None:
        check("model", self, above_0=["length", "embedding", "heads"], shares=["dropout", "word_dropout"])
        if self.embedding % self.heads:
            raise ValueError(f"model.embedding={self.embedding} cannot be divided among model.heads={self.heads}")


class SelfAttention(nn.Module):
    """Multi-head attention within a document.

    A word's output is the mean of all words' values, weighted by how well its query matches their keys.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """attended_BTE; padding, which is False in `mask_BT`, gets no attention."""
        queries_BHTD, keys_BHTD, values_BHTD = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.project(vectors_BTE).chunk(3, 2)
        )
        mask_B11T = mask_BT[:, None, None, :]
        heads_BHTD = scaled_dot_product_attention(queries_BHTD, keys_BHTD, values_BHTD, attn_mask=mask_B11T)
        attended_BTE: Tensor = self.output(heads_BHTD.transpose(1, 2).flatten(2))
        return attended_BTE


class Model(nn.Module):
    """Attention with a residual connection; a linear layer classifies the maximum and the mean over the words."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        self.vectors = WordEmbedding(terms, options.embedding, word_dropout=options.word_dropout)
        self.attention = SelfAttention(options.embedding, options.heads)
        self.dropout = nn.Dropout(options.dropout)
        self.output = nn.Linear(2 * options.embedding, classes)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.words
        mask_BT = inputs.words.mask_BT
        vectors_BTE = self.vectors(inputs.words)
        attended_BTE = vectors_BTE + self.attention(self.dropout(vectors_BTE), mask_BT)
        pooled = torch.cat([masked_max(attended_BTE, mask_BT), masked_mean(attended_BTE, mask_BT)], 1)
        logits_BC: Tensor = self.output(self.dropout(pooled))
        return logits_BC
