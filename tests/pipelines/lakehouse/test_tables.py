"""From bronze to gold: many runs make the tables that one makes, and weights are scikit-learn's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from models.dataset.tfidf import Options
from pipelines import clean, featurize, ingest
from pipelines.config import Config, load
from pipelines.errors import UserError
from pipelines.lakehouse import vocabulary
from pipelines.lakehouse.schemas import BATCHES, CLEAN_DOCUMENTS, FEATURES, RAW_DOCUMENTS, SNAPSHOTS, VOCABULARY
from tests.conftest import documents, opened, stored_rows, table, term_counts, versions, write_json
from tests.weights import difference

pytestmark = pytest.mark.spark
Configure = Callable[..., Config]
TABLES = (BATCHES, RAW_DOCUMENTS, CLEAN_DOCUMENTS, FEATURES, VOCABULARY)


def test_many_runs_make_the_tables_of_one(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    rows = documents(30)
    source = [f"source.path={tmp_path}/in", "source.format=json", "source.label=label"]
    many, once = (configured(*source, f"dataset={name}") for name in ("many", "once"))
    for number in range(3):  # each arrival repeats some documents of the one before
        write_json(tmp_path / "in" / f"{number}.json", rows[max(0, number * 10 - 3) : number * 10 + 10])
        assert featurize.run(spark, many).batches == [number + 1]
    before = versions(tmp_path / "lake" / "many")
    assert featurize.run(spark, many).status == "unchanged"
    assert versions(tmp_path / "lake" / "many") == before
    featurize.run(spark, once)
    for wanted in (RAW_DOCUMENTS, CLEAN_DOCUMENTS, FEATURES):
        same = ("batch", "id", "path", "key") if wanted is not RAW_DOCUMENTS else ("batch",)
        assert stored_rows(spark, many, wanted, same) == stored_rows(spark, once, wanted, same)
    assert term_counts(spark, many) == term_counts(spark, once)
    rebuilt(spark, many, tmp_path)


def rebuilt(spark: SparkSession, config: Config, tmp_path: Path) -> None:
    """Silver and gold made anew from the same bronze are equal in all columns."""
    before = {wanted.name: stored_rows(spark, config, wanted, ()) for wanted in (CLEAN_DOCUMENTS, FEATURES, VOCABULARY)}
    for layer in ("silver", "gold"):
        (tmp_path / "lake" / "many" / layer).rename(tmp_path / f"old-{layer}")
    featurize.run(spark, config)
    for wanted in (CLEAN_DOCUMENTS, FEATURES, VOCABULARY):
        assert stored_rows(spark, config, wanted, ()) == before[wanted.name]


def test_published_splits_are_kept(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    rows = [
        {"text": "same  text", "split": "train"},
        {"text": "same text", "split": "TEST"},
        {"text": "same text", "split": "test"},
        {"text": "twice", "split": "train"},
        {"text": "twice ", "split": "train"},
        {"text": "mine", "split": "validation"},
        {"text": "drawn", "split": None},
    ]
    write_json(tmp_path / "in" / "a.json", rows)
    config = configured(f"source.path={tmp_path}/in", "source.format=json", "source.split=split", "split.test=0.0")
    clean.run(spark, config)
    found = sorted((row["text"], row["split"]) for row in table(spark, config, CLEAN_DOCUMENTS).collect())
    expected = [("drawn", "train"), ("mine", "validation"), ("same text", "test"), ("same text", "test")]
    assert found == [*expected, ("twice", "train")]
    with pytest.raises(UserError, match=r"was divided with split.salt=0 split.test=0.0"):
        clean.run(spark, configured(f"source.path={tmp_path}/in", "source.format=json", "split.salt=1"))


def test_a_text_under_two_labels_is_told_once(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    config = configured(f"source.path={tmp_path}/in", "source.format=json", "source.label=label")
    told = []
    for number, labels in enumerate([["a", "b", "a"], ["c"], ["d"]]):
        rows = [{"text": "same" if number < 2 else "other", "label": label} for label in labels]
        write_json(tmp_path / "in" / f"{number}.json", rows)
        told.append(clean.run(spark, config).to_dict()["rows"])
    assert [rows["two_labels"] for rows in told] == [1, 1, 0]
    assert [rows["duplicates"] for rows in told] == [2, 1, 0]


def test_batches_are_one_at_a_time(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    config = configured(f"source.path={tmp_path}/in", "source.format=json")
    for number in range(3):
        write_json(tmp_path / "in" / f"{number}.json", documents(6, start=number * 4))
        ingest.run(spark, config)
    assert featurize.run(spark, config).batches == [1, 2, 3]
    rows = table(spark, config, SNAPSHOTS).orderBy("batch").collect()
    assert [(row["batch"], row["documents"]) for row in rows] == [(1, 6), (2, 10), (3, 14)]


def test_a_batch_of_bad_rows_alone_is_no_obstacle(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    config = configured(f"source.path={tmp_path}/in", "source.format=json")
    for number, rows in enumerate([documents(6), [[1], [2]], documents(4, start=6)]):
        write_json(tmp_path / "in" / f"{number}.json", rows)
        done = featurize.run(spark, config).to_dict()
        assert done["rows"]["quarantined"] == (2 if number == 1 else 0)
    rows = table(spark, config, SNAPSHOTS).orderBy("batch").collect()
    assert [(row["batch"], row["documents"]) for row in rows] == [(1, 6), (2, 6), (3, 10)]


def test_two_terms_with_one_id_are_an_error(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    write_json(tmp_path / "in" / "a.json", documents(6))
    config = configured(f"source.path={tmp_path}/in", "source.format=json")
    featurize.run(spark, config)
    dataset = opened(spark, config)
    clash = table(spark, config, VOCABULARY).limit(1).withColumn("term", F.lit("other")).withColumn("df", F.lit(1))
    clash.select(F.col("batch"), "term", "id", F.col("df").cast("bigint"), "count").write.format("delta").mode(
        "append"
    ).save(dataset.vocabulary.path)
    snapshot = dataset.snapshot("latest")
    for select in (vocabulary.select_terms, lambda *which: vocabulary.query_terms(*which).collect()):
        with pytest.raises(Exception, match="two terms share an id"):
            select(dataset, snapshot, Options())


@pytest.mark.parametrize("options", [Options(), Options(min_df=2, max_df=0.4, size=7), Options(min_df=9)])
def test_driver_and_spark_choose_the_same_terms(
    spark: SparkSession, tmp_path: Path, configured: Configure, monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    config = configured(f"source.path={tmp_path}/in", "source.format=json", "source.label=label")
    for number in range(2):
        write_json(tmp_path / "in" / f"{number}.json", documents(20, start=number * 15))
        featurize.run(spark, config)
    dataset = opened(spark, config)
    snapshot = dataset.snapshot("latest")
    here = vocabulary.select_terms(dataset, snapshot, options)
    monkeypatch.setattr(vocabulary, "DRIVER_ROWS", 0)
    assert vocabulary.select_terms(dataset, snapshot, options).to_pylist() == here.to_pylist()


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(sublinear=False, smooth=False),
        Options(norm="none", min_df=3, max_df=0.5),
        Options(size=500),
    ],
)
def test_weights_are_scikit_learns_on_bbc(spark: SparkSession, bbc: Config, options: Options) -> None:
    assert difference(spark, bbc, options) < 1e-6


def test_weights_are_scikit_learns_in_every_script(spark: SparkSession, tmp_path: Path, configured: Configure) -> None:
    texts = [
        "İstanbul ΣΟΦΟΣ ΟΔΟΣ",
        "北京 欢迎你 中文 a",
        "cafe\u0301 naïve 👍🏽 नमस्ते",
        "ΟΔΟΣ café 北京",
        "a",
        "straße STRASSE",
    ]
    write_json(tmp_path / "in" / "a.json", [{"text": text} for text in texts])
    config = configured(f"source.path={tmp_path}/in", "source.format=json", "split.test=0.0", "features.ngrams=2")
    featurize.run(spark, config)
    assert difference(spark, config, Options(), ngrams=2) < 1e-6


@pytest.fixture(scope="module")
def bbc(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Config:
    config = load([f"lake={tmp_path_factory.mktemp('bbc')}"])
    featurize.run(spark, config)
    return config
