"""The keys of each job, and the jobs of each key."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# The keys of most jobs. Every job accepts them, so that several jobs can be given one list.
SHARED = ("lake", "dataset", "report", "overlap", "overlap_s")


@dataclass(frozen=True)
class JobKeys:
    """The keys of one job.

    Attributes:
        sections: `train` stands for all of `train.*`; `source`, `features` and `model` for the choice of a member too.
        keys: keys outside the sections, which `--help` shows in this order.
        required: keys that have no default in this job.
        unlisted: sections and keys that the job accepts but `--help` leaves out.
        examples: arguments of two commands, as typed in a shell.
        note: a further sentence of `--help`.
    """

    sections: tuple[str, ...]
    keys: tuple[str, ...]
    examples: tuple[str, str]
    required: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    note: str = ""

    def accepts(self, key: str) -> bool:
        """Whether the job takes a key such as `lake`, `model` or `train.epochs`."""
        return key.partition(".")[0] in (*self.sections, *self.keys, *self.unlisted, *SHARED)

    def lists(self, key: str) -> bool:
        """Whether `--help` lists the key."""
        return key.partition(".")[0] in (*self.sections, *self.keys)


FILES = "source=files source.path=/data/reviews source.format=csv source.text=body source.label=stars"
TRAINED = ("source", "split", "features", "model", "tfidf", "train")
BUNDLE = "data/lake/r8/bundles/<run>"

JOBS = {
    "ingest": JobKeys(("source",), SHARED, ("source=r8", FILES)),
    "clean": JobKeys(("source", "split"), SHARED, ("split.test=0.2 split.salt=7", FILES)),
    "featurize": JobKeys(
        ("source", "split", "features"), SHARED, ("source=r8", "source=reviews_zh features=characters")
    ),
    "train": JobKeys(
        TRAINED,
        (*SHARED, "run", "snapshot"),
        ("model=logistic train.epochs=5", f"{FILES} model=mlp train.ranks=2"),
    ),
    "evaluate": JobKeys(
        ("source", "split"),
        ("bundle", *SHARED, "snapshot"),
        (f"source=r8 bundle={BUNDLE}", f"source=r8 bundle={BUNDLE} snapshot=3 report=/tmp/evaluated.json"),
        required=("bundle",),
    ),
    "predict": JobKeys(
        ("source",),
        ("bundle", "output", "report"),
        (
            f"bundle={BUNDLE} source=files source.path=/data/new output=/data/predicted",
            f"bundle={BUNDLE} source=files source.path=/data/new source.format=csv source.text=body output=/data/out",
        ),
        required=("bundle", "output"),
    ),
    # Its models are those of models=; settings of one of them belong into grid=.
    "compare": JobKeys(
        tuple(section for section in TRAINED if section != "model"),
        ("models", "seeds", "grid", "output", *SHARED, "snapshot"),
        (
            "source=r8 'models=[logistic,mlp,attention]' seeds=3 output=results.csv",
            "'models=[mlp]' 'grid=[model.dropout=0.3|0.5,train.lr=1e-3|3e-3]'",
        ),
        required=("models",),
        unlisted=("model",),
        note="Each model has its own defaults of tfidf.* and train.*; those shown are those of model=.",
    ),
    "ensemble": JobKeys(
        ("source", "split"),
        ("bundles", *SHARED, "run", "snapshot"),
        (
            f"source=r8 'bundles=[{BUNDLE},{BUNDLE}]'",
            f"source=r8 'bundles=[{BUNDLE},{BUNDLE}]' run=both",
        ),
        required=("bundles",),
    ),
    # A scheduler may pass the same arguments to train and maintain, as conf/schedule/textmill@.service does.
    "maintain": JobKeys(
        ("source", "features", "maintain"),
        SHARED,
        ("dataset=files", "source=r8 features=characters maintain.retention_hours=24"),
        unlisted=(*TRAINED, "run", "snapshot"),
    ),
}


def jobs_with(key: str) -> list[str]:
    """The jobs whose `--help` lists a key."""
    return [job for job, keys in JOBS.items() if keys.lists(key)]


def join_words(words: Sequence[str]) -> str:
    """Words joined as in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the most similar known one, or all of them if they are few."""
    names = list(known)
    if near := difflib.get_close_matches(word, names, n=1, cutoff=0.5):
        return f"; did you mean '{near[0]}'?"
    return f"; choose one of {', '.join(names)}" if len(names) <= 12 else "; --help lists the keys"
