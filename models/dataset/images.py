"""Decodes image files into arrays of one shape."""

import io
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.dataset.inputs import ImageShape

MODES = {1: "L", 3: "RGB"}  # Pillow's modes by channels: grey, or red, green and blue
# The common picture formats. Pillow knows many more, some of which start other programs (EPS: Ghostscript).
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def find_problem(content: bytes) -> str | None:
    """Why a file's content cannot be used as an image, after decoding all of it; None if it can."""
    try:
        image = _open_image(content)
        for mode in MODES.values():
            _convert(image, mode)
    except Exception as error:  # a decoder may raise anything on bytes that anybody may have written
        return f"not an image that can be read: {type(error).__name__}"
    return None


def decode_images(contents: Iterable[bytes | None], shape: ImageShape) -> NDArray[np.uint8]:
    """Image files as pixels (B, H, W, C), each image scaled to H x W.

    Raises:
        ValueError: A document has no image.
    """
    images = [_decode(content, shape) for content in contents]
    return np.stack(images) if images else np.zeros((0, *shape), np.uint8)


def _decode(content: bytes | None, shape: ImageShape) -> NDArray[np.uint8]:
    if content is None:
        raise ValueError("a document has no image, and the model reads only images")
    height, width, channels = shape
    image = _convert(_open_image(content), MODES[channels])
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(shape)


def _convert(image: Image.Image, mode: str) -> Image.Image:
    """The image with 8 bits per channel, transparent parts on white.

    Raises:
        ValueError: Its pixels are 32-bit integers or floats, whose range is unknown.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert(mode)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no scale")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)


def _open_image(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # a small file that would take a lot of memory
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        image.load()
        return image
