"""From documents as the tables hold them to what a model reads: TF-IDF weights, sequences of words, or both."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.dataset.inputs import FIRST, PADDING, UNKNOWN, Bags, Inputs, Shape, Words
from models.dataset.ragged import Ints, Ragged, Stack, joined
from models.dataset.tfidf import Weigher

MOST_WORDS = 65_536  # padded, of documents that are scored at once; bounds the layers' outputs
MOST_DOCUMENTS = 1024
MOST_PIXELS = 1 << 21  # likewise, of all channels


@dataclass(frozen=True)
class Reads:
    """What a model reads: `bags` of weighted terms; the first `length` words (0: none); an `image` of that shape."""

    bags: bool
    length: int
    image: Shape | None = None


@dataclass(frozen=True)
class Stored:
    """B documents as features hold them.

    `terms`: (ids, counts), each term once. `sequence`: (positions,) of the words among the document's own terms; None
    where no model asks for it. `content`: an image's file each (B,), in Arrow; None likewise.
    """

    terms: Ragged
    sequence: Ragged | None = None
    content: Any = None

    def take(self, rows: Ints) -> "Stored":
        """Those of `rows`, in their order."""
        sequence = None if self.sequence is None else self.sequence.take(rows)
        return Stored(self.terms.take(rows), sequence, None if self.content is None else self.content.take(rows))


@dataclass(frozen=True)
class Documents:
    """B documents as a model reads them: `bags` of (indices, weights), `words` of (words,) as in `inputs`, `images`."""

    bags: Ragged | None = None
    words: Ragged | None = None
    images: Stack | None = None

    def __len__(self) -> int:
        return max(len(part) for part in self.parts if part is not None)

    @property
    def parts(self) -> tuple[Any, ...]:
        """`Ragged`, `Stack` or None, each of the same documents."""
        return self.bags, self.words, self.images

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(part.nbytes for part in self.parts if part is not None)

    def take(self, rows: Ints) -> "Documents":
        """Those of `rows`, in their order."""
        return Documents(*(None if part is None else part.take(rows) for part in self.parts))

    def slice(self, start: int, end: int) -> "Documents":
        """Those from `start` to before `end`; a view."""
        return Documents(*(None if part is None else part.slice(start, end) for part in self.parts))


def chained(pieces: Sequence[Documents]) -> Documents:
    """Some, one at least, behind one another."""
    some = zip(*(piece.parts for piece in pieces), strict=True)
    return Documents(*(None if parts[0] is None else joined(parts) for parts in some))


@dataclass(frozen=True)
class Encoder:
    """Turns stored documents into what a model reads, by its vocabulary."""

    weigher: Weigher
    reads: Reads

    def __post_init__(self) -> None:
        """Images need no vocabulary; a model of words without one is a mistake."""
        if not self.terms and (self.reads.bags or self.reads.length):
            raise ValueError("the vocabulary is empty")

    @property
    def terms(self) -> int:
        """The vocabulary's size."""
        return len(self.weigher.ids)

    def encode(self, stored: Stored) -> Documents:
        """The same documents, in their order.

        Raises:
            ValueError: a word's position lies outside its document's terms.
        """
        bags = None
        if self.reads.bags:
            ids, counts = stored.terms.columns
            indices, weights, offsets = self.weigher.weigh(ids, counts, stored.terms.offsets)
            bags = Ragged((indices, weights), offsets)
        images = None
        if self.reads.image:
            from models.dataset.images import decoded  # late: only images need the library

            images = Stack(decoded(stored.content.to_pylist(), self.reads.image))
        return Documents(bags, self._words(stored) if self.reads.length else None, images)

    def _words(self, stored: Stored) -> Ragged:
        assert stored.sequence is not None
        sequence = stored.sequence.cut(self.reads.length)
        (positions,) = sequence.columns
        sizes = np.repeat(stored.terms.lengths, sequence.lengths)
        if ((positions < 0) | (positions >= sizes)).any():
            raise ValueError("a word of a document is none of its terms")
        known, places = self.weigher.find(stored.terms.columns[0])
        words = np.where(known, self.weigher.indices[places] + FIRST, UNKNOWN)
        found = words[positions + np.repeat(stored.terms.offsets[:-1], sequence.lengths)]
        return Ragged((found.astype(np.int32),), sequence.offsets)


def tensors(documents: Documents, *, longest: int = 0) -> Inputs:
    """Documents as tensors; the words padded to the longest document's number, or to `longest`."""
    bags = words = None
    if documents.bags is not None:
        indices, weights = documents.bags.columns
        starts = documents.bags.offsets[:-1]
        bags = Bags(torch.from_numpy(indices), torch.from_numpy(starts), torch.from_numpy(weights))
    if documents.words is not None:
        words = padded(documents.words, longest)
    pixels = None if documents.images is None else torch.from_numpy(documents.images.values)
    return Inputs(bags, words, pixels)


def padded(rows: Ragged, longest: int = 0) -> Words:
    """Sequences as one rectangle, `longest` wide at least."""
    lengths = np.maximum(rows.lengths, 1)
    rectangle = np.full((len(rows), max(longest, int(lengths.max(initial=1)))), PADDING, np.int64)
    rectangle[:, 0] = UNKNOWN  # of a document without a word
    inside = np.arange(rectangle.shape[1]) < rows.lengths[:, None]
    rectangle[inside] = rows.columns[0]
    return Words(torch.from_numpy(rectangle), torch.from_numpy(lengths))


def at_once(reads: Reads) -> int:
    """How many documents may be scored at once, however short they are."""
    return max(1, min(MOST_DOCUMENTS, MOST_PIXELS // math.prod(reads.image))) if reads.image else MOST_DOCUMENTS


def pieces(lengths: Ints, most: int) -> list[slice]:
    """Runs of documents with ascending `lengths` (B,), `most` at most, that have few enough words to score."""
    found, start = [], 0
    while start < len(lengths):
        size = 1
        while start + size < len(lengths) and size < most and (size + 1) * lengths[start + size] <= MOST_WORDS:
            size += 1
        found.append(slice(start, start + size))
        start += size
    return found
