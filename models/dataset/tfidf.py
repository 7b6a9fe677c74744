"""TF-IDF computed when documents are read: term counts to weights, equal to scikit-learn's `TfidfVectorizer`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dataset.ragged import Ints
from models.options.fields import setting

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The `tfidf.*` keys: which terms make the vocabulary, and how they weigh."""

    min_df: int = setting(1, "Fewest training documents that a term of the vocabulary occurs in.")
    max_df: float = setting(1.0, "Largest share of the training documents that a term of the vocabulary occurs in.")
    size: int = setting(200_000, "Most terms that the vocabulary holds: the most frequent ones, ties by term.")
    sublinear: bool = setting(True, "Whether a term's count is weighted as 1 + ln(count).")
    smooth: bool = setting(
        True, "Whether document frequencies are counted as if one more document contained every term."
    )
    norm: str = setting("l2", "Length that a document's weights are scaled to: l2 (length 1) or none.")

    def __post_init__(self) -> None:
        if self.min_df < 1:
            raise ValueError(f"tfidf.min_df must be 1 or more, not {self.min_df}")
        if not 0 < self.max_df <= 1:
            raise ValueError(f"tfidf.max_df must be above 0 and at most 1, not {self.max_df}")
        if self.size < 1:
            raise ValueError(f"tfidf.size must be 1 or more, not {self.size}")
        if self.norm not in ("l2", "none"):
            raise ValueError(f"tfidf.norm must be l2 or none, not {self.norm}")


def idf(df: Ints, documents: int, *, smooth: bool) -> NDArray[np.float64]:
    """Inverse document frequency: ln((1 + n) / (1 + df)) + 1 if `smooth`, else ln(n / df) + 1.

    The formula of scikit-learn's `TfidfTransformer` (User Guide, 6.2.3.5), with n = `documents`.
    """
    add = int(smooth)
    result: NDArray[np.float64] = np.log((documents + add) / (df + add)) + 1.0
    return result


class TfidfTransformer:
    """Turns the term counts of any number of documents into indices of the vocabulary and TF-IDF weights.

    `ids` (V,) are the vocabulary's term ids in ascending order, `rows` (V,) their rows in the vocabulary, `idf` (V,)
    their inverse document frequencies.
    """

    def __init__(self, ids: Ints, df: Ints, *, documents: int, options: Options) -> None:
        """`ids` and `df` (V,) are the vocabulary's, in its order; `documents` is how many documents `df` counts.

        Raises:
            ValueError: The vocabulary repeats an id, or a frequency lies outside 1..documents.
        """
        if len(ids) and (df.min() < 1 or df.max() > documents):
            raise ValueError(f"the vocabulary holds a document frequency outside 1..{documents}")
        self.rows = np.argsort(ids)  # the vocabulary is sorted by term, but terms are looked up by id
        self.ids = ids[self.rows]
        if (self.ids[1:] == self.ids[:-1]).any():
            raise ValueError("the vocabulary has one id twice")
        self.idf = idf(df[self.rows], documents, smooth=options.smooth)
        self.options = options

    def look_up(self, terms: Ints) -> tuple[NDArray[np.bool_], Ints]:
        """Whether each term (N,) is in the vocabulary, and its position in `ids` if it is."""
        positions = np.minimum(np.searchsorted(self.ids, terms), len(self.ids) - 1)
        return self.ids[positions] == terms, positions

    def transform(self, terms: Ints, counts: Ints, offsets: Ints) -> tuple[Ints, Floats, Ints]:
        """TF-IDF weights of B documents; terms outside the vocabulary are dropped before the norm is computed.

        Args:
            terms: term ids, (N,); those of document b are `terms[offsets[b]:offsets[b + 1]]`, each once.
            counts: how often each occurs in its document, (N,).
            offsets: where each document starts, (B + 1,).

        Returns:
            Rows of the vocabulary (M,), weights (M,) and offsets (B + 1,), in the same layout.
        """
        known, positions = self.look_up(terms)
        offsets = np.concatenate(([0], np.cumsum(known)))[offsets]
        positions = positions[known]
        weights = counts[known].astype(np.float64)
        if self.options.sublinear:
            weights = 1.0 + np.log(weights)
        weights *= self.idf[positions]
        if self.options.norm == "l2":
            lengths = np.diff(offsets)
            documents = np.repeat(np.arange(len(lengths)), lengths)
            norms = np.sqrt(np.bincount(documents, weights * weights, minlength=len(lengths)))
            weights /= np.repeat(norms, lengths)
        return self.rows[positions], weights.astype(np.float32), offsets
