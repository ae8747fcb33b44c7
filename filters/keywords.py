"""Rules on what a text mentions: keywords, years."""

import re

import polars as pl

from filters.texts import UNSPACED, Part, spaced, text
from schemas.rules import Rule

YEAR = r"\b(1[0-9]{3}|20[0-9]{2})(?:s|-\d{2}-\d{2})?\b"


def keywords(
    *,
    words: tuple[str, ...] = (),
    pattern: str | None = None,
    part: Part = "conversation",
    minimum: int | None = None,
    maximum: int | None = None,
) -> Rule:
    """Occurrences of `words`, whole and in any letter case, or of the regular expression `pattern`, in `part`.

    In scripts that set no blanks between words (Chinese, Japanese, Thai …) and in Korean, a word is found wherever its
    letters stand. Kept: `minimum` to `maximum`, both inclusive. Give one of the two. The expression is of Rust's kind
    (no look-around, no back-references); raises `ValueError` where it is none.
    """
    if bool(words) == (pattern is not None):
        raise ValueError("give either words or a pattern")
    sought = pattern if pattern is not None else rf"(?i)(?:\b|\B)(?:{'|'.join(map(_whole, words))})"
    try:
        pl.select(pl.lit("").str.count_matches(sought))
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"pattern {sought!r} is no regular expression: {error}") from error
    told = text(part) if pattern is not None else spaced(text(part))
    return Rule(told.str.count_matches(sought), minimum, maximum)


def _whole(word: str) -> str:
    """Give the pattern of a word that starts and ends at a word's border where it has one."""
    if not word.strip():
        raise ValueError("a keyword is blank")
    if pl.select(pl.lit(word).str.contains(f"[{UNSPACED}]")).item():
        return _parted(word)
    left, right = (r"\b" if re.match(r"\w", letter) else "" for letter in (word[0], word[-1]))
    return left + re.sub(r"([^\w\s])", r"\\\1", word) + right


def _parted(word: str) -> str:
    """Give the pattern of a word as `spaced` writes it: a run of letters is part of a longer one, or set apart."""
    runs = pl.select(pl.lit(word.strip()).str.extract_all(f"[{UNSPACED}]+|[^{UNSPACED}]+")).item().to_list()
    return r" *".join(re.sub(r"([^\w\s])", r"\\\1", run.strip()) for run in runs)


def latest_year(*, part: Part = "conversation", minimum: int | None = None, maximum: int | None = None) -> Rule:
    """The latest year, 1000 to 2099, that `part` mentions; null where it mentions none. Both bounds inclusive.

    For rows that outrun a model's knowledge, or that are out of date. A number that isn't part of a longer one, a price
    or a decimal is taken for a year.
    """
    told = spaced(text(part)).str.replace_all(r"[$€£]\s?\d[\d,.]*|\d+[.,]\d+|\d{5,}", " ")
    years = told.str.extract_all(YEAR).list.eval(pl.element().str.slice(0, 4).cast(pl.Int64))
    return Rule(years.list.max(), minimum, maximum)
