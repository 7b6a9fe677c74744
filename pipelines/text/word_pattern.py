"""Finding the words of many texts at once, with array operations on their code points.

A word is what scikit-learn's default token pattern matches: two or more characters in a row that Python's `re` counts
as `\\w`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

WORDS = r"(?u)\b\w\w+\b"
SEPARATOR = "\n"  # does not occur in a normalised text
CODE_POINTS, ASCII_CODE_POINTS = 0x110000, 0x80

IntArray = npt.NDArray[np.int64]


def find_words(texts: Sequence[str], *, lowercase: bool) -> tuple[pa.Array, IntArray]:
    """All matches of `WORDS` in normalised texts, in their order, and for each the index of its text."""
    joined = SEPARATOR.join(texts)
    joined = joined.lower() if lowercase else joined
    is_ascii = joined.isascii()
    encoding = "ascii" if is_ascii else "utf-32-le"
    points = np.frombuffer(joined.encode(encoding), np.uint8 if is_ascii else np.uint32)
    in_word = word_characters(ASCII_CODE_POINTS if is_ascii else CODE_POINTS)[points]
    padded = np.concatenate(([False], in_word, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    starts, ends = edges[::2], edges[1::2]
    is_single = ends - starts < 2
    in_word[starts[is_single]] = False
    starts, ends = starts[~is_single], ends[~is_single]
    documents = np.searchsorted(np.flatnonzero(points == ord(SEPARATOR)), starts)
    return _string_array(points[in_word], ends - starts, encoding), documents


def _string_array(points: npt.NDArray[Any], lengths: IntArray, encoding: str) -> pa.Array:
    """Adjoining words, given by their code points and lengths, as an array of strings; no Python object is made."""
    if encoding == "ascii":
        content, widths = points.tobytes(), lengths
    else:
        content = points.tobytes().decode(encoding).encode()
        width = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)  # of each in UTF-8
        bounds = np.concatenate(([0], np.cumsum(width)))
        ends = np.cumsum(lengths)
        widths = bounds[ends] - bounds[ends - lengths]
    offsets = np.concatenate(([0], np.cumsum(widths))).astype(np.int64)
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.large_string(), len(lengths), buffers)


@cache
def word_characters(size: int) -> npt.NDArray[np.bool_]:
    """For each code point below `size`, whether `re` counts it as `\\w`: `str.isalnum` or an underscore."""
    table = np.fromiter((chr(point).isalnum() for point in range(size)), np.bool_, size)
    table[ord("_")] = True
    return table
