"""Images: from a file's bytes to an array of one shape, and what is none."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from models.training.images import decoded, problem
from models.training.ragged import Stack, joined


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (6, 5), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_pixels_are_those_of_the_file() -> None:
    found = decoded([png(GREY), None, png(GREY, "BMP")], (6, 5, 1))
    assert found.dtype == np.uint8
    assert found.tolist() == [GREY[..., None].tolist(), np.zeros((6, 5, 1)).tolist(), GREY[..., None].tolist()]
    assert decoded([png(COLOUR)], (6, 5, 3))[0].tolist() == COLOUR.tolist()
    assert decoded([], (6, 5, 3)).shape == (0, 6, 5, 3)


def test_another_size_or_colour_is_converted() -> None:
    even = np.full((8, 8), 77, np.uint8)
    assert (decoded([png(even)], (4, 6, 3)) == 77).all()
    grey = decoded([png(COLOUR)], (6, 5, 1))[0, ..., 0].astype(float)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(grey - luma).max() <= 1
    clear = np.zeros((4, 4, 4), np.uint8)
    assert decoded([png(clear)], (4, 4, 3)).shape == (1, 4, 4, 3)


def test_what_is_no_image_is_told() -> None:
    whole = png(np.zeros((50, 50), np.uint8))
    assert problem(whole) is None
    for content in (b"", b"no image", whole[: len(whole) // 2], whole[:40]):
        assert str(problem(content)).startswith("not an image that can be read: ")


def test_a_small_file_that_wants_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for side in (11, 30):  # Pillow warns of the first and refuses the second
            assert "DecompressionBomb" in str(problem(png(np.zeros((side, side), np.uint8))))
    assert problem(png(np.zeros((10, 10), np.uint8))) is None


def test_rows_of_one_shape() -> None:
    some = Stack(np.arange(12).reshape(3, 2, 2))
    assert some.take(np.array([2, 0])).values[:, 0, 0].tolist() == [8, 0]
    assert (len(some.slice(1, 3)), some.nbytes) == (2, 96)
    assert joined([some, some.slice(0, 1)]).values[:, 1, 1].tolist() == [3, 7, 11, 3]
