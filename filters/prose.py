"""Rules that tell prose from other text. Without default bounds: lists, code and one-word answers are no faults."""

import polars as pl

from filters.keywords import keywords
from filters.texts import Part, text
from schemas.rules import Rule

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
END = r"""[.!?…。！？؟।۔]["'”’)\]»*_`]*\s*\z"""  # noqa: RUF001 - full-width marks end sentences too


def stop_words(*, part: Part = "reply", words: tuple[str, ...] = STOP_WORDS, minimum: int | None = None) -> Rule:
    """Occurrences of the stop words `words` in `part`, in any letter case. Kept: from `minimum`, inclusive.

    The words are Gopher's (arXiv 2112.11446, appendix A.1.1), which wants two of a web page.
    """
    if not words:
        raise ValueError("words is empty; name at least one stop word")
    if not all(map(str.isascii, words)):  # they may be of a script that sets no blanks between words
        return keywords(words=words, part=part, minimum=minimum)
    listed = "|".join(_literal(word) for word in words)
    return Rule(text(part).str.count_matches(rf"(?i)\b(?:{listed})\b"), minimum, None)


def end_mark(*, part: Part = "reply", minimum: int | None = None) -> Rule:
    """1 when `part` ends in a full stop, question mark, exclamation mark or ellipsis, quoted or not, else 0."""
    return Rule(text(part).str.contains(END), minimum, None)


def closed_lines(*, part: Part = "reply", minimum: float | None = None) -> Rule:
    """Fraction of the non-blank lines of `part` that end in such a mark. Kept: from `minimum`, inclusive.

    FineWeb's line-punctuation ratio (arXiv 2406.17557, section 3.6), whose bound for web pages is 0.12.
    """
    told = text(part)
    lines = told.str.count_matches(r"[^\n]*\S[^\n]*")
    closed = told.str.count_matches(r"""(?m)[.!?…。！？؟।۔]["'”’)\]»*_`]*[ \t\r]*$""")  # noqa: RUF001 - full-width marks too
    return Rule(pl.when(lines > 0).then(closed / lines), minimum, None)


def code(*, part: Part = "reply", maximum: float | None = None) -> Rule:
    """Fraction of the non-blank lines of `part` that are code, fenced or by their form. Kept: up to `maximum`.

    By its form a line is code that opens with a keyword of the usual languages and its mark (`def f(`, `#include`),
    assigns, calls, or ends in a brace or semicolon.
    """
    told = text(part)
    lines = told.str.count_matches(r"[^\n]*\S[^\n]*")
    fenced = told.str.extract_all(r"(?s)```.*?(?:```|\z)").list.join("\n").str.count_matches(r"[^\n]*\S[^\n]*")
    bare = told.str.replace_all(r"(?s)```.*?(?:```|\z)", "").str.count_matches(STATEMENT)
    return Rule(pl.when(lines > 0).then((fenced + bare) / lines), None, maximum)


STATEMENT = (
    r"(?m)^[ \t]*(?:(?:def|class|func|function|fn) \w+\s*[(:{]"
    r"|(?:import|from|using|package|#include|#define)\s+[\w<\".*]+"
    r"|(?:public|private|protected|static|const|let|var|int|float|double|char|void|string) [\w<>\[\], ]+\s*[=({;]"
    r"|(?:if|for|while|elif|else if|switch|catch)\b[^\n]*[:{]\s*$|(?:else|try|finally|do)\s*[:{]|return\b[^\n.]*;?\s*$"
    r"|(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|FROM|WHERE|GROUP BY|ORDER BY)\b[^\n.]*$|</?\w+[^\n]*>\s*$"
    r"|[\w.\[\]\"']+\s*(?:[-+*/|&]?=)\s*[^\n=][^\n]*[^\n.,!?:]$|[\w.]+\([^\n]*\)\s*[;:{]?\s*$|[^\n]*[{};]\s*$|[})\]]+,?\s*$)"
)


def _literal(word: str) -> str:
    """Give the pattern that matches the word itself."""
    return "".join(letter if letter.isalnum() or letter.isspace() else f"\\{letter}" for letter in word)
