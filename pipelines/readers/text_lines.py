"""Files as lines of text: encodings, over-long lines, and the bytes of a rejected line."""

import io
from typing import TextIO

from pipelines.readers.rows import BrokenFile, FormatOptions
from pipelines.readers.streams import CHUNK_BYTES, open_decompressed


def open_lines(path: str, options: FormatOptions) -> TextIO:
    """A file's text, decompressed and decoded; line breaks are kept as they are.

    Bytes that cannot be decoded become lone surrogates (PEP 383), so that they cost one row and not the whole file.
    """
    errors = "surrogateescape" if has_single_byte_newline(options.encoding) else "strict"
    return io.TextIOWrapper(open_decompressed(path), encoding_without_bom(options.encoding), errors=errors, newline="")


def skip_line(lines: TextIO, line: str, limit: int) -> None:
    """Read on to the end of a line of which only the beginning, `line`, has been read, `limit` characters at a time."""
    while line and not line.endswith(("\n", "\r")):
        line = lines.readline(limit)


def raw_bytes(text: str, options: FormatOptions) -> bytes:
    """The bytes in the file that `open_lines` decoded to `text`."""
    return text.encode(options.encoding, "surrogateescape")


def is_decoded(text: str) -> bool:
    """Whether `open_lines` could decode all bytes of `text`: it contains no lone surrogate (PEP 383)."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def oversize_reason(options: FormatOptions) -> str:
    """Why a row that is too large is rejected."""
    return f"over source.max_bytes={options.max_bytes}"


def encoding_without_bom(encoding: str) -> str:
    """The codec that drops a byte order mark at the start of a file in this encoding."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def has_single_byte_newline(encoding: str) -> bool:
    """Whether lines can be separated even after bytes that cannot be decoded."""
    return "\n".encode(encoding) == b"\n"


def check_encoding(path: str, encoding: str) -> None:
    """Decode a whole file if, in its encoding, one wrong byte spoils all the text after it.

    Raises:
        BrokenFile: the file cannot be decoded.
    """
    if has_single_byte_newline(encoding):
        return
    try:
        with io.TextIOWrapper(open_decompressed(path), encoding) as text:
            while text.read(CHUNK_BYTES):
                pass
    except UnicodeError as error:
        raise BrokenFile(f"not valid {encoding}") from error
