"""Terms are scikit-learn's, in every script; ids, counts and sequences belong together."""

import re

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from pipelines.text import jieba_tokenizer, tokenizer

TEXTS = [
    "İstanbul'da ΣΟΦΟΣ ΟΔΟΣ. ß STRASSE",
    "北京 欢迎你 a bc 中文 ok_1",
    "cafe\u0301 naïve 👍🏽 e\u0301 ²³ ½ १२३ हिन्दी \u0130",
    "",
    "a b c",
    "the same the same words the",
    "tail ΑΣ",
    "😀" * 3,
    "x" * 5000 + " y\u0300 ﬁne ǅ",
]
ANY_PATTERN = tokenizer.WORDS + "(?:)"  # the same language, but not the pattern that the fast way knows


@pytest.mark.parametrize("ngrams", [1, 2, 3])
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("pattern", [tokenizer.WORDS, ANY_PATTERN], ids=["arrays", "regex"])
def test_counts_are_scikit_learns(ngrams: int, lowercase: bool, pattern: str) -> None:
    texts = [tokenizer.normalise(text) for text in TEXTS]
    reference = CountVectorizer(ngram_range=(1, ngrams), lowercase=lowercase)
    matrix = reference.fit_transform(texts)
    names = reference.get_feature_names_out()
    found = tokenizer.terms(texts, tokenizer.Options(ngrams=ngrams, lowercase=lowercase, pattern=pattern))
    for number in range(len(texts)):
        own = slice(found.offsets[number], found.offsets[number + 1])
        mine = dict(zip(found.names.take(found.codes[own]).to_pylist(), found.counts[own].tolist(), strict=True))
        assert mine == {names[column]: matrix[number, column] for column in matrix[number].nonzero()[1]}


def test_sequences_are_the_words_in_their_order() -> None:
    texts = [tokenizer.normalise(text) for text in TEXTS]
    found = tokenizer.terms(texts, tokenizer.Options(ngrams=2))
    for number, text in enumerate(texts):
        positions = found.words[found.word_offsets[number] : found.word_offsets[number + 1]]
        codes = found.codes[found.offsets[number] + positions]
        assert found.names.take(codes).to_pylist() == re.findall(tokenizer.WORDS, text.lower())


@pytest.mark.parametrize("ngrams", [1, 3])
def test_characters_are_scikit_learns(ngrams: int) -> None:
    """Where there is no blank: scikit-learn takes those for characters, too."""
    texts = [tokenizer.normalise(text).replace(" ", "") for text in TEXTS]
    reference = CountVectorizer(analyzer="char", ngram_range=(1, ngrams))
    matrix = reference.fit_transform(texts)
    names = reference.get_feature_names_out()
    found = tokenizer.terms(texts, tokenizer.Options(pattern=r"\S", ngrams=ngrams))
    for number in range(len(texts)):
        own = slice(found.offsets[number], found.offsets[number + 1])
        terms = [name.replace(" ", "") for name in found.names.take(found.codes[own]).to_pylist()]
        mine = dict(zip(terms, found.counts[own].tolist(), strict=True))
        assert mine == {names[column]: matrix[number, column] for column in matrix[number].nonzero()[1]}


def test_chinese_words_are_cut() -> None:
    texts = ["我来到北京清华大学。很好!", "他来到了网易杭研大厦", "iPhone 很好用, 2019", ""]
    found = tokenizer.terms([tokenizer.normalise(text) for text in texts], tokenizer.Options(tokenizer="jieba"))
    cut = []
    for number in range(len(texts)):
        positions = found.words[found.word_offsets[number] : found.word_offsets[number + 1]]
        cut.append(found.names.take(found.codes[found.offsets[number] + positions]).to_pylist())
    # The first two are the examples of jieba's own documentation.
    assert cut == [
        ["我", "来到", "北京", "清华大学", "很", "好"],
        ["他", "来到", "了", "网易", "杭研", "大厦"],
        ["iphone", "很", "好", "用", "2019"],
        [],
    ]


def test_a_tokenizer_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"features\.tokenizer must be pattern or jieba, not mecab"):
        tokenizer.Options(tokenizer="mecab")
    monkeypatch.setattr(jieba_tokenizer, "installed", lambda: False)
    with pytest.raises(ValueError, match="pip install jieba"):
        tokenizer.Options(tokenizer="jieba")


def test_word_characters_are_those_of_re() -> None:
    everything = "".join(map(chr, range(0x110000)))
    expected = np.zeros(0x110000, np.bool_)
    expected[[match.start() for match in re.finditer(r"\w", everything)]] = True
    assert np.array_equal(tokenizer._word_characters(0x110000), expected)


def test_a_documents_terms_do_not_depend_on_its_neighbours() -> None:
    texts = [tokenizer.normalise(text) for text in TEXTS]
    together = tokenizer.terms(texts, tokenizer.Options())
    for number, text in enumerate(texts):
        alone = tokenizer.terms([text], tokenizer.Options())
        own = slice(together.offsets[number], together.offsets[number + 1])
        assert together.ids[together.codes[own]].tolist() == alone.ids[alone.codes].tolist()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [("e\u0301", "é"), ("a\x00b\x9fc", "abc"), (" a\t\n\u2003b ", "a b"), ("\x07", ""), ("a\x85b", "a b")],
)
def test_normalise(raw: str, clean: str) -> None:
    assert tokenizer.normalise(raw) == clean
    assert tokenizer.normalise(clean) == clean


def test_normalising_all_at_once_is_normalising_each() -> None:
    edges = ["", " ", "a", " a", "a ", "a b", "a  b", "a\tb", "a\x7fb", "a\u00a0b", "~", "", "x"]
    texts = pa.array([*TEXTS, *edges, "a b c"] * 3)
    for part in (texts, texts.slice(2, 17), texts.slice(0, 0), pa.array(["clean already", ""])):
        assert tokenizer.normalised(part).to_pylist() == [tokenizer.normalise(text) for text in part.to_pylist()]


def test_unique_is_numpys() -> None:
    draw = np.random.default_rng(0)
    for values in (draw.integers(0, 9, 99), draw.integers(0, 2**62, 99), np.zeros(0, np.int64)):
        for mine, theirs in zip(
            tokenizer._unique(values), np.unique(values, return_inverse=True, return_counts=True), strict=True
        ):
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("pattern", ["(", "(a)(b)"])
def test_a_bad_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"features\.pattern"):
        tokenizer.Options(pattern=pattern)
