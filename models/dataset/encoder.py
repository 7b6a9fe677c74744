"""Turns documents as the tables store them into what a model reads: TF-IDF weights, words, pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.dataset.inputs import FIRST_TERM, PADDING, UNKNOWN, Bags, Inputs, InputSpec, Words
from models.dataset.ragged import Ints, Ragged, Stack, concatenate
from models.dataset.tfidf import TfidfTransformer

# How much is scored at once; this bounds the memory of the layers' outputs.
MAX_WORDS = 65_536  # with the padding
MAX_DOCUMENTS = 1024
MAX_PIXELS = 1 << 21  # of all channels


@dataclass(frozen=True)
class StoredDocuments:
    """B documents as feature files store them.

    `terms`: columns (ids, counts), each term of a document once. `sequence`: column (positions,), the words in their
    order as positions among the document's own terms; None if no model asks for it. `content`: an Arrow array (B,) of
    image files; None likewise.
    """

    terms: Ragged
    sequence: Ragged | None = None
    content: Any = None

    def take(self, rows: Ints) -> "StoredDocuments":
        """The documents `rows`, in that order."""
        sequence = None if self.sequence is None else self.sequence.take(rows)
        content = None if self.content is None else self.content.take(rows)
        return StoredDocuments(self.terms.take(rows), sequence, content)


@dataclass(frozen=True)
class EncodedDocuments:
    """B documents as a model reads them; the parts that it does not read are None.

    `bags`: columns (rows of the vocabulary, TF-IDF weights). `words`: column (words,), numbered as in `inputs.Words`.
    `images`: pixels (B, H, W, C).
    """

    bags: Ragged | None = None
    words: Ragged | None = None
    images: Stack | None = None

    def __len__(self) -> int:
        return max(len(part) for part in self.parts if part is not None)

    @property
    def parts(self) -> tuple[Any, ...]:
        """Each part, a `Ragged` or a `Stack` of the same documents, or None."""
        return self.bags, self.words, self.images

    @property
    def nbytes(self) -> int:
        """The memory of the arrays, in bytes."""
        return sum(part.nbytes for part in self.parts if part is not None)

    def take(self, rows: Ints) -> "EncodedDocuments":
        """A copy of the documents `rows`, in that order."""
        return EncodedDocuments(*(None if part is None else part.take(rows) for part in self.parts))

    def slice(self, start: int, end: int) -> "EncodedDocuments":
        """The documents from `start` up to but not including `end`, as a view."""
        return EncodedDocuments(*(None if part is None else part.slice(start, end) for part in self.parts))


def concatenate_documents(pieces: Sequence[EncodedDocuments]) -> EncodedDocuments:
    """The documents of all `pieces`, of which there must be at least one."""
    columns = zip(*(piece.parts for piece in pieces), strict=True)
    return EncodedDocuments(*(None if parts[0] is None else concatenate(parts) for parts in columns))


@dataclass(frozen=True)
class Encoder:
    """Encodes stored documents for a model that reads `spec`, with the vocabulary of `tfidf`."""

    tfidf: TfidfTransformer
    spec: InputSpec

    def __post_init__(self) -> None:
        """Refuse an empty vocabulary, unless the model reads only images.

        Raises:
            ValueError: The vocabulary is empty, and the model reads terms or words.
        """
        if not self.vocabulary_size and (self.spec.bags or self.spec.length):
            raise ValueError("the vocabulary is empty")

    @property
    def vocabulary_size(self) -> int:
        """How many terms the vocabulary has."""
        return len(self.tfidf.ids)

    def encode(self, stored: StoredDocuments) -> EncodedDocuments:
        """The same documents, in the same order, as the model reads them.

        Raises:
            ValueError: A word's position lies outside its document's terms, or a document has no image.
        """
        bags = None
        if self.spec.bags:
            ids, counts = stored.terms.columns
            rows, weights, offsets = self.tfidf.transform(ids, counts, stored.terms.offsets)
            bags = Ragged((rows, weights), offsets)
        images = None
        if self.spec.image:
            from models.dataset.images import decode_images  # imported late: only image models need Pillow

            images = Stack(decode_images(stored.content.to_pylist(), self.spec.image))
        return EncodedDocuments(bags, self._encode_words(stored) if self.spec.length else None, images)

    def _encode_words(self, stored: StoredDocuments) -> Ragged:
        assert stored.sequence is not None
        sequence = stored.sequence.truncate(self.spec.length)
        (positions,) = sequence.columns
        terms_of_document = np.repeat(stored.terms.lengths, sequence.lengths)
        if ((positions < 0) | (positions >= terms_of_document)).any():
            raise ValueError("a document has a word that is not one of its terms")
        known, in_vocabulary = self.tfidf.look_up(stored.terms.columns[0])
        word_of_term = np.where(known, self.tfidf.rows[in_vocabulary] + FIRST_TERM, UNKNOWN)
        words = word_of_term[positions + np.repeat(stored.terms.offsets[:-1], sequence.lengths)]
        return Ragged((words.astype(np.int32),), sequence.offsets)


def to_inputs(documents: EncodedDocuments, *, min_length: int = 0) -> Inputs:
    """Documents as tensors, their words padded to the longest document's length, or `min_length` if that is more."""
    bags = words = None
    if documents.bags is not None:
        rows, weights = documents.bags.columns
        starts = documents.bags.offsets[:-1]
        bags = Bags(torch.from_numpy(rows), torch.from_numpy(starts), torch.from_numpy(weights))
    if documents.words is not None:
        words = pad_words(documents.words, min_length)
    pixels = None if documents.images is None else torch.from_numpy(documents.images.values)
    return Inputs(bags, words, pixels)


def pad_words(sequences: Ragged, min_length: int = 0) -> Words:
    """Sequences of words as one rectangle (B, T), with T at least `min_length`."""
    lengths = np.maximum(sequences.lengths, 1)
    rectangle = np.full((len(sequences), max(min_length, int(lengths.max(initial=1)))), PADDING, np.int64)
    rectangle[:, 0] = UNKNOWN  # for documents without words
    is_word = np.arange(rectangle.shape[1]) < sequences.lengths[:, None]
    rectangle[is_word] = sequences.columns[0]
    return Words(torch.from_numpy(rectangle), torch.from_numpy(lengths))


def max_documents(spec: InputSpec) -> int:
    """How many documents may be scored at once, however few words they have."""
    return max(1, min(MAX_DOCUMENTS, MAX_PIXELS // math.prod(spec.image))) if spec.image else MAX_DOCUMENTS


def scoring_slices(lengths: Ints, limit: int) -> list[slice]:
    """Cuts documents of ascending `lengths` (B,) into runs of at most `limit` documents and `MAX_WORDS` padded words.

    A single document may have more words.
    """
    slices, start = [], 0
    while start < len(lengths):
        size = 1
        while start + size < len(lengths) and size < limit and (size + 1) * lengths[start + size] <= MAX_WORDS:
            size += 1
        slices.append(slice(start, start + size))
        start += size
    return slices
