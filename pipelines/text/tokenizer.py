"""From texts to counted terms: many documents are tokenized at once, without a Python object for each word.

The default pattern is evaluated by array operations (`pipelines.text.word_pattern`); any other pattern goes through
`re`, document by document, with the same result. Chinese is split into words by jieba.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.options.fields import setting
from pipelines.text import jieba_tokenizer
from pipelines.text.word_pattern import WORDS, IntArray, find_words


@dataclass(frozen=True)
class Options:
    """The `features.*` keys: how text becomes terms. Changing one makes new feature tables."""

    tokenizer: str = setting("pattern", "What splits text into terms: pattern, or jieba for Chinese words.")
    pattern: str = setting(WORDS, "Regular expression whose matches are the terms, for tokenizer=pattern.")
    lowercase: bool = setting(True, "Whether text is converted to lower case first.")
    ngrams: int = setting(1, "Length of the longest n-grams of terms that are terms, too; 1 for none.")

    def __post_init__(self) -> None:
        if self.ngrams < 1:
            raise ValueError(f"features.ngrams must be 1 or more, not {self.ngrams}")
        if self.tokenizer not in ("pattern", "jieba"):
            raise ValueError(f"features.tokenizer must be pattern or jieba, not {self.tokenizer}")
        if self.tokenizer == "jieba" and not jieba_tokenizer.is_installed():
            raise ValueError("features.tokenizer=jieba needs the package jieba: pip install jieba==0.42.1")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"features.pattern is not a regular expression: {error}") from error
        if groups > 1:
            raise ValueError("features.pattern must not have more than one group, as in scikit-learn")


@dataclass(frozen=True)
class TokenizedBatch:
    """The words and the counted terms of D documents; terms are words and, if asked for, n-grams of words.

    Attributes:
        terms: U distinct terms, by ascending id.
        term_ids: their 64-bit ids.
        offsets: D + 1 positions: document d has the terms `indices[offsets[d]:offsets[d + 1]]`.
        indices: each document's distinct terms, ascending, as indices into `terms`.
        counts: how often each of them occurs in its document.
        word_offsets: D + 1 positions, like `offsets`, into `word_positions`.
        word_positions: each document's words in their order, as positions among the document's own terms.
    """

    terms: pa.Array
    term_ids: IntArray
    offsets: IntArray
    indices: IntArray
    counts: IntArray
    word_offsets: IntArray
    word_positions: IntArray


def tokenize(texts: Sequence[str], options: Options) -> TokenizedBatch:
    """Tokenize normalised texts and count their terms."""
    words, documents = _find_words(texts, options)
    encoded = words.dictionary_encode()
    terms, indices = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    terms, term_indices, term_documents = _append_ngrams(terms, indices, documents, options.ngrams)
    term_ids = hash64(terms)
    order = np.argsort(term_ids)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    offsets, distinct, counts, occurrences = _count(rank[term_indices], term_documents, len(order), len(texts))
    word_documents = term_documents[: len(words)]
    return TokenizedBatch(
        terms=terms.take(pa.array(order)),
        term_ids=term_ids[order],
        offsets=offsets,
        indices=distinct,
        counts=counts,
        word_offsets=np.searchsorted(word_documents, np.arange(len(texts) + 1)),
        word_positions=occurrences[: len(words)] - offsets[word_documents],
    )


def hash64(strings: pa.Array) -> IntArray:
    """The first 8 bytes of BLAKE2b (RFC 7693) of each string's UTF-8, as a signed little-endian integer."""
    blake2b = hashlib.blake2b
    digests = b"".join([blake2b(string.encode(), digest_size=8).digest() for string in strings.to_pylist()])
    return np.frombuffer(digests, "<i8").astype(np.int64)


def _count(
    indices: IntArray, documents: IntArray, terms: int, document_count: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Count the occurrences of terms, each given by its term's index and its document.

    Returns:
        (offsets, indices, counts) of each document's distinct terms, as in `TokenizedBatch`, and for each occurrence
        the position of its term among all documents' distinct terms.
    """
    size = max(terms, 1)
    pairs, inverse, counts = unique(documents * size + indices)
    offsets = np.searchsorted(pairs, np.arange(document_count + 1) * size)
    return offsets, pairs % size, counts, inverse


def unique(values: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """`np.unique` of values from 0, with inverse and counts.

    If a value and a position fit into 64 bits together, they are packed and sorted as one integer: numpy sorts integers
    with vector instructions, but not their positions. This takes half the time.
    """
    bits = len(values).bit_length()
    if not len(values) or int(values.max()).bit_length() + bits > 63:
        distinct, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return distinct, inverse, counts
    packed = np.sort(values << bits | np.arange(len(values)))
    sorted_values = packed >> bits
    is_first = np.concatenate(([True], sorted_values[1:] != sorted_values[:-1]))
    starts = np.flatnonzero(is_first)
    inverse = np.empty(len(values), np.int64)
    inverse[packed & ((1 << bits) - 1)] = np.cumsum(is_first) - 1
    return sorted_values[starts], inverse, np.diff(starts, append=len(values))


def _append_ngrams(
    words: pa.Array, indices: IntArray, documents: IntArray, longest: int
) -> tuple[pa.Array, IntArray, IntArray]:
    """Append the n-grams of 2 … `longest` words, joined by a blank, to the words.

    `words` are the distinct ones; `indices` and `documents` name the word and the document of each occurrence. The
    result has the same form.
    """
    all_terms, all_indices, all_documents = [words], [indices], [documents]
    size = max(len(words), 1)
    ngrams, ngram_indices, known = words, indices, len(words)
    for length in range(2, longest + 1):
        positions = max(len(indices) - length + 1, 0)
        is_inside = documents[:positions] == documents[length - 1 :]
        pairs, ngram_indices = np.unique(ngram_indices[:positions] * size + indices[length - 1 :], return_inverse=True)
        first, last = np.divmod(pairs, size)
        parts = ngrams.take(pa.array(first)), words.take(pa.array(last))
        ngrams = pc.binary_join_element_wise(*parts, pa.scalar(" ", pa.large_string()))
        all_terms.append(ngrams)
        all_indices.append(known + ngram_indices[is_inside])
        all_documents.append(documents[:positions][is_inside])
        known += len(ngrams)
    return pa.concat_arrays(all_terms), np.concatenate(all_indices), np.concatenate(all_documents)


def _find_words(texts: Sequence[str], options: Options) -> tuple[pa.Array, IntArray]:
    """All words of all texts in their order, and for each the index of its text."""
    if (options.tokenizer, options.pattern) == ("pattern", WORDS):
        return find_words(texts, lowercase=options.lowercase)
    split = jieba_tokenizer.split_words if options.tokenizer == "jieba" else re.compile(options.pattern).findall
    words = [split(text.lower() if options.lowercase else text) for text in texts]
    documents = np.repeat(np.arange(len(texts)), [len(document) for document in words])
    return pa.array([word for document in words for word in document], pa.large_string()), documents
