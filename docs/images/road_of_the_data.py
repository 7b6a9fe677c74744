"""The picture of the road of the data: `python docs/images/road_of_the_data.py` writes road-of-the-data.svg beside it.

The cards and arrows below are the source; `make docs` draws them anew, and a test compares them with the code. Only the
standard library is used, so the file comes out the same on every machine.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

SVG = Path(__file__).with_name("road-of-the-data.svg")
WIDTH, HEIGHT = 1000, 602
TITLE = "The road of the data through Textmill"
DESCRIPTION = (
    "Spark ingests files into bronze tables, cleans them into a silver table and featurizes them into gold tables. "
    "PyTorch trains on the gold tables and writes a bundle. Spark evaluates the bundle on the test split and predicts "
    "new files with it."
)
STYLE = """
  text { font-family: -apple-system, "Segoe UI", Roboto, Helvetica, Arial, "DejaVu Sans", sans-serif; fill: #1f2430; }
  .page { fill: #ffffff; } .lake { fill: #f3f6fb; stroke: #b9c6dc; stroke-dasharray: 6 5; }
  .card { fill: #ffffff; stroke: #b9c6dc; } .band { stroke: none; }
  .head { font-size: 15px; font-weight: 600; fill: #ffffff; }
  .table { font-size: 15px; font-weight: 600; } .grain { font-size: 13px; fill: #566073; }
  .note { font-size: 13px; fill: #566073; }
  .job { font-size: 15px; font-weight: 700; } .spark { fill: #b3510b; } .torch { fill: #8a2aa8; }
  .arrow { fill: none; stroke-width: 2.2; } .arrow.spark { stroke: #b3510b; } .arrow.torch { stroke: #8a2aa8; }
  .tip.spark { fill: #b3510b; } .tip.torch { fill: #8a2aa8; }
  .files { fill: #5b6472; } .bronze { fill: #9a6a3c; } .silver { fill: #6d7c91; } .gold { fill: #a67c00; }
  .bundle { fill: #7b2d94; } .answers { fill: #2e6f8e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e9f0; } .page { fill: #171a21; } .lake { fill: #1e232d; stroke: #47526a; }
    .card { fill: #262c38; stroke: #47526a; } .grain, .note { fill: #aab3c5; } .head { fill: #ffffff; }
    .spark { fill: #f2994a; } .torch { fill: #d58bea; } .arrow.spark { stroke: #f2994a; fill: none; }
    .arrow.torch { stroke: #d58bea; fill: none; } .tip.spark { fill: #f2994a; } .tip.torch { fill: #d58bea; }
  }
"""


@dataclass(frozen=True)
class Card:
    """A box with a coloured head and rows of (table or file, what one row of it is)."""

    kind: str
    head: str
    x: int
    y: int
    width: int
    rows: tuple[tuple[str, str], ...]

    @property
    def height(self) -> int:
        """The head, then a name and its grain in each row."""
        return 34 + 44 * len(self.rows) + 8


@dataclass(frozen=True)
class Note:
    """A line of text."""

    x: int
    y: int
    kind: str
    words: str


@dataclass(frozen=True)
class Arrow:
    """A job: an arrow along `points`, with its name centred at `label`; `engine` is what runs it."""

    job: str
    engine: str
    points: tuple[tuple[int, int], ...]
    label: tuple[int, int]


CARDS = (
    Card("files", "your files", 14, 92, 168, (("text, CSV, JSON", "Parquet, Delta, images"),)),
    Card(
        "bronze",
        "bronze",
        264,
        74,
        206,
        (
            ("batches", "one row per file taken"),
            ("documents", "one per raw document"),
            ("quarantine", "one per rejected row or file"),
        ),
    ),
    Card("silver", "silver", 536, 92, 194, (("documents", "one per distinct document"),)),
    Card(
        "gold",
        "gold",
        814,
        74,
        172,
        (
            ("features", "one per document"),
            ("vocabulary", "one per term and batch"),
            ("snapshots", "one per published state"),
        ),
    ),
    Card("bundle", "bundle", 814, 324, 172, (("weights", "vocabulary, settings"),)),
    Card(
        "answers",
        "results",
        536,
        302,
        194,
        (("predictions", "one per test document"), ("runs, metrics", "one per job; per figure")),
    ),
    Card(
        "files",
        "more jobs",
        264,
        280,
        206,
        (
            ("compare", "models on one snapshot"),
            ("ensemble", "bundles, averaged"),
            ("maintain", "fewer and larger files"),
        ),
    ),
    Card("files", "new files", 264, 502, 190, (("any source", "the lake is not needed"),)),
    Card("answers", "your output table", 536, 502, 194, (("label or value", "one row per input row"),)),
)
ARROWS = (
    Arrow("ingest", "spark", ((182, 135), (264, 135)), (216, 126)),
    Arrow("clean", "spark", ((470, 135), (536, 135)), (501, 126)),
    Arrow("featurize", "spark", ((730, 135), (814, 135)), (770, 126)),
    Arrow("train", "torch", ((900, 248), (900, 324)), (926, 290)),
    Arrow("evaluate", "spark", ((814, 367), (730, 367)), (773, 358)),
    Arrow("predict", "spark", ((454, 545), (536, 545)), (491, 536)),
    Arrow("", "spark", ((900, 410), (900, 545), (730, 545)), (0, 0)),
)
NOTES = (
    Note(
        264, 52, "note", "the lake: append-only Delta tables on a local disk or HDFS; each stage takes only what is new"
    ),
    Note(14, 226, "job spark", "Spark job"),
    Note(14, 250, "job torch", "PyTorch,"),
    Note(14, 269, "job torch", "in Spark's task slots"),
    Note(746, 568, "note", "from the bundle alone"),
)


def text(x: int, y: int, kind: str, words: str, *, middle: bool = False) -> str:
    """One line of text."""
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text x="{x}" y="{y}" class="{kind}"{anchor}>{escape(words)}</text>'


def card(box: Card) -> list[str]:
    """A box, its head and its rows."""
    x, y, width = box.x, box.y, box.width
    lines = [
        f'<rect x="{x}" y="{y}" width="{width}" height="{box.height}" rx="8" class="card"/>',
        f'<path d="M{x} {y + 26}v-18a8 8 0 0 1 8 -8h{width - 16}a8 8 0 0 1 8 8v18z" class="band {box.kind}"/>',
        text(x + 12, y + 18, "head", box.head),
    ]
    for number, (name, grain) in enumerate(box.rows):
        top = y + 50 + 44 * number
        lines += [text(x + 12, top, "table", name), text(x + 12, top + 18, "grain", grain)]
    return lines


def arrow(job: Arrow) -> list[str]:
    """A line with a tip at its end, and the job's name beside it."""
    path = "M" + "L".join(f"{x} {y}" for x, y in job.points)
    (from_x, from_y), (x, y) = job.points[-2:]
    across, down = (x > from_x) - (x < from_x), (y > from_y) - (y < from_y)
    wing = (-9 * across, -9 * down), (5 * down, 5 * across)
    corners = [(x, y)] + [(x + wing[0][0] + side * wing[1][0], y + wing[0][1] + side * wing[1][1]) for side in (1, -1)]
    tip = " ".join(f"{left},{top}" for left, top in corners)
    lines = [f'<path d="{path}" class="arrow {job.engine}"/>', f'<polygon points="{tip}" class="tip {job.engine}"/>']
    return lines + ([text(*job.label, f"job {job.engine}", job.job, middle=True)] if job.job else [])


def drawn() -> str:
    """The whole picture as SVG."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{TITLE}">',
        f"<title>{TITLE}</title>",
        f"<desc>{DESCRIPTION}</desc>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" class="page"/>',
        f'<rect x="248" y="30" width="{WIDTH - 256}" height="436" rx="12" class="lake"/>',
    ]
    for box in CARDS:
        lines += card(box)
    for job in ARROWS:
        lines += arrow(job)
    lines += [text(note.x, note.y, note.kind, note.words) for note in NOTES]
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    SVG.write_text(drawn())
