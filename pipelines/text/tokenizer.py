"""Text to terms: normalisation and tokenization of many documents at once, with no Python object a word.

A word is what scikit-learn's default token pattern takes: two or more characters in a row that Python's `re` counts
as `\\w`, after `str.lower`. With that pattern a whole batch is cut by array operations on its code points; any other
pattern goes through `re`, document by document. Both give the same terms. Chinese is cut by jieba.
"""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.parts.settings import setting
from pipelines.text import jieba_tokenizer

WORDS = r"(?u)\b\w\w+\b"
SEPARATOR = "\n"  # cannot stand in a normalised text
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Options:
    """The `features.*` keys: how text becomes terms. They name the feature tables: changing one makes new tables."""

    tokenizer: str = setting("pattern", "What cuts text into terms: pattern, or jieba for Chinese words.")
    pattern: str = setting(WORDS, "Regular expression whose matches are the terms, for tokenizer=pattern.")
    lowercase: bool = setting(True, "Whether text is put into lower case first.")
    ngrams: int = setting(1, "Longest run of neighbouring terms that is a term of its own.")

    def __post_init__(self) -> None:
        if self.ngrams < 1:
            raise ValueError("features.ngrams must be at least 1")
        if self.tokenizer not in ("pattern", "jieba"):
            raise ValueError(f"features.tokenizer must be pattern or jieba, not {self.tokenizer}")
        if self.tokenizer == "jieba" and not jieba_tokenizer.installed():
            raise ValueError("features.tokenizer=jieba needs the package jieba: pip install jieba==0.42.1")
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"features.pattern is not a regular expression: {error}") from error
        if groups > 1:
            raise ValueError("features.pattern may have one group at most, as in scikit-learn")


@dataclass(frozen=True)
class Terms:
    """The terms of D documents.

    Attributes:
        names: U distinct terms, by ascending id.
        ids: their 64-bit ids.
        offsets: D + 1 positions: document d's terms stand in `codes[offsets[d]:offsets[d + 1]]`.
        codes: each document's distinct terms, ascending, as indices into `names`.
        counts: how often each of them occurs in its document.
        word_offsets: D + 1 positions, as `offsets`, into `words`.
        words: each document's words in their order, as positions among the document's own terms.
    """

    names: pa.Array
    ids: Ints
    offsets: Ints
    codes: Ints
    counts: Ints
    word_offsets: Ints
    words: Ints


def normalise(text: str) -> str:
    """Control characters out, Unicode NFC, white space folded to single blanks.

    >>> normalise("Cafe\\u0301\\x00  au\\n lait ")
    'Café au lait'
    """
    return " ".join(unicodedata.normalize("NFC", CONTROL.sub("", text)).split())


def normalised(texts: pa.StringArray) -> pa.StringArray:
    """`normalise` of each text (none is null); those that it cannot change are found all at once."""
    changed = np.flatnonzero(_may_change(texts))
    if not len(changed):
        return texts
    mended = pa.array([normalise(text) for text in texts.take(pa.array(changed)).to_pylist()], pa.string())
    order = np.arange(len(texts))
    order[changed] = len(texts) + np.arange(len(changed))
    return pa.concat_arrays([texts, mended]).take(pa.array(order))


def _may_change(texts: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Which texts have a character that is not printable ASCII, two blanks in a row, or one at an end."""
    _, offset_buffer, content = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    points = np.frombuffer(content or b"", np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    blank = points == ord(" ")
    odd = (points < ord(" ")) | (points > ord("~"))
    odd[1:] |= blank[1:] & blank[:-1]
    filled = offsets[1:] > offsets[:-1]
    for ends in (offsets[:-1][filled], offsets[1:][filled] - 1):
        odd[ends] |= blank[ends]
    result = np.zeros(len(texts), np.bool_)
    result[np.searchsorted(offsets[1:], np.flatnonzero(odd), side="right")] = True
    return result


def terms(texts: Sequence[str], options: Options) -> Terms:
    """Tokenize and count normalised texts, all at once."""
    tokens, documents = _tokens(texts, options)
    encoded = tokens.dictionary_encode()
    names, codes = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    names, all_codes, all_documents = _with_ngrams(names, codes, documents, options.ngrams)
    ids = term_ids(names)
    order = np.argsort(ids)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return _counted(names.take(pa.array(order)), ids[order], rank[all_codes], all_documents, len(codes), len(texts))


def term_ids(names: pa.Array) -> Ints:
    """A term's id: the first 8 bytes of BLAKE2b (RFC 7693) of its UTF-8, as a signed little-endian integer."""
    blake2b = hashlib.blake2b
    digests = b"".join([blake2b(name.encode(), digest_size=8).digest() for name in names.to_pylist()])
    return np.frombuffer(digests, "<i8").astype(np.int64)


def _counted(names: Any, ids: Ints, codes: Ints, documents: Ints, words: int, size: int) -> Terms:
    """Distinct (document, code) pairs with their counts; `codes[:words]` are the single words in their order."""
    distinct = max(len(ids), 1)
    pairs, inverse, counts = _unique(documents * distinct + codes)
    offsets = np.searchsorted(pairs, np.arange(size + 1) * distinct)
    word_documents = documents[:words]
    return Terms(
        names=names,
        ids=ids,
        offsets=offsets,
        codes=pairs % distinct,
        counts=counts,
        word_offsets=np.searchsorted(word_documents, np.arange(size + 1)),
        words=inverse[:words] - offsets[word_documents],
    )


def _unique(values: Ints) -> tuple[Ints, Ints, Ints]:
    """`np.unique` with inverse and counts, of values from 0.

    Where value and position fit into one word together, that is sorted: numpy sorts words with vector instructions, but
    not their positions by them (half the time).
    """
    bits = len(values).bit_length()
    if not len(values) or int(values.max()).bit_length() + bits > 63:
        unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return unique, inverse, counts
    packed = np.sort(values << bits | np.arange(len(values)))
    sorted_values = packed >> bits
    first = np.concatenate(([True], sorted_values[1:] != sorted_values[:-1]))
    starts = np.flatnonzero(first)
    inverse = np.empty(len(values), np.int64)
    inverse[packed & ((1 << bits) - 1)] = np.cumsum(first) - 1
    return sorted_values[starts], inverse, np.diff(starts, append=len(values))


def _with_ngrams(names: Any, codes: Ints, documents: Ints, longest: int) -> tuple[Any, Ints, Ints]:
    """Append the n-grams of 2 … `longest` words, joined by a blank, to the single words."""
    all_names, all_codes, all_documents = [names], [codes], [documents]
    grams, gram_names, known = codes, names, len(names)
    for length in range(2, longest + 1):
        size = max(len(codes) - length + 1, 0)
        inside = documents[:size] == documents[length - 1 :]
        pairs, compact = np.unique(grams[:size] * max(len(names), 1) + codes[length - 1 :], return_inverse=True)
        first, last = np.divmod(pairs, max(len(names), 1))
        words = gram_names.take(pa.array(first)), names.take(pa.array(last))
        gram_names = pc.binary_join_element_wise(*words, pa.scalar(" ", pa.large_string()))
        grams = compact
        all_names.append(gram_names)
        all_codes.append(known + compact[inside])
        all_documents.append(documents[:size][inside])
        known += len(gram_names)
    return pa.concat_arrays(all_names), np.concatenate(all_codes), np.concatenate(all_documents)


def _tokens(texts: Sequence[str], options: Options) -> tuple[pa.Array, Ints]:
    """Every token of every text in order, and the number of the text that each stands in."""
    if (options.tokenizer, options.pattern) == ("pattern", WORDS):
        return _cut(texts, options.lowercase)
    find = jieba_tokenizer.words if options.tokenizer == "jieba" else re.compile(options.pattern).findall
    found = [find(text.lower() if options.lowercase else text) for text in texts]
    documents = np.repeat(np.arange(len(texts)), [len(tokens) for tokens in found])
    return pa.array([token for tokens in found for token in tokens], pa.large_string()), documents


def _cut(texts: Sequence[str], lowercase: bool) -> tuple[pa.Array, Ints]:
    """The default pattern: runs of word characters, found by where being one begins and ends."""
    joined = SEPARATOR.join(texts)
    joined = joined.lower() if lowercase else joined
    ascii_only = joined.isascii()
    encoding = "ascii" if ascii_only else "utf-32-le"
    points = np.frombuffer(joined.encode(encoding), np.uint8 if ascii_only else np.uint32)
    word = _word_characters(0x80 if ascii_only else 0x110000)[points]
    padded = np.concatenate(([False], word, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    starts, ends = edges[::2], edges[1::2]
    single = ends - starts < 2
    word[starts[single]] = False
    starts, ends = starts[~single], ends[~single]
    documents = np.searchsorted(np.flatnonzero(points == ord(SEPARATOR)), starts)
    return _strings(points[word], ends - starts, encoding), documents


def _strings(points: npt.NDArray[Any], lengths: Ints, encoding: str) -> pa.Array:
    """Tokens that stand one behind the other, as an array of strings without a Python object for each."""
    if encoding == "ascii":
        content, widths = points.tobytes(), lengths
    else:
        content = points.tobytes().decode(encoding).encode()
        width = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
        bounds = np.concatenate(([0], np.cumsum(width)))
        ends = np.cumsum(lengths)
        widths = bounds[ends] - bounds[ends - lengths]
    offsets = np.concatenate(([0], np.cumsum(widths))).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_string(), len(lengths), buffers)


@cache
def _word_characters(size: int) -> npt.NDArray[np.bool_]:
    """For each of the first code points, whether `re` counts it as `\\w`: what `str.isalnum` takes, and `_`."""
    table = np.fromiter((chr(point).isalnum() for point in range(size)), np.bool_, size)
    table[ord("_")] = True
    return table
