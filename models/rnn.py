"""Recurrent network over word vectors, in one direction or both, pooled over time.

`cell=rnn` is h_t = tanh(W_h h_(t-1) + W_x x_t + b) (Elman, 1990); `lstm` (Hochreiter and Schmidhuber, 1997) and `gru`
(Cho et al., 2014) as torch.nn documents them.

Dimensions: B documents, T words of the longest, E the word vectors' width, H the state's (of all directions together),
C classes.
"""
# ruff: noqa: N803, N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.dataset.inputs import Inputs, Words
from models.parts.layers import WordVectors, highest, mean
from models.parts.option_checks import check
from models.parts.settings import setting

READS = ("words",)
CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True)
class Options:
    """The `model.*` keys of `rnn`."""

    length: int = setting(400, "Words of a document that are read, from its start.")
    embedding: int = setting(128, "Width of the word vectors.")
    cell: str = setting("lstm", "Kind of recurrent cell: rnn, gru or lstm.")
    hidden: int = setting(128, "Width of the state, of each direction.")
    directions: int = setting(2, "Reading directions: 1 for forwards, 2 for both.")
    layers: int = setting(1, "Recurrent layers, one above another.")
    dropout: float = setting(0.5, "Share of the word vectors' and of the pooled states' values that training drops.")
    word_dropout: float = setting(0.3, "Share of the words that training replaces with the unknown word.")

    def __post_init__(self) -> None:
        check("model", self, above_0=["length", "embedding", "hidden", "layers"], shares=["dropout", "word_dropout"])
        if self.cell not in CELLS:
            raise ValueError(f"model.cell must be one of {', '.join(CELLS)}, not {self.cell}")
        if self.directions not in (1, 2):
            raise ValueError(f"model.directions must be 1 or 2, not {self.directions}")


class Model(nn.Module):
    """No state of a word has seen padding, which stands behind the words for either direction: the second reads each
    sequence from its own last word on. So results are those of packed sequences, in a quarter of the time on a CPU.
    """

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        self.vectors = WordVectors(terms, options.embedding, word_dropout=options.word_dropout)
        self.dropout = nn.Dropout(options.dropout)
        cell, width = CELLS[options.cell], options.hidden * options.directions
        self.directions = options.directions
        self.cells = nn.ModuleList(  # each layer's directions, layer by layer
            cell(below, options.hidden, batch_first=True)
            for below in [options.embedding, *[width] * (options.layers - 1)]
            for _ in range(options.directions)
        )
        self.output = nn.Linear(2 * options.hidden * options.directions, classes)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.words
        mask_BT, turn_BT = inputs.words.mask_BT, turned(inputs.words)
        states_BTH = self.vectors(inputs.words)
        for first in range(0, len(self.cells), self.directions):
            below_BTH = self.dropout(states_BTH)
            states = [self.cells[first](below_BTH)[0]]
            if self.directions == 2:
                states.append(taken(self.cells[first + 1](taken(below_BTH, turn_BT))[0], turn_BT))
            states_BTH = torch.cat(states, 2)
        pooled_B2H = torch.cat([highest(states_BTH, mask_BT), mean(states_BTH, mask_BT)], 1)
        logits_BC: Tensor = self.output(self.dropout(pooled_B2H))
        return logits_BC


def turned(words: Words) -> Tensor:
    """Where each place of a sequence goes when the words are read backwards, (B, T); padding stays. Its own inverse."""
    places_1T = torch.arange(words.words_BT.shape[1], device=words.words_BT.device)[None]
    back_BT = words.lengths_B[:, None] - 1 - places_1T
    return torch.where(back_BT >= 0, back_BT, places_1T)


def taken(values_BTH: Tensor, places_BT: Tensor) -> Tensor:
    """The values of other places, (B, T, H)."""
    return values_BTH.gather(1, places_BT[:, :, None].expand_as(values_BTH))
