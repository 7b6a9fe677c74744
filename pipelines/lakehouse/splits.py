"""How documents without a published split are divided between training and test."""

import hashlib
from dataclasses import dataclass

from models.options.fields import setting


@dataclass(frozen=True)
class Split:
    """The `split.*` keys: how documents without a published split are divided."""

    test: float = setting(0.1, "Share of all documents for the test split.")
    validation: float = setting(0.1, "Share of all documents for validation.")
    salt: int = setting(0, "Salt of the hash that assigns documents to splits; another salt gives another split.")

    def __post_init__(self) -> None:
        if not (0 <= self.test < 1 and 0 <= self.validation < 1 and self.test + self.validation < 1):
            raise ValueError("split.test and split.validation must be 0 or more and their sum below 1")

    def draw(self, digest: str) -> str:
        """The split of the text with this digest: its hash with the salt decides, "test" or "train".

        Validation documents are drawn from train, by class, when a model reads the data (`models.dataset.index`).
        """
        draw = hashlib.sha256(f"{self.salt}:{digest}".encode()).digest()
        return "test" if int.from_bytes(draw[:8]) < self.test * 2**64 else "train"
