"""The figures of a run, counted from its tables: what the summary and the report tell."""

from typing import Any

import polars as pl

from pipelines.closing import of
from pipelines.evaluate import mean_interval


def verifier_figures(scores: pl.DataFrame) -> dict[str, Any]:
    """Give a verifier's counts: scored, passed, and without a verdict by status."""
    scored = scores.filter(pl.col("score").is_not_null())
    others = scores.filter(pl.col("score").is_null())["status"].value_counts().sort("status")
    return {
        "kind": "verifier",
        "candidates": scores.height,
        "scored": scored.height,
        "passed": scored.filter(pl.col("score") >= 1).height,
        "without_verdict": dict(others.iter_rows()),
    }


def judge_figures(comparisons: pl.DataFrame, verified: pl.DataFrame) -> dict[str, Any]:
    """Give a pairwise judge's counts, its position bias, and its agreement with the verifiers.

    `verified` is `candidate_id` and `score`. Agreement counts the pairs of one passing and one failing reply: the
    fraction of single answers, over both orders, that name the passing one, with its 95 % interval over the pairs.
    `first_slot` is the fraction of single answers that name the first place: 0.5 without bias.
    """
    settled = comparisons.filter(pl.col("score").is_not_null())
    said = pl.concat([comparisons["a_first"], comparisons["b_first"]]).str.strip_chars().str.strip_suffix(".")
    slots = said.filter(said.is_in(["A", "B"]))
    right = _single_answers(settled, verified)
    agreement, interval = mean_interval(right["right"].to_list())
    reconciled = right.filter(pl.col("score") != 0)
    return {
        "kind": "pairwise judge",
        "comparisons": comparisons.height,
        "ties": settled.filter(pl.col("score") == 0).height,
        "without_verdict": dict(
            comparisons.filter(pl.col("score").is_null())["status"].value_counts().sort("status").iter_rows()
        ),
        "first_slot": None if slots.is_empty() else (slots == "A").mean(),
        "answers": len(slots),
        "verified_pairs": right.height,
        "agreement": agreement,
        "interval": None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)],
        "reconciled_pairs": reconciled.height,
        "reconciled_agreement": None if reconciled.is_empty() else (reconciled["right"] > 0.5).mean(),  # noqa: PLR2004
    }


def _single_answers(settled: pl.DataFrame, verified: pl.DataFrame) -> pl.DataFrame:
    """Give for each pair that the verifiers tell apart the fraction of its two answers that are right."""
    score = verified.select("candidate_id", verified="score").drop_nulls().unique("candidate_id")
    both = settled.join(score, left_on="a_id", right_on="candidate_id").join(
        score, left_on="b_id", right_on="candidate_id", suffix="_b"
    )
    truth = (pl.col("verified") - pl.col("verified_b")).sign()
    return both.filter(truth != 0).with_columns(right=(1 + pl.col("score") * truth) / 2).sort("sample_id", "a_id")


def length_figures(rows: pl.DataFrame, lengths: pl.DataFrame) -> dict[str, Any]:
    """Give how often a judge prefers the longer reply: of verdicts that prefer one, on replies of different lengths.

    `rows` is `sample_id`, `a_id`, `b_id` and `score` (above 0: a is better), `lengths` is `id` and `characters`. The
    95 % interval is normal over the pairs.
    """
    sides = rows.select("sample_id", "a_id", "b_id", "score").filter(pl.col("score") != 0)
    for side in ("a", "b"):
        known = lengths.select(pl.col("id").alias(f"{side}_id"), pl.col("characters").cast(pl.Int64).alias(side))
        sides = sides.join(known, on=f"{side}_id")
    decided = sides.filter(pl.col("a") != pl.col("b")).sort("sample_id", "a_id", "b_id")
    longer = decided.select((pl.col("score") > 0) == (pl.col("a") > pl.col("b")))["score"].cast(pl.Float64)
    mean, interval = mean_interval(longer.to_list())
    held = None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)]
    return {"longer": mean, "longer_interval": held, "longer_of": len(longer)}


UNCHECKED = {  # benchmark questions, by how a rule that can't look for them as for others does
    "whole": "Short questions, looked for as a whole",
    "sentence": "Shorter ones, looked for as a sentence by itself",
    "no": "Too short to be looked for",
}


def unchecked(rule: dict[str, Any]) -> list[list[str]]:
    """Give the lines on a benchmark's questions that are too short for a rule, with how many of all they are."""
    told = rule.get("unchecked", {})
    return [[label, of(told[key], told["questions"])] for key, label in UNCHECKED.items() if key in told]
