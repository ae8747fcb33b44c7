"""Rules on how long a text is."""

import polars as pl

from filters.texts import Part, text
from schemas.rules import Rule


def words(*, part: Part = "reply", minimum: int | None = 1, maximum: int | None = None) -> Rule:
    """Words of `part`, runs of non-blank characters. Kept: `minimum` to `maximum`, both inclusive."""
    return Rule(text(part).str.count_matches(r"\S+"), minimum, maximum)


def characters(*, part: Part = "reply", minimum: int | None = 1, maximum: int | None = None) -> Rule:
    """Characters (Unicode code points) of `part`, outer blanks not counted. Both bounds inclusive."""
    return Rule(text(part).str.strip_chars().str.len_chars(), minimum, maximum)


def turns(*, minimum: int | None = 1, maximum: int | None = None) -> Rule:
    """Messages of the prompt, the system's among them. Both bounds inclusive."""
    return Rule(pl.col("prompt").list.len(), minimum, maximum)
