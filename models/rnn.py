"""Recurrent network over word vectors, in one direction or both, pooled over time.

`cell=rnn` is h_t = tanh(W_h h_(t-1) + W_x x_t + b) (Elman, 1990); `lstm` (Hochreiter and Schmidhuber, 1997) and `gru`
(Cho et al., 2014) as torch.nn documents them.

Dimensions: B documents, T words of the longest, E the word vectors' width, H the state's (of all directions together),
C classes.
"""
# ruff: noqa: N806  (a tensor's name ends in its dimensions)

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.parts.layers import WordVectors, check_positive, check_share, highest, mean
from models.training.inputs import Inputs

READS = ("words",)
CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@dataclass(frozen=True)
class Options:
    """`length`: words of a document that are read; `embedding`: width of their vectors; `cell`: rnn, gru or lstm;
    `hidden`: width of the state of a direction; `directions`: 1 or 2; `layers`: one above another; `dropout`: of
    vectors and pooled states.
    """

    length: int = 400
    embedding: int = 128
    cell: str = "lstm"
    hidden: int = 128
    directions: int = 2
    layers: int = 1
    dropout: float = 0.5
    word_dropout: float = 0.15

    def __post_init__(self) -> None:
        for name in ("length", "embedding", "hidden", "layers"):
            check_positive(name, getattr(self, name))
        for name in ("dropout", "word_dropout"):
            check_share(name, getattr(self, name))
        if self.cell not in CELLS:
            raise ValueError(f"model.cell must be one of {', '.join(CELLS)}, not {self.cell}")
        if self.directions not in (1, 2):
            raise ValueError(f"model.directions must be 1 or 2, not {self.directions}")


class Model(nn.Module):
    """The sequences are packed: no step is taken on padding."""

    def __init__(self, options: Options, *, terms: int, classes: int) -> None:
        super().__init__()
        self.vectors = WordVectors(terms, options.embedding, word_dropout=options.word_dropout)
        self.dropout = nn.Dropout(options.dropout)
        self.cells = CELLS[options.cell](
            options.embedding,
            options.hidden,
            num_layers=options.layers,
            bidirectional=options.directions == 2,
            batch_first=True,
            dropout=options.dropout if options.layers > 1 else 0.0,
        )
        self.output = nn.Linear(2 * options.hidden * options.directions, classes)

    def forward(self, inputs: Inputs) -> Tensor:
        """logits_BC."""
        assert inputs.words
        vectors_BTE = self.dropout(self.vectors(inputs.words))
        lengths_B, length = inputs.words.lengths_B.cpu(), vectors_BTE.shape[1]
        packed = pack_padded_sequence(vectors_BTE, lengths_B, batch_first=True, enforce_sorted=False)
        states_BTH, _ = pad_packed_sequence(self.cells(packed)[0], batch_first=True, total_length=length)
        mask_BT = inputs.words.mask_BT
        pooled_B2H = torch.cat([highest(states_BTH, mask_BT), mean(states_BTH, mask_BT)], 1)
        logits_BC: Tensor = self.output(self.dropout(pooled_B2H))
        return logits_BC
