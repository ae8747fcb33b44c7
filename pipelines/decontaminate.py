"""Held against the benchmarks again: a model may know a benchmark by heart and answer an innocent prompt with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from pipelines.curate import names
from schemas.rules import MatchRule
from schemas.tables import LEAKED, SAMPLES

if TYPE_CHECKING:  # it imports this module
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipelines.sections import FilterPart
    from pipelines.select import Selection

WITH_EACH_OTHER = ("filters.duplicates", "filters.conflicts")  # rules that compare the samples among themselves
OF_LEAK = ("candidate_id", "rule", "measured", "maximum", "match", "span")
LEAKS = pl.Schema({column: LEAKED[column] for column in OF_LEAK})


def contaminating(parts: Sequence[FilterPart]) -> dict[str, tuple[FilterPart, MatchRule]]:
    """Give by name the recipe's rules that hold samples against benchmarks, each with its part."""
    named = zip(names(parts), parts, strict=True)
    others = [(name, part) for name, part in named if part.use.partition(":")[0] not in WITH_EACH_OTHER]
    built = ((name, part, part.build()) for name, part in others)
    return {name: (part, rule) for name, part, rule in built if isinstance(rule, MatchRule)}


@dataclass(frozen=True)
class to_match:  # noqa: N801 - called like a function; a class, so that it can be gone through again
    """Give each picked candidate as its sample with it as the reply, a table of those at a time."""

    picked: Iterable[tuple[Selection, pl.DataFrame, pl.DataFrame]]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for one, candidates, samples in self.picked:
            texts = candidates.select("id", "sample_id", "text")
            rows = _told(one).select("id").join(texts, on="id", maintain_order="left")
            whole = rows.join(samples.rename({"id": "sample_id"}), on="sample_id", maintain_order="left")
            if whole.height:
                yield whole.with_columns(reply="text").select(*SAMPLES).cast(SAMPLES)


def leaks(
    replies: Iterable[pl.DataFrame], rules: Mapping[str, MatchRule], benchmarks: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """Give `LEAKS`, the candidates that a rule finds a benchmark in, each once: by the first rule, its widest match.

    `replies` are the picked candidates as samples, gone through more than once. One has leaked where what is found is
    at least the rule's threshold.
    """
    first = pl.DataFrame(schema=LEAKS)
    for name, rule in rules.items() if any(shard.height for shard in replies) else ():
        found = rule.match(replies, benchmarks).filter(pl.col("measured") >= rule.threshold)
        outside = found.filter(~pl.col("other").is_in(_among(replies, found["other"]).implode()))
        widest = outside.sort("id", -pl.col("measured"), "other").unique("id", keep="first", maintain_order=True)
        fresh = widest.filter(~pl.col("id").is_in(first["candidate_id"].implode()))
        told = fresh.rename({"id": "candidate_id", "other": "match"})
        told = told.with_columns(rule=pl.lit(name), maximum=pl.lit(rule.threshold, pl.Float64))
        first = pl.concat([first, told.select(*LEAKS).cast(LEAKS)])
    return first


def _among(replies: Iterable[pl.DataFrame], names: pl.Series) -> pl.Series:
    """Give those of the names that are replies' ids: a match with one of these is none with a benchmark."""
    known = [pl.Series("id", [], pl.String)]
    known += [shard["id"].filter(shard["id"].is_in(names.implode())) for shard in (replies if len(names) else ())]
    return pl.concat(known)


def parted(picked: Selection, candidates: pl.DataFrame, found: pl.DataFrame) -> tuple[Selection, pl.DataFrame]:
    """Part what was picked from `LEAKED`, those of it that are in `LEAKS`; a pair falls with either side."""
    from pipelines.select import Selection

    clean = picked.sft.join(found, left_on="id", right_on="candidate_id", how="anti", maintain_order="left")
    pairs = picked.pairs
    for side in ("chosen_id", "rejected_id"):
        pairs = pairs.join(found, left_on=side, right_on="candidate_id", how="anti", maintain_order="left")
    return Selection(clean, pairs), _rows(found, _told(picked), candidates)


def in_order(leaked: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
    """Give `LEAKED` in the order of `LEAKS`."""
    return found.select("candidate_id").join(leaked, on="candidate_id", maintain_order="left").select(*LEAKED)


def _told(picked: Selection) -> pl.DataFrame:
    sides = [
        picked.sft.select("id", picked=pl.lit("sft")),
        picked.pairs.select(id="chosen_id", picked=pl.lit("chosen")),
        picked.pairs.select(id="rejected_id", picked=pl.lit("rejected")),
    ]
    return pl.concat(sides).group_by("id", maintain_order=True).agg(pl.col("picked").unique(maintain_order=True))


def _rows(found: pl.DataFrame, told: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    picked = found.join(told.rename({"id": "candidate_id"}), on="candidate_id", maintain_order="left")
    texts = candidates.select("sample_id", "text", candidate_id="id", generator="model")
    why = pl.format("{} of {} is in the reply, which falls from {} on", pl.col("measured").round(3), "match", "maximum")
    rows = picked.join(texts, on="candidate_id", maintain_order="left").with_columns(why=why)
    return rows.select(*LEAKED).cast(LEAKED)
