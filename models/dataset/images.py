"""Images as files hold them to arrays of one shape."""

import io
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.dataset.inputs import Shape

MODES = {1: "L", 3: "RGB"}  # by channels: grey, or red, green and blue
# Those that people keep pictures in. Pillow knows many more, of which some start other programs (EPS: Ghostscript).
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def problem(content: bytes) -> str | None:
    """What is wrong with a file's content, read to its end, or nothing."""
    try:
        image = _opened(content)
        for mode in MODES.values():
            _converted(image, mode)
    except Exception as error:  # whatever a decoder makes of bytes that anybody may have written
        return f"not an image that can be read: {type(error).__name__}"
    return None


def decoded(contents: Iterable[bytes | None], shape: Shape) -> NDArray[np.uint8]:
    """Images (B, H, W, C), each scaled to H x W.

    Raises:
        ValueError: a document is no image.
    """
    rows = [_pixels(content, shape) for content in contents]
    return np.stack(rows) if rows else np.zeros((0, *shape), np.uint8)


def _pixels(content: bytes | None, shape: Shape) -> NDArray[np.uint8]:
    if content is None:
        raise ValueError("a document is no image: the model reads images alone")
    height, width, channels = shape
    image = _converted(_opened(content), MODES[channels])
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(shape)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """In 8 bits a channel, what is transparent on white.

    Raises:
        ValueError: numbers without a scale: 32-bit integers or floats.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert(mode)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no scale")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # a small file that wants much memory
        image = Image.open(io.BytesIO(content), formats=FORMATS)
        image.load()
        return image
