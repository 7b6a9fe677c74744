"""A hook of MkDocs: formulas in LaTeX become drawings in the page, which need no script, no font and no network."""

import re
from html import escape, unescape
from typing import Any

import ziafont
import ziamath
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

# As pymdownx.arithmatex marks them: \(…\) within a line, \[…\] on their own.
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
# What latex2mathml leaves of a command that it does not know: an empty operator, a backslash, an ampersand.
UNKNOWN = re.compile(r"<mo />|>\\|<mi>&</mi>")
HEAD = re.compile(r'<svg ([^>]*)viewBox="([^"]*)">')  # the baseline has the height 0
SIZE = 16.0  # pixels of the page's text, by which the drawings' sizes become ems

ziafont.config.svg2 = False  # glyphs as paths; as symbols, those of two formulas would share their ids
ziafont.config.precision = 2


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Draw the formulas of a page.

    Raises:
        PluginError: a formula cannot be drawn.
    """

    def replaced(found: re.Match[str]) -> str:
        try:
            return drawn(unescape(found[2]).strip(), inline=found[1] == "span")
        except Exception as error:
            raise PluginError(f"{page.file.src_path}: {error}") from error

    return FORMULA.sub(replaced, html)


def drawn(latex: str, *, inline: bool) -> str:
    """A formula as SVG in the text's colour and size; screen readers get the LaTeX.

    Raises:
        ValueError: it uses a command that is not known.
    """
    known = latex.replace("{aligned}", "{split}")  # the same, and the converter knows only the latter
    if UNKNOWN.search(convert(known)):
        raise ValueError(f"the formula {latex} holds a command that latex2mathml does not know")
    formula = ziamath.Latex(known, size=SIZE * (1.06 if inline else 1.15), color="currentColor", inline=inline)
    found = HEAD.match(formula.svg())
    assert found
    _, top, width, height = (float(number) / SIZE for number in found[2].split())
    style = f"width:{width:.3f}em;height:{height:.3f}em;vertical-align:{-(top + height):.3f}em"
    head = f'<svg role="img" aria-label="{escape(latex)}" style="{style}" viewBox="{found[2]}">'
    svg = head + formula.svg()[found.end() :]
    return svg if inline else f'<div class="formula">{svg}</div>'
