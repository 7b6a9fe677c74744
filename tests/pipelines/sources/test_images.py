"""Images pass through the same stages as texts: bronze, silver, features, a model, predictions."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from models.training.task import Task
from pipelines import predict, train
from pipelines.config import Config
from pipelines.errors import UserError
from pipelines.lakehouse.schemas import CLEAN_DOCUMENTS, FEATURES, PREDICTIONS, QUARANTINE, RAW_DOCUMENTS
from tests.conftest import documents, table, write_json

Configure = Callable[..., Config]
pytestmark = pytest.mark.spark


def picture(kind: str, number: int) -> bytes:
    """A PNG file of an upright or lying bar on noise."""
    pixels = np.random.default_rng(number).integers(0, 100, (9, 12), dtype=np.uint8)
    position = number % 7 + 1
    if kind == "upright":
        pixels[:, position] = 255
    else:
        pixels[position, :] = 255
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def test_images_from_files_to_predictions(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    folder = tmp_path / "in put [1]"
    for kind in ("upright", "lying"):
        (folder / kind).mkdir(parents=True)
        for number in range(60):
            (folder / kind / f"{number} a.png").write_bytes(picture(kind, number))
    (folder / "lying" / "copy.png").write_bytes(picture("lying", 3))
    (folder / "lying" / "torn.png").write_bytes(picture("lying", 61)[:60])
    source = ["source=images", f"source.path={folder}", "model=imagecnn", "split.test=0.2"]
    small = ["model.height=12", "model.width=12", "model.filters=[8,8]", "model.dense=16"]
    fast = [*small, "train.epochs=40", "train.lr=0.003"]
    config = configured(*source, *fast)
    result = train.run(spark, config).to_dict()
    assert result["rows"] == {"read": 122, "kept": 121, "quarantined": 1, "duplicates": 1, "two_labels": 0}
    assert result["metrics"]["test"]["accuracy"] > 0.9
    (bad,) = table(spark, config, QUARANTINE).collect()
    assert bad["path"].endswith("torn.png")
    assert bad["reason"].startswith("not an image that can be read")

    bronze = {row["path"]: row for row in table(spark, config, RAW_DOCUMENTS).collect()}
    assert len(bronze) == 121
    path = f"file://{folder}/upright/7 a.png"
    assert (bronze[path]["text"], bytes(bronze[path]["content"])) == (None, picture("upright", 7))
    assert bronze[path]["labels"] == ["upright"]
    silver = table(spark, config, CLEAN_DOCUMENTS)
    assert silver.where("text is null and content is not null").count() == silver.count() == 120
    assert table(spark, config, FEATURES).where("size(terms) = 0 and content is not null").count() == 120
    assert table(spark, config, PREDICTIONS).count() == result["metrics"]["test"]["documents"]

    new = tmp_path / "new"
    new.mkdir()
    for number in range(70, 80):
        (new / f"{number}.png").write_bytes(picture(("lying", "upright")[number % 2], number))
    (new / "none.png").write_bytes(b"")
    given = [f"bundle={result['bundle']}", "source=images", f"source.path={new}", f"output={tmp_path}/out"]
    done = predict.run(spark, configured(*given)).to_dict()
    assert done["rows"] == {"read": 11, "predicted": 10, "rejected": 1}
    rows = spark.read.format("delta").load(f"{tmp_path}/out").collect()
    predicted = {int(Path(row["path"]).stem): row["predicted"] for row in rows if row["reason"] is None}
    assert sum(predicted[number] == ("lying", "upright")[number % 2] for number in range(70, 80)) >= 9
    texts = tmp_path / "texts" / "a.txt"
    texts.parent.mkdir()
    texts.write_text("a text")
    given = [f"bundle={result['bundle']}", f"source.path={texts}", f"output={tmp_path}/none"]
    assert predict.run(spark, configured(*given)).to_dict()["rows"] == {"read": 1, "predicted": 0, "rejected": 1}
    (row,) = spark.read.format("delta").load(f"{tmp_path}/none").collect()
    assert (row["predicted"], row["reason"]) == (None, "no image")
    again = train.run(spark, configured(*source, *fast, "train.epochs=1")).to_dict()
    assert again["rows"]["read"] == 0


def test_a_model_of_words_cannot_read_images(
    spark: SparkSession, tmp_path: Path, configured: Configure, trained: list[Task]
) -> None:
    for kind in ("upright", "lying"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        (tmp_path / "in" / kind / "1.png").write_bytes(picture(kind, 1))
    with pytest.raises(UserError, match="no term is left"):
        train.run(spark, configured("source=images", f"source.path={tmp_path}/in", "model=mlp", "split.test=0"))
    write_json(tmp_path / "a.json", documents(20))
    given = [f"source.path={tmp_path}/a.json", "source.format=json", "source.label=label", "dataset=texts"]
    with pytest.raises(ValueError, match="a document has no image"):
        train.run(spark, configured(*given, "model=imagecnn"))
    with pytest.raises(UserError, match="there is nothing at"):
        train.run(spark, configured("source=images", f"source.path={tmp_path}/none", "dataset=none", "model=imagecnn"))
