"""What ranks print: progress becomes one live line, all else passes through."""

import sys
from contextlib import redirect_stderr
from io import StringIO

import pytest

from models.ranks.progress import MARKER
from pipelines.launch.rank_output import show_rank_output

PROGRESS = (
    MARKER + '{"refit": false, "epoch": 1, "epochs": 2, "step": 3, "steps": 4, "loss": 0.5,'
    ' "documents_per_second": 1200, "validation_accuracy": 0.75, "end": true}\n'
)
SHOWN = "train: epoch 1/2, step 3/4, loss 0.5000, 1,200 documents/s, validation accuracy 0.7500\n"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream_type", [StringIO, Terminal])
def test_a_progress_line_is_shown_for_people(stream_type: type[StringIO]) -> None:
    with redirect_stderr(stream_type()) as stderr, show_rank_output("train") as output:
        assert output.last_received is None
        output.write(f"[rank0] {PROGRESS}")
        assert output.last_received is not None
    assert stderr.getvalue().removeprefix("\r\x1b[K") == SHOWN


@pytest.mark.parametrize("stream_type", [StringIO, Terminal])
def test_other_lines_pass_through_once_they_are_complete(stream_type: type[StringIO]) -> None:
    with redirect_stderr(stream_type()) as stderr, show_rank_output("train"):
        sys.stderr.write("[rank1] a warn")
        assert not stderr.getvalue()
        sys.stderr.write("ing\n\n[rank1] of two lines\n")
    assert stderr.getvalue() == "[rank1] a warning\n[rank1] of two lines\n"
