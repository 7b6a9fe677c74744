"""Images: from a file's bytes to an array of one shape, and what is none."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from models.dataset.images import decoded, problem
from models.dataset.ragged import Stack, joined


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (6, 5), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_pixels_are_those_of_the_file() -> None:
    found = decoded([png(GREY), png(GREY, "BMP")], (6, 5, 1))
    assert found.dtype == np.uint8
    assert found.tolist() == [GREY[..., None].tolist()] * 2
    assert decoded([png(COLOUR)], (6, 5, 3))[0].tolist() == COLOUR.tolist()
    assert decoded([], (6, 5, 3)).shape == (0, 6, 5, 3)


def test_another_size_or_colour_is_converted() -> None:
    even = np.full((8, 8), 77, np.uint8)
    assert (decoded([png(even)], (4, 6, 3)) == 77).all()
    grey = decoded([png(COLOUR)], (6, 5, 1))[0, ..., 0].astype(float)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(grey - luma).max() <= 1
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[1, 2, 3] = 255  # black, on what can be looked through
    white = np.full((4, 4, 3), 255)
    white[1, 2] = 0
    assert decoded([png(ink)], (4, 4, 3))[0].tolist() == white.tolist()
    deep = (np.arange(30, dtype=np.uint16) * 2000).reshape(6, 5)
    assert decoded([png(deep)], (6, 5, 1))[0, ..., 0].tolist() == (deep >> 8).tolist()


def test_what_is_no_image_is_told() -> None:
    whole = png(np.zeros((50, 50), np.uint8))
    assert problem(whole) is None
    bare = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(bare, "TIFF")  # numbers of any size
    lab = io.BytesIO()
    Image.new("LAB", (4, 4)).save(lab, "TIFF")
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    contents = [b"", b"no image", whole[: len(whole) // 2], whole[:40], bare.getvalue(), lab.getvalue(), program]
    for content in contents:
        assert str(problem(content)).startswith("not an image that can be read: "), content[:20]
    assert "UnidentifiedImageError" in str(problem(program)), "its format is one that is tried"
    with pytest.raises(ValueError, match="a document is no image"):
        decoded([whole, None], (4, 4, 1))


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
