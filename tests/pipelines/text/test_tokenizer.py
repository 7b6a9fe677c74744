"""Terms are scikit-learn's, in every script; ids, counts and word sequences fit together."""

import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from pipelines.text import jieba_tokenizer
from pipelines.text.normalisation import normalise_text
from pipelines.text.tokenizer import Options, TokenizedBatch, tokenize, unique
from pipelines.text.word_pattern import CODE_POINTS, WORDS, word_characters

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
NORMALISED = [normalise_text(text) for text in TEXTS]
EQUIVALENT_PATTERN = WORDS + "(?:)"  # matches the same words, but is not recognised as the default pattern


def term_counts(batch: TokenizedBatch, document: int) -> dict[str, int]:
    own = slice(batch.offsets[document], batch.offsets[document + 1])
    return dict(zip(batch.terms.take(batch.indices[own]).to_pylist(), batch.counts[own].tolist(), strict=True))


def word_sequence(batch: TokenizedBatch, document: int) -> list[str]:
    positions = batch.word_positions[batch.word_offsets[document] : batch.word_offsets[document + 1]]
    words: list[str] = batch.terms.take(batch.indices[batch.offsets[document] + positions]).to_pylist()
    return words


def scikit_learn_counts(vectorizer: CountVectorizer, texts: list[str]) -> list[dict[str, int]]:
    matrix = vectorizer.fit_transform(texts)
    terms = vectorizer.get_feature_names_out()
    return [{terms[column]: row[0, column] for column in row.nonzero()[1]} for row in matrix]


@pytest.mark.parametrize("ngrams", [1, 2, 3])
@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("pattern", [WORDS, EQUIVALENT_PATTERN], ids=["arrays", "regex"])
def test_terms_are_counted_as_by_scikit_learn(ngrams: int, lowercase: bool, pattern: str) -> None:
    expected = scikit_learn_counts(CountVectorizer(ngram_range=(1, ngrams), lowercase=lowercase), NORMALISED)
    batch = tokenize(NORMALISED, Options(ngrams=ngrams, lowercase=lowercase, pattern=pattern))
    assert [term_counts(batch, document) for document in range(len(TEXTS))] == expected


@pytest.mark.parametrize("ngrams", [1, 3])
def test_characters_are_counted_as_by_scikit_learn(ngrams: int) -> None:
    """In texts without blanks, which scikit-learn counts as characters too."""
    texts = [text.replace(" ", "") for text in NORMALISED]
    expected = scikit_learn_counts(CountVectorizer(analyzer="char", ngram_range=(1, ngrams)), texts)
    batch = tokenize(texts, Options(pattern=r"\S", ngrams=ngrams))
    for document in range(len(texts)):
        counts = {term.replace(" ", ""): count for term, count in term_counts(batch, document).items()}
        assert counts == expected[document]


def test_a_word_sequence_has_the_words_in_their_order() -> None:
    batch = tokenize(NORMALISED, Options(ngrams=2))
    for document, text in enumerate(NORMALISED):
        assert word_sequence(batch, document) == re.findall(WORDS, text.lower())


def test_chinese_is_split_into_words() -> None:
    texts = ["我来到北京清华大学。很好!", "他来到了网易杭研大厦", "iPhone 很好用, 2019", ""]
    batch = tokenize([normalise_text(text) for text in texts], Options(tokenizer="jieba"))
    # The first two are the examples of jieba's own documentation.
    assert [word_sequence(batch, document) for document in range(len(texts))] == [
        ["我", "来到", "北京", "清华大学", "很", "好"],
        ["他", "来到", "了", "网易", "杭研", "大厦"],
        ["iphone", "很", "好", "用", "2019"],
        [],
    ]


def test_a_documents_terms_do_not_depend_on_other_documents() -> None:
    together = tokenize(NORMALISED, Options())
    for document, text in enumerate(NORMALISED):
        alone = tokenize([text], Options())
        own = slice(together.offsets[document], together.offsets[document + 1])
        assert together.term_ids[together.indices[own]].tolist() == alone.term_ids[alone.indices].tolist()


def test_an_unknown_or_missing_tokenizer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"features\.tokenizer must be pattern or jieba, not mecab"):
        Options(tokenizer="mecab")
    monkeypatch.setattr(jieba_tokenizer, "is_installed", lambda: False)
    with pytest.raises(ValueError, match="pip install jieba"):
        Options(tokenizer="jieba")


@pytest.mark.parametrize("pattern", ["(", "(a)(b)"])
def test_a_pattern_that_is_invalid_or_has_two_groups_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"features\.pattern"):
        Options(pattern=pattern)


def test_word_characters_are_those_of_re() -> None:
    all_characters = "".join(map(chr, range(CODE_POINTS)))
    expected = np.zeros(CODE_POINTS, np.bool_)
    expected[[match.start() for match in re.finditer(r"\w", all_characters)]] = True
    assert np.array_equal(word_characters(CODE_POINTS), expected)


def test_unique_agrees_with_numpy() -> None:
    generator = np.random.default_rng(0)
    for values in (generator.integers(0, 9, 99), generator.integers(0, 2**62, 99), np.zeros(0, np.int64)):
        expected = np.unique(values, return_inverse=True, return_counts=True)
        for actual, reference in zip(unique(values), expected, strict=True):
            assert np.array_equal(actual, reference)
