"""Image files become arrays of one shape; files that cannot be used are reported."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from models.dataset.images import decode_images, find_problem


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind)
    return content.getvalue()


DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (6, 5), dtype=np.uint8)
COLOUR = DRAW.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def test_pixels_are_those_of_the_file() -> None:
    pixels = decode_images([png(GREY), png(GREY, "BMP")], (6, 5, 1))
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [GREY[..., None].tolist()] * 2
    assert decode_images([png(COLOUR)], (6, 5, 3))[0].tolist() == COLOUR.tolist()
    assert decode_images([], (6, 5, 3)).shape == (0, 6, 5, 3)


def test_another_size_or_colour_is_converted() -> None:
    even = np.full((8, 8), 77, np.uint8)
    assert (decode_images([png(even)], (4, 6, 3)) == 77).all()
    grey = decode_images([png(COLOUR)], (6, 5, 1))[0, ..., 0].astype(float)
    luma = COLOUR @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(grey - luma).max() <= 1
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[1, 2, 3] = 255  # one black pixel, the others transparent
    white = np.full((4, 4, 3), 255)
    white[1, 2] = 0
    assert decode_images([png(ink)], (4, 4, 3))[0].tolist() == white.tolist()
    deep = (np.arange(30, dtype=np.uint16) * 2000).reshape(6, 5)
    assert decode_images([png(deep)], (6, 5, 1))[0, ..., 0].tolist() == (deep >> 8).tolist()


def test_a_file_that_is_no_image_is_reported() -> None:
    good = png(np.zeros((50, 50), np.uint8))
    assert find_problem(good) is None
    bare = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(bare, "TIFF")  # pixels of unknown range
    lab = io.BytesIO()
    Image.new("LAB", (4, 4)).save(lab, "TIFF")
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n"
    contents = [b"", b"no image", good[: len(good) // 2], good[:40], bare.getvalue(), lab.getvalue(), program]
    for content in contents:
        assert str(find_problem(content)).startswith("not an image that can be read: "), content[:20]
    assert "UnidentifiedImageError" in str(find_problem(program)), "Pillow tried its format"
    with pytest.raises(ValueError, match="a document has no image"):
        decode_images([good, None], (4, 4, 1))


def test_a_small_file_that_would_take_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for side in (11, 30):  # Pillow warns of the first and refuses the second
            assert "DecompressionBomb" in str(find_problem(png(np.zeros((side, side), np.uint8))))
    assert find_problem(png(np.zeros((10, 10), np.uint8))) is None
