"""Three classifiers in one, over TF-IDF and over word sequences, so that one branch may see what another misses.

The branches are a hidden layer over TF-IDF (as in `mlp`), and self-attention (as in `attention`) and convolutions (as
in `textcnn`) over shared word vectors. Their logits are added (a product of experts: Hinton, 2002). In training,
branches are dropped at random for each document, so that each branch learns to distinguish the classes by itself: when
all learn together, the fastest one leaves the others nothing to learn (ModDrop: Neverova et al., 2016).

Dimensions: B documents, T words of the longest document, E the width of the word vectors, H that of the hidden layer,
F filters of all widths together, R branches, C classes.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.attention import SelfAttention
from models.dataset.inputs import Bags, Inputs
from models.options.checks import check
from models.options.fields import setting
from models.parts.layers import WordEmbedding, masked_max, masked_mean
from models.textcnn import check_widths

READS = ("bags", "words")


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `hybrid`."""

    length: int = setting(400, "Words of a document that are read, from its start.")
    hidden: int = setting(256, "Width of the hidden layer over the TF-IDF weights.")
    embedding: int = setting(128, "Width of the word vectors.")
    heads: int = setting(4, "Attention heads, which share the embedding's width equally.")
    widths: list[int] = setting([1, 3, 5], "Words that each kind of convolution sees at once, odd numbers.")
    filters: int = setting(128, "Convolution filters of each width.")
    dropout: float = setting(0.5, "Share of each branch's values that training drops.")
    word_dropout: float = setting(0.3, "Share of the words that training replaces with the unknown word.")
    branch_dropout: float = setting(0.3, "Share of the branches that training drops, never all of a document's.")

    def __post_init__(self) -> None:
        check(
            "model",
            self,
            above_0=["length", "hidden", "embedding", "heads", "filters"],
            shares=["dropout", "word_dropout", "branch_dropout"],
        )
        if self.embedding % self.heads:
            raise ValueError(f"model.embedding={self.embedding} cannot be divided among model.heads={self.heads}")
        check_widths(self.widths)


class Model(nn.Module):
    """Adds the logits of the branches."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        width = options.embedding
        self.table = nn.EmbeddingBag(terms, options.hidden, mode="sum")
        nn.init.normal_(self.table.weight, std=0.01)
        self.bias = nn.Parameter(nn.init.zeros_(self.table.weight.new_empty(options.hidden)))
        self.vectors = WordEmbedding(terms, width, word_dropout=options.word_dropout)
        self.attention = SelfAttention(width, options.heads)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, options.filters, size, padding=size // 2) for size in options.widths
        )
        self.dropout, self.branch_dropout = nn.Dropout(options.dropout), nn.Dropout(options.branch_dropout)
        sizes = (options.hidden, 2 * width, options.filters * len(options.widths))
        self.outputs = nn.ModuleList(nn.Linear(size, classes) for size in sizes)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.bags
        assert inputs.words
        mask_BT = inputs.words.mask_BT
        vectors_BTE = self.vectors(inputs.words)
        branches = (
            self.hidden_layer(inputs.bags),
            self.attend(vectors_BTE, mask_BT),
            self.convolve(vectors_BTE, mask_BT),
        )
        parts = [output(self.dropout(values)) for output, values in zip(self.outputs, branches, strict=True)]
        logits_BRC = torch.stack(parts, 1)
        logits_BC: Tensor = (logits_BRC * self.branch_mask(logits_BRC)).sum(1)
        return logits_BC

    def branch_mask(self, logits_BRC: Tensor) -> Tensor:
        """mask_BR1, True for the branches that are kept; where dropout takes all of a document, they are all kept."""
        kept_BR1: Tensor = self.branch_dropout(torch.ones_like(logits_BRC[:, :, :1])) > 0
        return kept_BR1 | ~kept_BR1.any(1, keepdim=True)

    def hidden_layer(self, bags: Bags) -> Tensor:
        """hidden_BH, from TF-IDF."""
        first_BH: Tensor = self.table(bags.indices_N, bags.offsets_B, per_sample_weights=bags.weights_N) + self.bias
        return first_BH.relu()

    def attend(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """Self-attention with a residual connection, its maximum and mean over the words: (B, 2 · E)."""
        attended_BTE = vectors_BTE + self.attention(self.dropout(vectors_BTE), mask_BT)
        return torch.cat([masked_max(attended_BTE, mask_BT), masked_mean(attended_BTE, mask_BT)], 1)

    def convolve(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """convolved_BF, the maximum of each filter over the words."""
        vectors_BET = vectors_BTE.transpose(1, 2)
        pooled = [masked_max(convolution(vectors_BET).transpose(1, 2), mask_BT) for convolution in self.convolutions]
        return torch.cat(pooled, 1).relu()
