"""From documents as the tables hold them to what a model reads: TF-IDF weights, sequences of words, or both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.training.inputs import FIRST, PADDING, UNKNOWN, Bags, Inputs, Words
from models.training.ragged import Ints, Ragged, joined
from models.training.tfidf import Weigher

MOST_WORDS = 65_536  # padded, of documents that are scored at once; bounds the layers' outputs
MOST_DOCUMENTS = 1024


@dataclass(frozen=True)
class Reads:
    """What a model reads: `bags` of weighted terms; the first `length` words (0: none)."""

    bags: bool
    length: int


@dataclass(frozen=True)
class Stored:
    """B documents as features hold them.

    `terms`: (ids, counts), each term once. `sequence`: (positions,) of the words among the document's own terms; None
    where no model asks for it.
    """

    terms: Ragged
    sequence: Ragged | None = None


@dataclass(frozen=True)
class Documents:
    """B documents as a model reads them: `bags` of (indices, weights), `words` of (words,) as in `inputs`."""

    bags: Ragged | None = None
    words: Ragged | None = None

    def __len__(self) -> int:
        return max(len(part) for part in (self.bags, self.words) if part is not None)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        return sum(part.nbytes for part in (self.bags, self.words) if part is not None)

    def take(self, rows: Ints) -> "Documents":
        """Those of `rows`, in their order."""
        return Documents(*(None if part is None else part.take(rows) for part in (self.bags, self.words)))

    def slice(self, start: int, end: int) -> "Documents":
        """Those from `start` to before `end`; a view."""
        return Documents(*(None if part is None else part.slice(start, end) for part in (self.bags, self.words)))


def chained(pieces: Sequence[Documents]) -> Documents:
    """Some, one at least, behind one another."""
    parts = ([getattr(piece, name) for piece in pieces] for name in ("bags", "words"))
    return Documents(*(None if some[0] is None else joined(some) for some in parts))


@dataclass(frozen=True)
class Encoder:
    """Turns stored documents into what a model reads, by its vocabulary."""

    weigher: Weigher
    reads: Reads

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
        return Documents(bags, self._words(stored) if self.reads.length else None)

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
    return Inputs(bags, words)


def padded(rows: Ragged, longest: int = 0) -> Words:
    """Sequences as one rectangle, `longest` wide at least."""
    lengths = np.maximum(rows.lengths, 1)
    rectangle = np.full((len(rows), max(longest, int(lengths.max(initial=1)))), PADDING, np.int64)
    rectangle[:, 0] = UNKNOWN  # of a document without a word
    inside = np.arange(rectangle.shape[1]) < rows.lengths[:, None]
    rectangle[inside] = rows.columns[0]
    return Words(torch.from_numpy(rectangle), torch.from_numpy(lengths))


def pieces(lengths: Ints, most: int = MOST_DOCUMENTS) -> list[slice]:
    """Runs of documents with ascending `lengths` (B,) that are few enough, and have few enough words, to score."""
    found, start = [], 0
    while start < len(lengths):
        size = 1
        while start + size < len(lengths) and size < most and (size + 1) * lengths[start + size] <= MOST_WORDS:
            size += 1
        found.append(slice(start, start + size))
        start += size
    return found
