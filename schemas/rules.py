"""Rules over samples: a measurement and its bounds, or matches and a threshold."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

MATCHES = pl.Schema(
    {
        "id": pl.String,
        "other": pl.String,  # another sample's id, or the name of a row outside ("file:row")
        "measured": pl.Float64,  # how alike, 0 to 1
        "span": pl.String,  # the matching text, or null
    }
)


@dataclass(frozen=True)
class Rule:
    """A measurement of each sample and its bounds, both inclusive; null is no bound.

    `measure` is an expression or a function from the samples to one value a row, in their order; numbers or booleans
    (true is 1). A row that can't be measured is null and is kept: a failure is not a value.
    """

    measure: pl.Expr | Callable[[pl.DataFrame], pl.Series]
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class MatchRule:
    """A rule that sees all samples: who matches whom, and how alike from `threshold` on counts.

    `match` takes the samples and the benchmarks (tables of the same form) and gives `MATCHES` rows, among them at
    least a spanning forest of what counts at any threshold the rule allows, so that clusters at another threshold need
    no new measurement. Of the rows that hang together one stays: an outside row where there is one (a benchmark's),
    else the first that no other rule drops.
    """

    match: Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
    threshold: float
