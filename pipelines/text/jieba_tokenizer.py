"""Chinese text, which has no blanks between words, split into words by jieba's dictionary and hidden Markov model."""

import re
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

WORD_CHARACTER = re.compile(r"\w")


def is_installed() -> bool:
    """Whether the package jieba, an optional dependency, is installed."""
    return find_spec("jieba") is not None


def split_words(text: str) -> list[str]:
    """The words of a text in their order, without punctuation.

    >>> split_words("我喜欢读书也喜欢音乐!")
    ['我', '喜欢', '读书', '也', '喜欢', '音乐']
    """
    return [word for word in _tokenizer().cut(text) if WORD_CHARACTER.search(word)]


@cache
def _tokenizer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses features that Python deprecates
        import jieba

    tokenizer = jieba.Tokenizer()
    # Its own initialisation would load a cache from the folder for temporary files, where anybody could have put it.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
