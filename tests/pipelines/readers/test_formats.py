"""Hostile files: every row comes out once, as a document or with the reason for its rejection."""

import csv
import gzip
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.readers import orange_tab, parquet_format, text_format
from pipelines.readers.formats import FORMATS, check_file
from pipelines.readers.row_rules import Document, RowRules, to_documents
from pipelines.readers.rows import BrokenFile, Row, UnknownColumn
from pipelines.sources.files import Options


def read(path: Path, content: bytes | str, **options: object) -> list[Document]:
    """Write a file and read its documents; the format is the file's ending."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = Options(path=str(path), format=path.suffix[1:], **{"max_bytes": 50} | options)  # type: ignore[arg-type]
    rows = FORMATS[settings.format](f"file://{path}", settings)
    rules = RowRules(settings.max_bytes, needs_label=bool(settings.label))
    return list(to_documents(rows, path.name, rules))


def reasons(documents: Iterable[Document]) -> list[str | None]:
    return [document.reason for document in documents]


def labelled_texts(documents: Iterable[Document]) -> list[tuple[str | None, list[str]]]:
    """The documents that were not rejected."""
    return [(document.text, document.labels) for document in documents if not document.reason]


def test_each_faulty_json_line_is_rejected_with_its_reason(tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbf{"text": "good"}\n\n{"text": 5}\n{"text": null}\n[1]\n{"text": "cut\n"x"\n'
        b'{"other": 1}\n{"text": "bad \xff byte"}\n{"text": "\\ud800"}\n{"text": "'
        + b"a" * 60
        + b'"}\n'
        + b"[" * 20
        + b'\n{"text": " \\u0000 "}\r\n{"text": "last"}'
    )
    documents = read(tmp_path / "a.json", content)
    assert labelled_texts(documents) == [("good", []), ("last", [])]
    assert reasons(documents) == [
        None,
        "the text is not a string",
        "no text",
        "a JSON array where an object should be",
        "broken JSON",
        "a JSON value where an object should be",
        "no column 'text'",
        "not valid text in the encoding given",
        "not valid text in the encoding given",
        "over source.max_bytes=50",
        "broken JSON",
        "no text",
        None,
    ]


def test_each_faulty_csv_record_is_rejected_with_its_reason(tmp_path: Path) -> None:
    content = (
        b'text,label\n"a ""quoted"", text\nin two lines",x\nshort\n"closed"badly,x\nno label,\nbad \xff,x\n"'
        + b"b" * 120
        + b'\nstill the same row",x\nplain,y\n"never closed,x\n'
    )
    documents = read(tmp_path / "a.csv", content, label="label")
    assert labelled_texts(documents) == [('a "quoted", text\nin two lines', ["x"]), ("plain", ["y"])]
    assert [str(reason).split(":")[0] for reason in reasons(documents)] == [
        "None",
        "broken CSV",
        "broken CSV",
        "no label",
        "not valid text in the encoding given",
        "over source.max_bytes=50",
        "None",
        "broken CSV",
    ]


def test_a_limit_holds_for_the_file_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    read(tmp_path / "a.csv", "text\nwords\n", max_bytes=7)
    assert csv.field_size_limit() == before


def test_csv_without_a_header_and_with_another_separator(tmp_path: Path) -> None:
    documents = read(tmp_path / "a.csv", "x;one\ny;two\n", separator=";", header=False, text="_c1", label="_c0")
    assert labelled_texts(documents) == [("one", ["x"]), ("two", ["y"])]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "gb18030"])
def test_other_encodings_are_decoded(tmp_path: Path, encoding: str) -> None:
    text = "Übermut" if encoding != "gb18030" else "北京"
    documents = read(tmp_path / "a.json", f'{{"text": "{text}"}}\n'.encode(encoding), encoding=encoding)
    assert labelled_texts(documents) == [(text, [])]


def test_text_files_are_labelled_by_their_folder(tmp_path: Path) -> None:
    (tmp_path / "sport").mkdir()
    path = tmp_path / "sport" / "a.txt"

    def read_row(**options: str) -> Row:
        return next(text_format.read_rows(f"file://{path}", Options(path="/x", **options)))  # type: ignore[arg-type]

    path.write_bytes(b"\xef\xbb\xbfgoal")
    assert (read_row().text, read_row().label) == ("goal", "sport")
    assert read_row(label="").label is None
    path.write_bytes(b"\xa3")
    assert read_row().reason == "not valid utf-8"


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(UnknownColumn, match="no column is named 'text'; there are a, b"):
        read(tmp_path / "a.csv", "a,b\n1,2\n")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    with pytest.raises(UnknownColumn, match="no column is named 'text'"):
        list(parquet_format.read_rows(f"file://{tmp_path}/b.parquet", Options(path="/x", format="parquet")))


def test_truncated_gzip_and_parquet_files_are_broken(tmp_path: Path) -> None:
    complete = gzip.compress(b'{"text": "a"}\n' * 1000)
    (tmp_path / "a.json.gz").write_bytes(complete[:-9])
    (tmp_path / "b.json.gz").write_bytes(b"not gzip at all")
    pq.write_table(pa.table({"text": ["a" * 1000] * 100}), tmp_path / "c.parquet", compression="none")
    parquet = (tmp_path / "c.parquet").read_bytes()
    (tmp_path / "c.parquet").write_bytes(parquet[: len(parquet) // 2])
    for name, file_format in [("a.json.gz", "json"), ("b.json.gz", "json"), ("c.parquet", "parquet")]:
        with pytest.raises(BrokenFile, match="broken"):
            check_file(f"file://{tmp_path}/{name}", file_format)
    (tmp_path / "d.json.gz").write_bytes(complete)
    check_file(f"file://{tmp_path}/d.json.gz", "json")


def test_a_wrong_byte_breaks_a_file_in_an_encoding_whose_lines_it_hides(tmp_path: Path) -> None:
    damaged = "text\nfirst\nsecond\n".encode("utf-16") + b"\x00\xd8" + "third\n".encode("utf-16-le")
    (tmp_path / "a.csv").write_bytes(damaged)
    with pytest.raises(BrokenFile, match="not valid utf-16"):
        check_file(f"file://{tmp_path}/a.csv", "csv", "utf-16")


def test_a_wrong_byte_in_the_csv_header_breaks_the_file(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile, match="the first line is not valid utf-8"):
        read(tmp_path / "a.csv", b"te\xfft,label\na,b\n")


def test_ids_follow_from_the_text_and_repeated_test_texts_get_distinct_ones() -> None:
    def ids(rows: list[Row]) -> list[str | None]:
        return [document.id for document in to_documents(rows, "a.json", RowRules(100, needs_label=False))]

    same = [Row("same", split="test"), Row("same", split="test"), Row("same", split="train"), Row("same")]
    first, second, third, fourth = ids(same)
    assert first == third == fourth != second
    assert ids(same) == [first, second, third, fourth]
    assert ids([Row("a", id=7), Row("a", id="x")]) == ["7", "x"]


def test_a_row_of_an_unknown_split_is_rejected() -> None:
    (document,) = to_documents([Row("a", split="dev")], "f", RowRules(9, needs_label=False))
    assert (document.text, document.reason) == (None, "unknown split 'dev'")


def test_published_files_are_read_with_their_split_or_some_classes_of_them_without(tmp_path: Path) -> None:
    path = tmp_path / "test.tab"
    path.write_text("class\ttext\nd\tstring\nclass\tmeta\n\nsea\ta ship\nland\twheat\nair\ta kite\n")

    def read_rows(*classes: str) -> list[tuple[object, ...]]:
        return [(row.text, row.label, row.split) for row in orange_tab.read_rows(str(path), classes)]

    assert read_rows() == [("a ship", "sea", "test"), ("wheat", "land", "test"), ("a kite", "air", "test")]
    assert read_rows("sea", "air") == [("a ship", "sea", None), ("a kite", "air", None)]
