"""Held against the benchmarks again: a model may know a benchmark by heart and answer an innocent prompt with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from pipelines.curate import names
from schemas.rules import MatchRule
from schemas.tables import LEAKED, SAMPLES

if TYPE_CHECKING:  # it imports this module
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pipelines.sections import FilterPart
    from pipelines.select import Selection

    Table = Iterable[tuple[pl.DataFrame, pl.DataFrame]]  # samples, and their candidates with what was said of them
    Picks = Iterable[tuple[Selection, pl.DataFrame, pl.DataFrame]]  # of these, what is picked, again and again

WITH_EACH_OTHER = ("filters.duplicates", "filters.conflicts")  # rules that compare the samples among themselves
OF_LEAK = ("candidate_id", "rule", "measured", "maximum", "match", "span")
ROUNDS = 3  # the second is enough for a rule that looks at each prompt by itself
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

    picked: Picks

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for one, candidates, samples in self.picked:
            texts = candidates.select("id", "sample_id", "text")
            rows = _told(one).select("id").join(texts, on="id", maintain_order="left")
            if rows.height:
                yield _as_samples(rows, samples)


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


def without_leaks(
    table: Table, pick: Callable[[Table], Picks], rules: Mapping[str, MatchRule], benchmarks: Sequence[pl.DataFrame]
) -> tuple[Picks, pl.DataFrame]:
    """Give what is picked with no leak among it, and `LEAKED`: a prompt whose pick leaks is picked from again.

    Then all its candidates are held against the benchmarks, and those that leak take no part. A rule that holds prompts
    against each other may pick of others too, which are looked at in their turn: up to `ROUNDS` times, and what still
    leaks then is left out with its pair.
    """
    leaked = pl.DataFrame(schema=LEAKED)
    for _round in range(ROUNDS):
        left = _without(table, leaked["candidate_id"])
        picked = pick(left)
        found = leaks(to_match(picked), rules, benchmarks)
        if found.is_empty():
            break
        others = leaks(_of_their_prompts(left, found["candidate_id"]), rules, benchmarks)
        fresh = others.filter(~pl.col("candidate_id").is_in(found["candidate_id"].implode()))
        leaked = pl.concat([leaked, _rows(pl.concat([found, fresh]), picked)])
    return _clean(picked, leaked["candidate_id"]), leaked


@dataclass(frozen=True)
class _without:  # noqa: N801 - as `to_match`
    """Give the samples with their candidates but for those named."""

    table: Table
    ids: pl.Series

    def __iter__(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        for samples, candidates in self.table:
            yield samples, candidates.filter(~pl.col("id").is_in(self.ids.implode()))


@dataclass(frozen=True)
class _of_their_prompts:  # noqa: N801 - as `to_match`
    """Give all candidates of the prompts of those named, each as its sample with it as the reply."""

    table: Table
    ids: pl.Series

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for samples, candidates in self.table:
            prompts = candidates.filter(pl.col("id").is_in(self.ids.implode()))["sample_id"]
            own = candidates.filter(pl.col("sample_id").is_in(prompts.implode()))
            if own.height:
                yield _as_samples(own.select("id", "sample_id", "text"), samples)


@dataclass(frozen=True)
class _clean:  # noqa: N801 - as `to_match`
    """Give what is picked but for the candidates named; a pair falls with either side."""

    picked: Picks
    ids: pl.Series

    def __iter__(self) -> Iterator[tuple[Selection, pl.DataFrame, pl.DataFrame]]:
        for one, candidates, samples in self.picked:
            sides = [~pl.col(side).is_in(self.ids.implode()) for side in ("chosen_id", "rejected_id")]
            stays = ~pl.col("id").is_in(self.ids.implode())
            left = replace(one, sft=one.sft.filter(stays), pairs=one.pairs.filter(*sides), bad=one.bad.filter(stays))
            yield left, candidates, samples


def _as_samples(texts: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    whole = texts.join(samples.rename({"id": "sample_id"}), on="sample_id", maintain_order="left")
    return whole.with_columns(reply="text").select(*SAMPLES).cast(SAMPLES)


def _told(picked: Selection) -> pl.DataFrame:
    sides = [
        picked.sft.select("id", picked=pl.lit("sft")),
        picked.pairs.select(id="chosen_id", picked=pl.lit("chosen")),
        picked.pairs.select(id="rejected_id", picked=pl.lit("rejected")),
        picked.bad.select("id", picked=pl.lit("bad")),
    ]
    return pl.concat(sides).group_by("id", maintain_order=True).agg(pl.col("picked").unique(maintain_order=True))


def _rows(found: pl.DataFrame, picked: Picks) -> pl.DataFrame:
    """Give `LEAKED` of `LEAKS`, in their order; `picked` is empty of one that was not picked."""
    blocks = [pl.DataFrame(schema=LEAKED)]
    for one, candidates, _samples in picked:
        texts = candidates.select("sample_id", "text", candidate_id="id", generator="model")
        rows = found.join(texts, on="candidate_id").join(
            _told(one).rename({"id": "candidate_id"}), on="candidate_id", how="left"
        )
        why = pl.format(
            "{} of {} is in the reply, which falls from {} on", pl.col("measured").round(3), "match", "maximum"
        )
        blocks.append(rows.with_columns(pl.col("picked").fill_null([]), why=why).select(*LEAKED).cast(LEAKED))
    return (
        found.select("candidate_id").join(pl.concat(blocks), on="candidate_id", maintain_order="left").select(*LEAKED)
    )
