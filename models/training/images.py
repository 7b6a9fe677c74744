"""Images as files hold them, PNG or JPEG among others, to arrays of one shape."""

import io
import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.training.inputs import Shape

MODES = {1: "L", 3: "RGB"}  # by channels: grey, or red, green and blue


def problem(content: bytes) -> str | None:
    """What is wrong with a file's content, read to its end, or nothing."""
    try:
        _opened(content).load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return f"not an image that can be read: {type(error).__name__}"
    return None


def decoded(contents: Iterable[bytes | None], shape: Shape) -> NDArray[np.uint8]:
    """Images (B, H, W, C), each scaled to H x W; black where there is none."""
    height, width, channels = shape
    rows = [np.zeros(shape, np.uint8) if content is None else _pixels(content, shape) for content in contents]
    return np.stack(rows) if rows else np.zeros((0, height, width, channels), np.uint8)


def _pixels(content: bytes, shape: Shape) -> NDArray[np.uint8]:
    height, width, channels = shape
    image = _opened(content).convert(MODES[channels])
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(shape)


def _opened(content: bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # a small file that wants much memory
        return Image.open(io.BytesIO(content))
