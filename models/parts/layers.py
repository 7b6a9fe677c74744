"""Layers that the architectures over sequences of words share.

Dimensions: B documents, T words of the longest document, E the width of the word vectors.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

import torch
from torch import Tensor, nn

from models.dataset.inputs import FIRST_TERM, PADDING, UNKNOWN, Words


class WordEmbedding(nn.Module):
    """A vector for each word. In training, each word is replaced by the unknown word with probability `word_dropout`.

    This trains the unknown word's vector, and keeps the model from recognising a document by a single word (Iyyer et
    al., 2015, section 3.2, where the word is left out instead).
    """

    def __init__(self, terms: int, width: int, *, word_dropout: float, std: float = 0.1) -> None:
        """`terms` is the size of the vocabulary, `std` the standard deviation of the initial vectors."""
        super().__init__()
        self.table = nn.Embedding(FIRST_TERM + terms, width, padding_idx=PADDING)
        nn.init.normal_(self.table.weight, std=std)
        with torch.no_grad():
            self.table.weight[PADDING] = 0
        self.dropout = nn.Dropout(word_dropout)

    def forward(self, words: Words) -> Tensor:
        """vectors_BTE, zero for padding."""
        words_BT, mask_BT = words.words_BT, words.mask_BT
        if self.training and self.dropout.p:
            dropped_BT = self.dropout(torch.ones_like(words_BT, dtype=torch.float32)) == 0
            words_BT = words_BT.masked_fill(dropped_BT & mask_BT, UNKNOWN)
        # The mask makes the padding zero whatever vector a bundle holds for it.
        vectors_BTE: Tensor = self.table(words_BT) * mask_BT[:, :, None]
        return vectors_BTE


def masked_max(values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """The maximum over the words of each document, max_BE; False in the mask marks padding."""
    return values_BTE.masked_fill(~mask_BT[:, :, None], -torch.inf).amax(1)


def masked_mean(values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """The mean over the words of each document, mean_BE; False in the mask marks padding."""
    return values_BTE.masked_fill(~mask_BT[:, :, None], 0.0).sum(1) / mask_BT.sum(1, keepdim=True)
