"""What is read next: first what tells most of the judges, then what covers most of the data."""

from dataclasses import dataclass

import polars as pl

from schemas.chats import content_id

LOWEST = 0.1  # share of a deck that a small margin, or a score near the trusted one, is among
CROWD = 0.25  # where more than this share has the lowest value, it tells nothing of any of them


@dataclass(frozen=True)
class Wanted:
    """What a person wants to read: null is all. `least` and `most` bound the score, both inclusive."""

    source: str | None = None
    rule: str | None = None
    least: float | None = None
    most: float | None = None
    apart: bool = False  # only where judges are apart

    def of(self, deck: pl.DataFrame) -> pl.DataFrame:
        """Give the rows of a deck that are wanted, in its order."""
        asked = [
            pl.col("source") == self.source if self.source else None,
            pl.col("rule") == self.rule if self.rule else None,
            pl.col("score") >= self.least if self.least is not None else None,
            pl.col("score") <= self.most if self.most is not None else None,
            pl.col("apart") > 0 if self.apart else None,
        ]
        return deck.filter(pl.lit(value=True), *(one for one in asked if one is not None))


def drawn_order(deck: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Put a deck into a drawn order: what was read so far is a fair sample of it, as a judge's card needs one."""
    drawn = pl.Series("drawn", [content_id(seed, key) for key in deck["key"].to_list()], dtype=pl.String)
    return deck.with_columns(drawn).sort("drawn").drop("drawn")


def telling_order(deck: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Put a deck into the order of what tells most: the same deck and seed have the same order.

    First come those of which judges say the opposite, then those where one says tie or names whichever came first, then
    the tenth with the smallest margin (of pairs), then the tenth nearest to the score from which on the judge is
    trusted, then the others. Within each, sources and rules take turns, each in a drawn order.
    """
    margin = _lowest("score") if "a_id" in deck.columns else pl.lit(value=False)
    turn = (
        pl.when(pl.col("apart") >= 1)
        .then(0)
        .when(pl.col("apart") > 0)
        .then(1)
        .when(margin)
        .then(2)
        .when(_lowest("far"))
        .then(3)
        .otherwise(4)
    )
    ranked = drawn_order(deck, seed).with_columns(turn=turn)
    place = pl.int_range(pl.len()).over("turn", "source", "rule")
    return ranked.with_columns(place=place).sort("turn", "place", maintain_order=True).drop("turn", "place")


def _lowest(column: str) -> pl.Expr:
    """Tell what is in the lowest tenth of a column; nothing is where too many share one value."""
    value, known = pl.col(column), pl.col(column).count()
    below = value.rank("min") - 1 < known * LOWEST
    return (below & (value.rank("max") <= known * CROWD)).fill_null(value=False)


def first_is_a(seed: int, person: str, key: str) -> bool:
    """Draw whether the first of a pair's ids is shown first, by the seed, the person and the pair."""
    return int(content_id(seed, person, key)[:8], 16) % 2 == 0
