"""The normal form in which texts are compared, stored and tokenized."""

import re
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa

CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


def normalise_text(text: str) -> str:
    """Remove control characters, compose characters (Unicode NFC), and turn runs of white space into single blanks.

    >>> normalise_text("Cafe\\u0301\\x00  au\\n lait ")
    'Café au lait'
    """
    return " ".join(unicodedata.normalize("NFC", CONTROL_CHARACTERS.sub("", text)).split())


def normalise_array(texts: pa.StringArray) -> pa.StringArray:
    """`normalise_text` of each text; none may be null.

    Array operations find the texts that normalisation would not change, which are nearly all, and leave them alone.
    """
    changed = np.flatnonzero(_may_change(texts))
    if not len(changed):
        return texts
    normalised = pa.array([normalise_text(text) for text in texts.take(pa.array(changed)).to_pylist()], pa.string())
    order = np.arange(len(texts))
    order[changed] = len(texts) + np.arange(len(changed))
    return pa.concat_arrays([texts, normalised]).take(pa.array(order))


def _may_change(texts: pa.StringArray) -> npt.NDArray[np.bool_]:
    """Which texts have a byte that is not printable ASCII, two blanks in a row, or a blank at either end."""
    _, offset_buffer, content = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    codes = np.frombuffer(content or b"", np.uint8)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    is_blank = codes == ord(" ")
    is_suspect = (codes < ord(" ")) | (codes > ord("~"))
    is_suspect[1:] |= is_blank[1:] & is_blank[:-1]
    not_empty = offsets[1:] > offsets[:-1]
    for ends in (offsets[:-1][not_empty], offsets[1:][not_empty] - 1):
        is_suspect[ends] |= is_blank[ends]
    result = np.zeros(len(texts), np.bool_)
    result[np.searchsorted(offsets[1:], np.flatnonzero(is_suspect), side="right")] = True
    return result
