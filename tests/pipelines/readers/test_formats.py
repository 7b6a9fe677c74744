"""Hostile files: every row comes out once, good or with its reason."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.readers import formats, orange_tab
from pipelines.readers.formats import BrokenFile, Row, UnknownColumn
from pipelines.readers.raw_documents import Limits, checked
from pipelines.sources.files import Options


def rows(path: Path, content: bytes | str, **options: object) -> list[tuple[object, ...]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    settings = Options(path=str(path), format=path.suffix[1:], **{"max_bytes": 50} | options)  # type: ignore[arg-type]
    found = formats.FORMATS[settings.format](f"file://{path}", settings)
    limits = Limits(settings.max_bytes, label_needed=bool(settings.label))
    return [(text, labels, reason) for _, text, _, labels, *_, reason in checked(found, path.name, limits)]


def reasons(found: list[tuple[object, ...]]) -> list[object]:
    return [reason for _, _, reason in found]


def test_json(tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbf{"text": "good"}\n\n{"text": 5}\n{"text": null}\n[1]\n{"text": "cut\n"x"\n'
        b'{"other": 1}\n{"text": "bad \xff byte"}\n{"text": "\\ud800"}\n{"text": "'
        + b"a" * 60
        + b'"}\n'
        + b"[" * 20
        + b'\n{"text": " \\u0000 "}\r\n{"text": "last"}'
    )
    found = rows(tmp_path / "a.json", content)
    assert [text for text, _, _ in found if text] == ["good", "last"]
    assert reasons(found) == [
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


def test_csv(tmp_path: Path) -> None:
    content = (
        b'text,label\n"a ""quoted"", text\nin two lines",x\nshort\n"closed"badly,x\nno label,\nbad \xff,x\n"'
        + b"b" * 120
        + b'\nstill the same row",x\nplain,y\n"never closed,x\n'
    )
    found = rows(tmp_path / "a.csv", content, label="label")
    assert [(text, labels) for text, labels, reason in found if not reason] == [
        ('a "quoted", text\nin two lines', ["x"]),
        ("plain", ["y"]),
    ]
    assert [str(reason).split(":")[0] for reason in reasons(found)] == [
        "None",
        "broken CSV",
        "broken CSV",
        "no label",
        "not valid text in the encoding given",
        "over source.max_bytes=50",
        "None",
        "broken CSV",
    ]


def test_csv_without_a_header_and_with_another_separator(tmp_path: Path) -> None:
    found = rows(tmp_path / "a.csv", "x;one\ny;two\n", separator=";", header=False, text="_c1", label="_c0")
    assert found == [("one", ["x"], None), ("two", ["y"], None)]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "gb18030"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "Übermut" if encoding != "gb18030" else "北京"
    found = rows(tmp_path / "a.json", f'{{"text": "{text}"}}\n'.encode(encoding), encoding=encoding)
    assert found == [(text, [], None)]


def test_text_files_are_labelled_by_their_folder(tmp_path: Path) -> None:
    (tmp_path / "sport").mkdir()
    path = tmp_path / "sport" / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfgoal")
    assert next(formats.text_rows(f"file://{path}", Options(path="/x")))[:2] == ("goal", "sport")
    assert next(formats.text_rows(f"file://{path}", Options(path="/x", label=""))).label is None
    path.write_bytes(b"\xa3")
    assert next(formats.text_rows(f"file://{path}", Options(path="/x"))).reason == "not valid utf-8"


def test_unknown_columns(tmp_path: Path) -> None:
    with pytest.raises(UnknownColumn, match="no column is named 'text'; there are a, b"):
        rows(tmp_path / "a.csv", "a,b\n1,2\n")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    with pytest.raises(UnknownColumn, match="no column is named 'text'"):
        list(formats.parquet_rows(f"file://{tmp_path}/b.parquet", Options(path="/x", format="parquet")))


def test_truncated_containers(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"text": "a"}\n' * 1000)
    (tmp_path / "a.json.gz").write_bytes(whole[:-9])
    (tmp_path / "b.json.gz").write_bytes(b"not gzip at all")
    pq.write_table(pa.table({"text": ["a" * 1000] * 100}), tmp_path / "c.parquet", compression="none")
    cut = (tmp_path / "c.parquet").read_bytes()
    (tmp_path / "c.parquet").write_bytes(cut[: len(cut) // 2])
    for name, kind in [("a.json.gz", "json"), ("b.json.gz", "json"), ("c.parquet", "parquet")]:
        with pytest.raises(BrokenFile, match="broken"):
            formats.check_file(f"file://{tmp_path}/{name}", kind)
    spoilt = "text\nfirst\nsecond\n".encode("utf-16") + b"\x00\xd8" + "third\n".encode("utf-16-le")
    (tmp_path / "e.csv").write_bytes(spoilt)
    with pytest.raises(BrokenFile, match="not valid utf-16"):
        formats.check_file(f"file://{tmp_path}/e.csv", "csv", "utf-16")
    with pytest.raises(BrokenFile, match="the first line is not valid utf-8"):
        rows(tmp_path / "f.csv", b"te\xfft,label\na,b\n")
    (tmp_path / "d.json.gz").write_bytes(whole)
    formats.check_file(f"file://{tmp_path}/d.json.gz", "json")


def test_ids_are_stable_and_repeated_test_texts_keep_apart() -> None:
    def ids(found: list[Row]) -> list[str | None]:
        return [row[0] for row in checked(found, "a.json", Limits(100, label_needed=False))]

    twice = [Row("same", split="test"), Row("same", split="test"), Row("same", split="train"), Row("same")]
    first, second, third, fourth = ids(twice)
    assert first == third == fourth != second
    assert ids(twice) == [first, second, third, fourth]
    assert ids([Row("a", id=7), Row("a", id="x")]) == ["7", "x"]


def test_an_unknown_split_is_a_reason() -> None:
    ((_, text, *_, reason),) = checked([Row("a", split="dev")], "f", Limits(9, label_needed=False))
    assert (text, reason) == (None, "unknown split 'dev'")


def test_published_files_give_all_classes_with_their_split_or_some_without_it(tmp_path: Path) -> None:
    path = tmp_path / "test.tab"
    path.write_text("class\ttext\nd\tstring\nclass\tmeta\n\nsea\ta ship\nland\twheat\nair\ta kite\n")
    assert [row[:4] for row in orange_tab.rows(str(path))] == [
        ("a ship", "sea", None, "test"),
        ("wheat", "land", None, "test"),
        ("a kite", "air", None, "test"),
    ]
    assert [row[:4] for row in orange_tab.rows(str(path), ["sea", "air"])] == [
        ("a ship", "sea", None, None),
        ("a kite", "air", None, None),
    ]
