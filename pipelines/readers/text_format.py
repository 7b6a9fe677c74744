"""Plain text files: the whole file is one document."""

from collections.abc import Iterator

from pipelines.readers.rows import FormatOptions, Row
from pipelines.readers.streams import open_decompressed
from pipelines.readers.text_lines import encoding_without_bom


def read_rows(path: str, options: FormatOptions) -> Iterator[Row]:
    """The file's only row; its label is the name of the file's folder, unless `label` is ''."""
    with open_decompressed(path) as stream:
        raw = stream.read(options.max_bytes + 1)
    label = None if options.label == "" else path.rsplit("/", 2)[-2]
    try:
        yield Row(raw.decode(encoding_without_bom(options.encoding)), label, raw=raw)
    except UnicodeDecodeError:
        yield Row(reason=f"not valid {options.encoding}", raw=raw)
