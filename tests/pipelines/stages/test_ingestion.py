"""From files to bronze: everything taken once, everything accounted for, nothing written after a mistake."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from pipelines import ingest
from pipelines.config import Config, load
from pipelines.errors import UserError
from pipelines.lakehouse.schemas import BATCHES, QUARANTINE, RAW_DOCUMENTS, TableSchema
from pipelines.lakehouse.tables import DeltaTable
from pipelines.stages import ingestion
from tests.conftest import content, table, versions, write_json

pytestmark = pytest.mark.spark
Configure = Callable[..., Config]


def taken(spark: SparkSession, config: Config) -> list[tuple[str, list[str]]]:
    return sorted((row["text"], row["labels"]) for row in table(spark, config, RAW_DOCUMENTS).collect())


def reasons(spark: SparkSession, config: Config) -> list[str]:
    return sorted(row["reason"] for row in table(spark, config, QUARANTINE).collect())


def test_every_format_gives_the_same_documents(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    rows = [{"text": "one two", "label": "a"}, {"text": "three, four", "label": "b"}]
    write_json(tmp_path / "json" / "x.json", rows)
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "x.csv").write_text('label;text\na;one two\nb;"three, four"\n')
    (tmp_path / "parquet").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "parquet" / "x.parquet")
    spark.createDataFrame(rows).write.format("delta").save(f"file://{tmp_path}/delta")  # type: ignore[type-var]
    for row in rows:
        (tmp_path / "text" / row["label"]).mkdir(parents=True)
        (tmp_path / "text" / row["label"] / "x.txt").write_text(row["text"])
    for kind in ("json", "csv", "parquet", "delta", "text"):
        arguments = [f"source.path={tmp_path}/{kind}", f"source.format={kind}", f"dataset={kind}"]
        arguments += ["source.separator=;"] if kind == "csv" else []
        config = configured(*arguments, *(["source.label=label"] if kind != "text" else []))
        assert ingest.run(spark, config).batches == [1]
        assert taken(spark, config) == [("one two", ["a"]), ("three, four", ["b"])]
        assert ingest.run(spark, config).status == "unchanged"


def test_bad_rows_and_files_are_set_aside_and_counted(
    spark: SparkSession, tmp_path: Path, configured: Configure
) -> None:
    folder = tmp_path / "in"
    write_json(folder / "a.json", [{"text": "good", "label": "x"}, [1, 2], {"text": 7, "label": "x"}, {"text": "no"}])
    (folder / "cut.json.gz").write_bytes(gzip.compress(b'{"text": "t", "label": "x"}\n' * 99)[:-4])
    (folder / "_hidden.json").write_text("not looked at")
    config = configured(f"source.path={folder}", "source.format=json", "source.label=label")
    ingest.run(spark, config)
    assert taken(spark, config) == [("good", ["x"])]
    broken, *others = reasons(spark, config)[1:], *reasons(spark, config)[:1]
    assert others == ["a JSON array where an object should be"]
    assert [reason.split(":")[0] for reason in broken] == [
        "broken gzip",
        "no column 'label'",
        "the text is not a string",
    ]
    digests = [row["digest"] for row in table(spark, config, QUARANTINE).collect()]
    assert all(len(digest) == 64 for digest in digests)


def test_a_second_run_takes_only_what_is_new(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    write_json(tmp_path / "in" / "a.json", [{"text": "first"}])
    config = configured(f"source.path={tmp_path}/in", "source.format=json")
    ingest.run(spark, config)
    before = versions(tmp_path / "lake")
    os.utime(tmp_path / "in" / "a.json", (1, 1))  # touched, not changed
    assert ingest.run(spark, config).status == "unchanged"
    assert versions(tmp_path / "lake") == before
    write_json(tmp_path / "in" / "b.json", [{"text": "second"}])
    assert ingest.run(spark, config).batches == [2]
    assert [text for text, _ in taken(spark, config)] == ["first", "second"]


def killed_at(schema: TableSchema) -> Callable[..., bool]:
    """`DeltaTable.commit`, but that of one table never happens."""
    commit = DeltaTable.commit

    def commit_or_die(table: DeltaTable, *rest: Any, **more: Any) -> bool:
        if table.schema is schema:
            raise OSError("killed")
        return commit(table, *rest, **more)

    return commit_or_die


def test_a_planned_batch_is_finished_by_the_next_run(
    spark: SparkSession, tmp_path: Path, configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "in" / "a.json", [{"text": "good"}, [1]])
    config = configured(f"source.path={tmp_path}/in", "source.format=json")
    with monkeypatch.context() as patched:
        patched.setattr(ingestion, "take_batch", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            ingest.run(spark, config)
    with monkeypatch.context() as patched:  # between the two commits of a batch
        patched.setattr(DeltaTable, "commit", killed_at(RAW_DOCUMENTS))
        with pytest.raises(OSError, match="killed"):
            ingest.run(spark, config)
    assert len(reasons(spark, config)) == 1
    other = configured(f"source.path={tmp_path}/in", "source.format=text")  # the plan's own settings count
    ingest.run(spark, other)
    assert taken(spark, config) == [("good", [])]
    assert reasons(spark, config) == ["a JSON array where an object should be"]


def test_a_file_that_goes_after_the_plan_is_no_obstacle(
    spark: SparkSession, tmp_path: Path, configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "in" / "a.json", [{"text": "good"}])
    write_json(tmp_path / "in" / "b.json", [{"text": "gone"}])
    config = configured(f"source.path={tmp_path}/in", "source.format=json")
    with monkeypatch.context() as patched:
        patched.setattr(ingestion, "take_batch", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            ingest.run(spark, config)
    (tmp_path / "in" / "b.json").unlink()
    assert ingest.run(spark, config).to_dict()["rows"] == {"read": 2, "kept": 1, "quarantined": 1}
    assert reasons(spark, config) == ["the file is gone since it was planned"]


def test_a_delta_table_whose_columns_have_other_names_in_its_files(
    spark: SparkSession, tmp_path: Path, configured: Configure
) -> None:
    place = f"delta.`{tmp_path}/mapped`"
    spark.sql(f"create table {place} (text string) using delta tblproperties ('delta.columnMapping.mode' = 'name')")
    spark.sql("select explode(array('one', 'two')) as text").writeTo(place).append()
    config = configured(f"source.path={tmp_path}/mapped", "source.format=delta")
    ingest.run(spark, config)
    assert taken(spark, config) == [("one", []), ("two", [])]
    with pytest.raises(UserError, match="no column is named 'body'; there are text"):
        ingest.run(spark, configured(f"source.path={tmp_path}/mapped", "source.format=delta", "source.text=body"))


def test_a_known_id_with_another_text_is_set_aside(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    write_json(tmp_path / "in" / "a.json", [{"text": "one", "id": 1}, {"text": "two", "id": 1}, {"text": "x", "id": 2}])
    config = configured(f"source.path={tmp_path}/in", "source.format=json", "source.id=id")
    ingest.run(spark, config)
    write_json(tmp_path / "in" / "b.json", [{"text": "one", "id": 1}, {"text": "y", "id": 2}, {"text": "z", "id": 3}])
    ingest.run(spark, config)
    assert [text for text, _ in taken(spark, config)] == ["one", "one", "x", "z"]
    assert reasons(spark, config) == ["the id is known with another text"] * 2


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, [], "there is nothing at"),
        ({"a.json": '{"text": "a"}\n'}, ["source.text=body"], "no column 'body'"),
        ({"a.json": '[1]\n{"text": "a"}\n'}, ["source.text=body"], "no column 'body'"),
        ({"lake": "", "a.json": '{"text": "a"}\n'}, ["lake=LAKE"], "is a file; name a folder"),
        ({"a.csv": "a,b\n1,2\n"}, ["source.format=csv"], "no column is named 'text'; there are a, b"),
        ({"a.gz": "broken", "b.csv": "a,b\n1,2\n"}, ["source.format=csv"], "no column is named 'text'; there are a, b"),
        ({"a.json": '{"text": "a"}\n'}, ["source.format=delta"], "is not a Delta table"),
        ({"a.json": ""}, [], "is empty"),
        ({"a.csv": "text\n"}, ["source.format=csv"], "is empty"),
    ],
)
def test_a_mistake_writes_nothing(
    spark: SparkSession,
    tmp_path: Path,
    configured: Configure,
    files: dict[str, str],
    arguments: list[str],
    message: str,
) -> None:
    for name, text in files.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(text)
    arguments = [argument.replace("LAKE", f"{tmp_path}/in/lake") for argument in arguments]
    with pytest.raises(UserError, match=message):
        ingest.run(spark, configured(f"source.path={tmp_path}/in", "source.format=json", *arguments))
    assert not (tmp_path / "lake").exists()


def test_a_name_that_looks_like_a_glob_is_found(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    write_json(tmp_path / "in [a]" / "x?*.json", [{"text": "found"}])
    for number, path in enumerate(["in [a]", "in [a]/x?*.json", "in*/x*"]):
        config = configured(f"source.path={tmp_path}/{path}", "source.format=json", f"dataset=d{number} [e]")
        ingest.run(spark, config)
        assert taken(spark, config) == [("found", [])]


def test_bbc_is_whole(spark: SparkSession, tmp_path: Path) -> None:
    config = load([f"lake={tmp_path}/lake"])
    ingest.run(spark, config)
    assert table(spark, config, BATCHES).count() == 2225
    assert table(spark, config, RAW_DOCUMENTS).count() == 2224
    (bad,) = table(spark, config, QUARANTINE).collect()
    assert (bad["path"].rsplit("/", 2)[1:], bad["reason"]) == (["sports", "199.txt"], "not valid utf-8")
    assert len(set(content(table(spark, config, RAW_DOCUMENTS)))) == 2224
