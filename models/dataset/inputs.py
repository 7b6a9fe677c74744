"""The input of a model: a batch of documents as tensors.

Dimensions: B documents, N terms of all documents together, T words of the longest document; H x W pixels in C channels.
"""
# ruff: noqa: N802, N815  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor

ImageShape = tuple[int, int, int]  # height, width, channels
# Numbers of words: no word; a word outside the vocabulary; the term in the vocabulary's first row.
PADDING, UNKNOWN, FIRST_TERM = 0, 1, 2


@dataclass(frozen=True)
class InputSpec:
    """What a model reads of a document.

    `bags`: its terms, weighted by TF-IDF. `length`: the number of words that are read from its start, 0 for none.
    `image`: pixels of this shape.
    """

    bags: bool
    length: int
    image: ImageShape | None = None


@dataclass(frozen=True)
class Bags:
    """Terms weighted by TF-IDF: document b has those from `offsets_B[b]` up to the start of the next document."""

    indices_N: Tensor
    offsets_B: Tensor
    weights_N: Tensor


@dataclass(frozen=True)
class Words:
    """Words in their order, each as `FIRST_TERM` + its row in the vocabulary, or `UNKNOWN`; at the end `PADDING`.

    `lengths_B` counts a document's words without the padding. It is never 0: a document without words has one unknown
    word.
    """

    words_BT: Tensor
    lengths_B: Tensor

    @property
    def mask_BT(self) -> Tensor:
        """True for words, False for padding."""
        return self.words_BT != PADDING


@dataclass(frozen=True)
class Inputs:
    """The parts of a document that the model's `READS` names; the others are None."""

    bags: Bags | None = None
    words: Words | None = None
    image_BHWC: Tensor | None = None  # 0 to 255

    def to(self, device: torch.device) -> "Inputs":
        """The same tensors on `device`."""
        if device.type == "cpu":
            return self
        bags, words, image = self.bags, self.words, self.image_BHWC
        return Inputs(
            bags and Bags(bags.indices_N.to(device), bags.offsets_B.to(device), bags.weights_N.to(device)),
            words and Words(words.words_BT.to(device), words.lengths_B.to(device)),
            None if image is None else image.to(device),
        )
