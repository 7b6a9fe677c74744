"""Convolutional network on images: two convolutions, each with pooling, and a dense layer (LeCun et al., 1998).

Dimensions: B images, H x W pixels in C channels; for the logits, C classes.
"""
# ruff: noqa: N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

from torch import Tensor, nn

from models.dataset.images import MODES
from models.dataset.inputs import Inputs
from models.options.checks import check
from models.options.fields import setting

READS = ("image",)


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `imagecnn`."""

    height: int = setting(28, "Height in pixels that images are scaled to.")
    width: int = setting(28, "Width in pixels that images are scaled to.")
    channels: int = setting(1, "Colour channels: 1 for grey images, 3 for colour.")
    filters: list[int] = setting([32, 64], "Filters of the first and of the second convolution.")
    dense: int = setting(128, "Width of the dense layer above the convolutions.")
    dropout: float = setting(0.3, "Share of the dense layer's inputs and outputs that training drops.")

    def __post_init__(self) -> None:
        check("model", self, above_0=["dense"], shares=["dropout"])
        if min(self.height, self.width) < 4:
            raise ValueError("model.height and model.width must be 4 or more: they are halved twice")
        if self.channels not in MODES:
            raise ValueError(f"model.channels must be 1 or 3, not {self.channels}")
        if len(self.filters) != 2 or min(self.filters) < 1:
            raise ValueError(f"model.filters must hold two numbers above 0, not {self.filters}")


class Model(nn.Module):
    """Convolutions of 3 x 3 pixels; each max-pooling halves height and width."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        """`terms`, the size of the vocabulary, is not used: images have no terms."""
        super().__init__()
        first, second = options.filters
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(options.channels, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        )
        size = second * (options.height // 4) * (options.width // 4)
        self.dense = nn.Sequential(
            *(nn.Flatten(), nn.Dropout(options.dropout), nn.Linear(size, options.dense), nn.ReLU()),
            *(nn.Dropout(options.dropout), nn.Linear(options.dense, classes)),
        )

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.image_BHWC is not None
        pixels_BCHW = inputs.image_BHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
        logits_BC: Tensor = self.dense(self.convolutions(pixels_BCHW))
        return logits_BC
