"""JSON lines: one JSON object per line."""

import json
from collections.abc import Iterator

from pipelines.readers.rows import FormatOptions, Row, selected_columns
from pipelines.readers.text_lines import open_lines, oversize_reason, raw_bytes, skip_line


def read_rows(path: str, options: FormatOptions) -> Iterator[Row]:
    """A row for each line that is not blank."""
    with open_lines(path, options) as lines:
        while line := lines.readline(options.max_bytes + 1):
            if len(line) > options.max_bytes:
                yield Row(reason=oversize_reason(options), raw=raw_bytes(line, options))
                skip_line(lines, line, options.max_bytes)
            elif line.strip():
                yield _parse_line(line, options)


def _parse_line(line: str, options: FormatOptions) -> Row:
    raw = raw_bytes(line, options)
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return Row(reason="broken JSON", raw=raw)
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else "value"
        return Row(reason=f"a JSON {kind} where an object should be", raw=raw)
    columns = selected_columns(options)
    for name in columns.values():
        if name not in value:
            return Row(reason=f"no column '{name}'", raw=raw)
    return Row.from_values({role: value[name] for role, name in columns.items()}, raw)
