"""Rules on how much a text repeats itself."""

import polars as pl

from filters.texts import Part, text
from schemas.rules import Rule


def repeated_ngrams(*, part: Part = "reply", n: int = 3, words: int = 10, maximum: float = 0.5) -> Rule:
    """Fraction of the word `n`-grams of `part` that occurred earlier in it. Kept: up to `maximum`, inclusive.

    Not measured below `words` words: in a short text a repetition is no fault. The measure is Gopher's family of
    repetition signals (arXiv 2112.11446, table A1), counted in n-grams rather than in characters.
    """
    if n < 1:
        raise ValueError(f"n is {n}; an n-gram has at least one word")
    split = text(part).str.to_lowercase().str.extract_all(r"\S+")
    grams = _ngrams(split, n)
    fraction = (grams.list.len() - grams.list.n_unique()) / grams.list.len()  # so that 3 of 10 is 0.3 exactly
    return Rule(pl.when(split.list.len() >= max(words, n)).then(fraction), None, maximum)


def _ngrams(tokens: pl.Expr, n: int) -> pl.Expr:
    shifted = [pl.element().shift(-step) for step in range(n)]
    return tokens.list.eval(pl.concat_str(shifted, separator=" ").drop_nulls())


def repeated_lines(*, part: Part = "reply", lines: int = 3, maximum: float = 0.3) -> Rule:
    """Fraction of the non-blank lines of `part` that occurred earlier in it. Kept: up to `maximum`, inclusive.

    Not measured below `lines` lines. Gopher's duplicate-line fraction (arXiv 2112.11446, table A1), whose bound is 0.3.
    """
    split = text(part).str.extract_all(r"[^\n]*\S[^\n]*").list.eval(pl.element().str.strip_chars())
    fraction = (split.list.len() - split.list.n_unique()) / split.list.len()
    return Rule(pl.when(split.list.len() >= lines).then(fraction), None, maximum)
