"""maintain: fewer files, the same rows, the same trainings; and nothing gone that somebody may read."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from models.dataset.tfidf import Options
from models.training.task import Task
from pipelines import evaluate, featurize, maintain, predict, train
from pipelines.config import Config, load
from pipelines.errors import UserError
from pipelines.lakehouse import locks, vocabulary
from pipelines.lakehouse.data_files import DataFile
from pipelines.lakehouse.locks import Overlap
from pipelines.lakehouse.schemas import (
    ALL,
    CLEAN_DOCUMENTS,
    FEATURES,
    METRICS,
    PREDICTIONS,
    RAW_DOCUMENTS,
    RUNS,
    SNAPSHOTS,
    VOCABULARY,
    TableSchema,
)
from pipelines.maintenance import compaction
from tests.conftest import content, documents, opened, stored_rows, table, term_counts, versions, write_json
from tests.jobs import start, wait_for, weights_of

Configure = Callable[..., Config]
BATCHES = 6
AT_ONCE = "maintain.retention_hours=0"


def arguments(tmp_path: Path, *more: str) -> list[str]:
    source = [f"source.path={tmp_path}/in", "source.format=json", "source.label=label"]
    return [*source, "train.epochs=3", "train.cache_gb=0", *more]


def arrive(spark: SparkSession, config: Config, tmp_path: Path, batches: range) -> None:
    """Each batch with a few documents of the one before, and a bad row."""
    for number in batches:
        rows = [*documents(23, start=number * 20), [number]]
        write_json(tmp_path / "in" / f"{number}.json", rows)
        featurize.run(spark, config)


@pytest.fixture(scope="module")
def four_batches(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake of four batches, and that lake when it had three, `three`; tests work on copies."""
    folder = tmp_path_factory.mktemp("four")
    config = load([f"lake={folder}/lake", "source=files", *arguments(folder)])
    arrive(spark, config, folder, range(1, 4))
    shutil.copytree(folder / "lake", folder / "three")
    arrive(spark, config, folder, range(4, 5))
    return folder


def rows_of(spark: SparkSession, config: Config) -> dict[str, list[str]]:
    """All rows of all tables in all columns, but the vocabulary's, as another reader of Delta has them."""
    dataset = opened(spark, config)
    schemas = [schema for schema in ALL if dataset.table(schema).exists and schema is not VOCABULARY]
    return {schema.name: stored_rows(spark, config, schema, ()) for schema in schemas}


def rows_by_spark(spark: SparkSession, config: Config) -> dict[str, list[str]]:
    """All rows of the tables of documents, as Spark reads them."""
    schemas = (RAW_DOCUMENTS, CLEAN_DOCUMENTS, FEATURES, SNAPSHOTS)
    return {schema.name: content(table(spark, config, schema), ()) for schema in schemas}


def terms(spark: SparkSession, config: Config, snapshot: int) -> list[dict[str, Any]]:
    """What a model reads of a snapshot's vocabulary, chosen by the driver and by Spark."""
    dataset, options = opened(spark, config), Options(min_df=2)
    terms: list[dict[str, Any]] = vocabulary.select_terms(dataset, dataset.snapshot(str(snapshot)), options).to_pylist()
    assert vocabulary.query_terms(dataset, dataset.snapshot(str(snapshot)), options).toArrow().to_pylist() == terms
    return terms


def files(spark: SparkSession, config: Config, wanted: TableSchema) -> set[str]:
    """The data files below a table's folder."""
    folder = Path(opened(spark, config).table(wanted).path.removeprefix("file://"))
    return {path.name for path in folder.glob("*.parquet")}


def live(spark: SparkSession, config: Config, wanted: TableSchema) -> set[str]:
    return {file.name for file in opened(spark, config).table(wanted).data_files()}


@pytest.mark.spark
def test_fewer_files_the_same_rows_and_the_same_trainings(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    config = configured(*arguments(tmp_path))
    arrive(spark, config, tmp_path, range(1, 4))
    old = train.run(spark, configured(*arguments(tmp_path, "run=old"))).to_dict()
    arrive(spark, config, tmp_path, range(4, BATCHES + 1))
    before, chosen = rows_of(spark, config), {number: terms(spark, config, number) for number in (2, 3, BATCHES)}
    summed = term_counts(spark, config)

    done = maintain.run(spark, config).to_dict()
    assert done["status"] == "done"
    for wanted in (RAW_DOCUMENTS, CLEAN_DOCUMENTS, FEATURES, VOCABULARY, SNAPSHOTS):
        files_before, files_after = done["files"][wanted.name]
        assert files_before >= BATCHES
        assert files_after == len(live(spark, config, wanted)) == 1, wanted
    after = rows_of(spark, config)
    assert [row for row in after["runs"] if '"job": "maintain"' not in row] == before.pop("runs")
    assert {place: after[place] for place in before} == before
    assert {row["batch"] for row in table(spark, config, VOCABULARY).select("batch").collect()} == {3, BATCHES}
    assert term_counts(spark, config) == summed
    assert {number: terms(spark, config, number) for number in (3, BATCHES)} == {
        number: chosen[number] for number in (3, BATCHES)
    }
    with pytest.raises(UserError, match=r"^snapshot=2 no longer has a vocabulary .* give snapshot=3 or latest$"):
        terms(spark, config, 2)
    with pytest.raises(UserError, match=r"^snapshot=5 no longer has .* give snapshot=3, snapshot=6 or latest$"):
        train.run(spark, configured(*arguments(tmp_path, "snapshot=5")))

    again = train.run(spark, configured(*arguments(tmp_path, "run=again", "snapshot=3"))).to_dict()
    assert weights_of(again) == weights_of(old)
    assert again["metrics"]["test"] == old["metrics"]["test"]
    # Validation documents of one length are summed in the order of their files, which is another one now.
    assert again["metrics"]["validation"] == pytest.approx(old["metrics"]["validation"], rel=1e-6)
    assert again["train"]["loss"] == old["train"]["loss"]
    evaluated = evaluate.run(spark, configured(*arguments(tmp_path, f"bundle={old['bundle']}"))).to_dict()
    assert (evaluated["snapshot"], evaluated["status"]) == (BATCHES, "done")
    new = configured(*arguments(tmp_path, f"bundle={old['bundle']}", f"output={tmp_path}/out"))
    assert predict.run(spark, new).rows.rejected == BATCHES


@pytest.mark.spark
def test_a_second_one_changes_nothing_and_tables_go_on(
    spark: SparkSession, tmp_path: Path, configured: Configure
) -> None:
    many, once = (configured(*arguments(tmp_path, f"dataset={name}", AT_ONCE)) for name in ("many", "once"))
    arrive(spark, many, tmp_path, range(1, 5))
    assert maintain.run(spark, many).removed.files >= 4 * 7
    before = versions(tmp_path / "lake"), sorted(tmp_path.rglob("*.parquet"))
    assert maintain.run(spark, many).status == "unchanged"
    assert (versions(tmp_path / "lake"), sorted(tmp_path.rglob("*.parquet"))) == before
    for wanted in ALL:
        if opened(spark, many).table(wanted).exists:
            assert files(spark, many, wanted) == live(spark, many, wanted)
    arrive(spark, many, tmp_path, range(5, 7))
    featurize.run(spark, once)
    for wanted in (RAW_DOCUMENTS, CLEAN_DOCUMENTS, FEATURES):
        same = ("batch", "id", "path", "key") if wanted is not RAW_DOCUMENTS else ("batch",)
        assert stored_rows(spark, many, wanted, same) == stored_rows(spark, once, wanted, same)
    assert terms(spark, many, 6) == terms(spark, once, 1)
    with pytest.raises(UserError, match="has no tables"):
        maintain.run(spark, configured(*arguments(tmp_path, "dataset=none")))
    assert not (tmp_path / "lake" / "none").exists()


@pytest.mark.spark
def test_what_a_run_under_way_reads_and_what_is_young_stays(
    spark: SparkSession, tmp_path: Path, four_batches: Path, configured: Configure
) -> None:
    shutil.copytree(four_batches / "lake", tmp_path / "lake")
    config = configured(*arguments(tmp_path, AT_ONCE))
    folder = opened(spark, config).folder
    features = Path(opened(spark, config).table(FEATURES).path.removeprefix("file://"))
    reads = files(spark, config, FEATURES)
    young, old, aside = features / "part-young.parquet", features / "part-old.parquet", features / ".1.tmp"
    for path in (young, old, aside):
        path.write_bytes(b"killed")
    with locks.run_lock(spark, folder, "busy", Overlap("leave", 0)):
        assert maintain.run(spark, config).files[FEATURES.name] == (4, 1)
        assert reads < files(spark, config, FEATURES)
        batches = {row["batch"] for row in table(spark, config, VOCABULARY).select("batch").collect()}
        assert batches == {1, 2, 3, 4}, "which snapshot the run reads is not known"
    for path in (old, aside):
        os.utime(path, (time.time() - 4000,) * 2)
    keeping = configured(*arguments(tmp_path))
    done = maintain.run(spark, keeping).to_dict()
    assert (done["compacted"], done["removed"]["files"]) == ([VOCABULARY.name], 0), "retention is a week"
    assert maintain.run(spark, config).removed.files > 4
    assert files(spark, config, FEATURES) == live(spark, config, FEATURES) | {young.name}
    assert not aside.exists()
    os.utime(young, (time.time() - 4000,) * 2)
    assert maintain.run(spark, config).removed.files > 0
    assert not young.exists()


@pytest.mark.spark
def test_files_that_a_log_calls_by_whole_addresses_stay(
    spark: SparkSession, tmp_path: Path, four_batches: Path, configured: Configure
) -> None:
    """Delta lets a log hold them, and ours did where a lake was `hdfs:///…`: they are files like any other."""
    shutil.copytree(four_batches / "three", tmp_path / "my lake")
    config = configured(*arguments(tmp_path, AT_ONCE, f"lake={tmp_path}/my lake"))
    before = rows_by_spark(spark, config)
    for log in (tmp_path / "my lake").rglob("_delta_log/*.json"):
        place = f"file:{log.parent.parent}".replace(" ", "%20")
        log.write_text(log.read_text().replace('"path":"part', f'"path":"{place}/part'))
        (log.parent / f".{log.name}.crc").unlink()
    for path in (tmp_path / "my lake").rglob("*.parquet"):
        os.utime(path, (time.time() - 4000,) * 2)
    assert maintain.run(spark, config).status == "unchanged"
    assert rows_by_spark(spark, config) == before
    arrive(spark, config, tmp_path, range(4, 5))
    before = rows_by_spark(spark, config)
    assert maintain.run(spark, config).files[FEATURES.name] == (4, 1)
    assert rows_by_spark(spark, config) == before


@pytest.mark.spark
def test_features_are_sorted_in_row_groups_of_the_usual_size(
    spark: SparkSession, tmp_path: Path, configured: Configure
) -> None:
    import pyarrow.parquet as pq

    config = configured(*arguments(tmp_path))
    for number in range(4):
        write_json(tmp_path / "in" / f"{number}.json", documents(200, start=number * 200))
        featurize.run(spark, config)
    maintain.run(spark, config)
    (name,) = live(spark, config, FEATURES)
    file = pq.ParquetFile(Path(opened(spark, config).table(FEATURES).path.removeprefix("file://")) / name)
    rows = file.read(["split", "key", "id"]).to_pylist()
    order = [(row["split"] == "test", row["key"], row["id"]) for row in rows]
    assert order == sorted(order)
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [512, len(rows) - 512]


def test_packs_hold_a_few_small_neighbours() -> None:
    def file(number: int, size: int) -> DataFile:
        return DataFile(f"{number}", size, 0, 1, (number, number))

    small = compaction.SMALL - 1
    found = [file(number, small) for number in range(10)]
    assert [len(pack) for pack in compaction.pack_small_files(found)] == [4, 4]
    assert compaction.pack_small_files(found[:3]) == []
    assert compaction.pack_small_files([file(number, compaction.SMALL) for number in range(10)]) == []


@pytest.mark.submit
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.faults) for seed in range(1, 5))])
def test_one_that_is_killed_and_a_second_one(
    spark: SparkSession, tmp_path: Path, four_batches: Path, configured: Configure, seed: int
) -> None:
    shutil.copytree(four_batches / "lake", tmp_path / "lake")
    config = configured(*arguments(tmp_path, AT_ONCE))
    before, chosen = rows_of(spark, config), terms(spark, config, 4)
    command = [f"lake={tmp_path}/lake", "source=files", *arguments(tmp_path, AT_ONCE)]
    running = start("maintain", command, tmp_path / "err")
    wait_for(tmp_path / "err", "maintain: compacting", running)
    time.sleep(random.Random(seed).uniform(0, 4))  # noqa: S311
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(timeout=60)
    maintain.run(spark, config)
    after = rows_of(spark, config)
    for name in (RUNS, METRICS, PREDICTIONS):
        before.pop(name.name, None)
        after.pop(name.name, None)
    assert after == before
    assert terms(spark, config, 4) == chosen
    assert all(
        len(live(spark, config, wanted)) == 1 for wanted in (RAW_DOCUMENTS, CLEAN_DOCUMENTS, FEATURES, VOCABULARY)
    )
