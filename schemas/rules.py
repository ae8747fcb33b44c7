"""Rules over samples: a measurement and its bounds, or matches and a threshold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from schemas.chats import Chat
from schemas.tables import Sample

if TYPE_CHECKING:  # what most rules need not: numpy takes a third of the time to load that polars takes
    from schemas.engines import Reply
    from schemas.vectors import Vectors

Shards = Iterable[pl.DataFrame]  # a table a shard at a time; may be gone through more than once

MATCHES = pl.Schema(
    {
        "id": pl.String,
        "other": pl.String,  # another sample's id, or the name of a row outside ("file:row")
        "measured": pl.Float64,  # how alike, 0 to 1
        "span": pl.String,  # the matching text, or null
    }
)
UNCHECKED = pl.Schema(
    {
        "other": pl.String,  # a benchmark's row, "file:row"
        "tokens": pl.Int64,
        "text": pl.String,
        "checked": pl.String,  # what is looked for instead: "whole", "sentence" or "no"
    }
)


@dataclass(frozen=True)
class Rule:
    """A measurement of each sample and its bounds, both inclusive; null is no bound.

    `measure` is an expression, or a function from a shard of the samples to one value a row, in their order; numbers
    or booleans (true is 1). A row that can't be measured is null (or NaN) and is kept: a failure is not a value. A
    function may give a struct of `value` and `why` instead: what was found, in words, which the dropped row then says.
    `files` are those that the measurement depends on: where one changes, it is made anew.
    """

    measure: pl.Expr | Callable[[pl.DataFrame], pl.Series]
    minimum: float | None = None
    maximum: float | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class MatchRule:
    """A rule that sees all samples: who matches whom, and how alike from `threshold` on counts.

    `match` takes the samples and the benchmarks (tables of the same form, by shards) and gives `MATCHES` rows: all, or
    each row's strongest and a spanning forest of what counts at any threshold the rule allows
    (`filters.forest:strongest`), so that another threshold needs no new measurement; of rows that are the same
    (measured 1) pairs that join them. A row falls where it matches one that stays (`filters.standing:beside`): an
    outside row (a benchmark's, an earlier dataset's), or one that `keep` prefers of those that no other rule drops:
    "first", or "highest NAME" and "lowest NAME" by the values of the recipe's rule of that name. With "none" all that
    match fall. `unchecked` takes the benchmarks and gives the rows of them that the rule can't look for as it does for
    others (`UNCHECKED`). A rule that `needs_benchmarks` finds nothing without them. `files` are as a `Rule`'s.
    """

    match: Callable[[Shards, Shards], pl.DataFrame]
    threshold: float
    keep: str = "first"
    unchecked: Callable[[Shards], pl.DataFrame] | None = None
    needs_benchmarks: bool = False
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class VectorRule:
    """A `MatchRule` on embeddings: `match` takes the samples' ids and, in their order, the vectors of `part`."""

    part: str
    match: "Callable[[Sequence[str], Vectors], pl.DataFrame]"
    threshold: float
    keep: str = "first"


@dataclass(frozen=True)
class Question:
    """What an `AskRule` asks: an answer to `chat`, or how likely the engine finds `continuation` after it.

    `choices`, when given, are the only answers allowed. The answer is greedy, of at most `max_tokens` tokens.
    """

    chat: Chat
    continuation: str | None = None
    choices: tuple[str, ...] = ()
    max_tokens: int = 16


@dataclass(frozen=True)
class AskRule:
    """A measurement that needs an engine, and its bounds: `ask` gives the questions on one sample, none where it can't
    be measured; `read` gives the value in their replies, null where they hold none.
    """  # noqa: D205 - one sentence, too long for a line

    ask: Callable[[Sample], list[Question]]
    read: "Callable[[Sequence[Reply]], float | None]"
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class PickRule:
    """A rule on what stays of the rows that no other rule drops: `order` gives `id` and `value`, kept up to `maximum`.

    It takes the living samples' `id`, `source` and `characters` (of prompt and reply) and, where `part` is given, the
    vectors of that part in the same order. It may give `why` too: of a row that is not kept, in words.
    """

    order: "Callable[[pl.DataFrame, Vectors | None], pl.DataFrame]"
    maximum: float
    part: str | None = None
