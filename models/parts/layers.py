"""What models over sequences of words share.

Dimensions: B documents, T words of the longest, E the word vectors' width.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

import torch
from torch import Tensor, nn

from models.dataset.inputs import FIRST, PADDING, UNKNOWN, Words


class WordVectors(nn.Module):
    """Words to vectors. In training each word is taken for an unknown one with the probability `word_dropout`.

    So the unknown word's vector gets trained, and no document is known by one word (Iyyer et al., 2015, section 3.2;
    there the word is left out).
    """

    def __init__(self, terms: int, width: int, *, word_dropout: float, std: float = 0.1) -> None:
        """`terms`: the vocabulary's size; `std`: of the first vectors."""
        super().__init__()
        self.table = nn.Embedding(FIRST + terms, width, padding_idx=PADDING)
        nn.init.normal_(self.table.weight, std=std)
        with torch.no_grad():
            self.table.weight[PADDING] = 0
        self.dropout = nn.Dropout(word_dropout)

    def forward(self, words: Words) -> Tensor:
        """vectors_BTE, zero where there is padding."""
        words_BT, mask_BT = words.words_BT, words.mask_BT
        if self.training and self.dropout.p:
            dropped_BT = self.dropout(torch.ones_like(words_BT, dtype=torch.float32)) == 0
            words_BT = words_BT.masked_fill(dropped_BT & mask_BT, UNKNOWN)
        vectors_BTE: Tensor = self.table(words_BT) * mask_BT[:, :, None]  # whatever a bundle holds for the padding
        return vectors_BTE


def highest(values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """The maximum over a document's words, (B, E)."""
    return values_BTE.masked_fill(~mask_BT[:, :, None], -torch.inf).amax(1)


def mean(values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """The mean over a document's words, (B, E)."""
    return values_BTE.masked_fill(~mask_BT[:, :, None], 0.0).sum(1) / mask_BT.sum(1, keepdim=True)
