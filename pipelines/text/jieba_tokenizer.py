"""Chinese text, which has no blanks between its words, to words: jieba's dictionary and hidden Markov model."""

import re
import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any

WORD = re.compile(r"\w")


def installed() -> bool:
    """Whether the package is there; it is an option of this project."""
    return find_spec("jieba") is not None


def words(text: str) -> list[str]:
    """The words in their order, without punctuation.

    >>> words("我喜欢读书也喜欢音乐!")
    ['我', '喜欢', '读书', '也', '喜欢', '音乐']
    """
    return [word for word in _tokenizer().cut(text) if WORD.search(word)]


@cache
def _tokenizer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package is older than this Python
        import jieba

    tokenizer = jieba.Tokenizer()
    # Its own start would load a cache that anybody may have put into the folder for temporary files.
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
