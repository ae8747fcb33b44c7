"""Candidates with what the judges said of them: one score each, and how far its judges are apart."""

from collections.abc import Sequence

import polars as pl

from pipelines.store import Stored, read_table
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES


def load_scored(curated: Stored, generated: Stored, scored: Sequence[Stored]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read the kept samples, and the candidates with what the judges said of them."""
    scores = [read_table(stored, "scores", SCORES) for stored in scored]
    comparisons = [read_table(stored, "comparisons", COMPARISONS) for stored in scored]
    candidates = table_of(
        read_table(generated, "candidates", CANDIDATES),
        pl.concat([pl.DataFrame(schema=SCORES), *scores]),
        pl.concat([pl.DataFrame(schema=COMPARISONS), *comparisons]),
    )
    return read_table(curated, "kept", SAMPLES), candidates


def table_of(candidates: pl.DataFrame, scores: pl.DataFrame, comparisons: pl.DataFrame) -> pl.DataFrame:
    """Join each answered candidate with its `score`, the `judge` it is by, and its `wins`.

    A candidate's score is the lowest that any verifier gave it, null where one of them met an error; where no verifier
    had a reference for the prompt it is the mean of its comparisons (1 won all, -1 lost all). `wins` is that mean, 0
    without any. `spread` is how far its judges are apart: the highest less the lowest score, or the mean of that over
    its comparisons; null without two verdicts.
    """
    answered = candidates.filter(pl.col("status") == "answered")
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
