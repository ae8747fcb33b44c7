"""Candidates with what the judges said of them: one score each, and how far its judges are apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from pipelines.steps import in_step
from pipelines.store import Stored, shards
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES


@dataclass(frozen=True)
class Scored:
    """The kept samples with their candidates and what the judges said of these; may be gone through more than once."""

    curated: Stored
    generated: Stored
    scored: Sequence[Stored]

    def __iter__(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Give up to 5,000 samples at a time, and `table_of` their candidates."""
        said = [shards(one, "scores", SCORES) for one in self.scored]
        said += [shards(one, "comparisons", COMPARISONS) for one in self.scored]
        samples = shards(self.curated, "kept", SAMPLES)
        for some, candidates, *told in in_step(samples, shards(self.generated, "candidates", CANDIDATES), *said):
            scores, comparisons = told[: len(self.scored)], told[len(self.scored) :]
            yield (
                some,
                table_of(
                    candidates,
                    pl.concat([pl.DataFrame(schema=SCORES), *scores]),
                    pl.concat([pl.DataFrame(schema=COMPARISONS), *comparisons]),
                ),
            )


def table_of(candidates: pl.DataFrame, scores: pl.DataFrame, comparisons: pl.DataFrame) -> pl.DataFrame:
    """Join each answered candidate with its `score`, the `judge` it is by, and its `wins`; a blank one is none.

    A candidate's score is the lowest that any verifier gave it, null where one of them met an error; where no verifier
    had a reference for the prompt it is the mean of its comparisons (1 won all, -1 lost all). `wins` is that mean, 0
    without any. `spread` is how far its judges are apart: the highest less the lowest score, or the mean of that over
    its comparisons; null without two verdicts.
    """
    answered = candidates.filter(pl.col("status") == "answered", pl.col("text").str.strip_chars() != "")
    sides = [
        comparisons.select("judge", "sample_id", candidate_id="a_id", other="b_id", result=pl.col("score")),
        comparisons.select("judge", "sample_id", candidate_id="b_id", other="a_id", result=-pl.col("score")),
    ]
    results = pl.concat(sides).drop_nulls("result")
    compared = results.group_by("candidate_id").agg(
        wins=pl.col("result").mean(), compared_by=pl.col("judge").unique().sort().str.join(", ")
    )
    apart = results.group_by("candidate_id", "other").agg(range=_spread("result"))
    disputed = apart.group_by("candidate_id").agg(disputed=pl.col("range").mean())
    joined = answered.join(verified(scores), left_on="id", right_on="candidate_id", how="left", maintain_order="left")
    for more in (compared, disputed):
        joined = joined.join(more, left_on="id", right_on="candidate_id", how="left", maintain_order="left")
    spoken = scores.filter(pl.col("status") != "no_reference")["sample_id"].unique()
    has_verdict = pl.col("sample_id").is_in(spoken.implode())
    return joined.with_columns(
        score=pl.when(has_verdict).then("score").otherwise("wins"),
        judge=pl.when(has_verdict).then("judge").otherwise("compared_by"),
        wins=pl.col("wins").fill_null(0.0),
        spread=pl.when(has_verdict).then("spread").otherwise("disputed"),
    ).drop("compared_by", "disputed")


def verified(scores: pl.DataFrame) -> pl.DataFrame:
    """Give each candidate's `score`, the lowest that a verifier gave it, and the `judge`s; null where one met an error.

    Verifiers that had no reference for the prompt have said nothing.
    """
    spoken = scores.filter(pl.col("status") != "no_reference")
    return spoken.group_by("candidate_id", maintain_order=True).agg(
        score=pl.when(pl.col("score").is_null().any()).then(None).otherwise(pl.col("score").min()),
        judge=pl.col("judge").unique().sort().str.join(", "),
        spread=_spread("score"),
    )


def _spread(column: str) -> pl.Expr:
    """Give the highest less the lowest value of two judges or more."""
    known = pl.col(column).drop_nulls()
    return pl.when(known.len() > 1).then(known.max() - known.min())
