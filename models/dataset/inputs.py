"""What a model reads: a batch of documents as tensors.

Dimensions: B documents, N terms in all of them together, T words of the longest one; H x W pixels of C channels.
"""
# ruff: noqa: N802, N815  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, int, int]  # of an image: height, width, channels
PADDING, UNKNOWN, FIRST = 0, 1, 2  # no word; a word outside the vocabulary; the word of the vocabulary's first row


@dataclass(frozen=True)
class Bags:
    """Weighted terms, TF-IDF: document b has those from `offsets_B[b]` to before the next document's."""

    indices_N: Tensor
    offsets_B: Tensor
    weights_N: Tensor


@dataclass(frozen=True)
class Words:
    """Words in their order: `words_BT` holds `FIRST` + a row of the vocabulary, `UNKNOWN`, or `PADDING` at the end.

    `lengths_B` counts them without the padding, and is never 0: a document without a word has an unknown one.
    """

    words_BT: Tensor
    lengths_B: Tensor

    @property
    def mask_BT(self) -> Tensor:
        """True where there is a word."""
        return self.words_BT != PADDING


@dataclass(frozen=True)
class Inputs:
    """What the model's `READS` asks for; the other parts are None."""

    bags: Bags | None = None
    words: Words | None = None
    image_BHWC: Tensor | None = None  # 0 to 255

    def to(self, device: torch.device) -> "Inputs":
        """The same on a device."""
        if device.type == "cpu":
            return self
        bags, words, image = self.bags, self.words, self.image_BHWC
        return Inputs(
            bags and Bags(bags.indices_N.to(device), bags.offsets_B.to(device), bags.weights_N.to(device)),
            words and Words(words.words_BT.to(device), words.lengths_B.to(device)),
            None if image is None else image.to(device),
        )
