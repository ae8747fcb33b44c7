"""The figures of judges of replies and of juries, counted from their tables."""

import itertools
from typing import Any

import orjson
import polars as pl

from pipelines.evaluate import mean_interval


def reply_judge_figures(scores: pl.DataFrame, judgments: pl.DataFrame, verified: pl.DataFrame) -> dict[str, Any]:
    """Give the counts of a judge of replies, its scores, its agreement with the verifiers, and that of its members.

    `verified` is `candidate_id` and `score`. Agreement counts the pairs of one passing and one failing reply to a
    prompt: the fraction in which the passing one has the higher score, equal scores half, with its 95 % interval over
    the pairs. `told_apart` is the fraction of pairs of different replies to a prompt that have different scores.
    """
    scored = scores.filter(pl.col("score").is_not_null())
    pairs = _pairs(judgments, scores)
    right = _right(scored, verified)
    agreement, interval = mean_interval(right)
    return {
        "kind": "reply judge",
        "candidates": scores.height,
        "scored": scored.height,
        "mean": scored["score"].mean(),
        "without_verdict": dict(
            scores.filter(pl.col("score").is_null())["status"].value_counts().sort("status").iter_rows()
        ),
        "different_pairs": pairs.height,
        "told_apart": None if pairs.is_empty() else (pairs["score"] != pairs["score_b"]).mean(),
        "verified_pairs": len(right),
        "agreement": agreement,
        "interval": None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)],
        **rubric_figures(judgments),
        **jury_figures(judgments),
    }


def _pairs(judgments: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Give the scores of each two of a prompt's different texts: a judgment is of a text."""
    texts = judgments.select("candidate_id").unique().join(scores, on="candidate_id").drop_nulls("score")
    one = texts.select("sample_id", "candidate_id", "score")
    return one.join(one, on="sample_id", suffix="_b").filter(pl.col("candidate_id") < pl.col("candidate_id_b"))


def rated_pairs(judgments: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """Give each two of a prompt's different texts as a comparison by their scores: above 0, the first is better."""
    pairs = _pairs(judgments, scores).rename({"candidate_id": "a_id", "candidate_id_b": "b_id"})
    return pairs.select("sample_id", "a_id", "b_id", score=pl.col("score") - pl.col("score_b"))


def _right(scored: pl.DataFrame, verified: pl.DataFrame) -> list[float]:
    truth = verified.select("candidate_id", verified="score").drop_nulls().unique("candidate_id")
    known = scored.select("sample_id", "candidate_id", "score").join(truth, on="candidate_id")
    both = known.join(known, on="sample_id", suffix="_b").filter(pl.col("verified") > pl.col("verified_b"))
    ordered = both.sort("sample_id", "candidate_id", "candidate_id_b")
    return ordered.select((1 + (pl.col("score") - pl.col("score_b")).sign()) / 2).to_series().to_list()


def rubric_figures(judgments: pl.DataFrame) -> dict[str, Any]:
    """Give the discriminating power of instance rubrics; nothing where no judgment holds a rubric.

    `criteria` counts those of prompts with two replies or more that were graded; `discriminating` is the fraction of
    them that the replies don't all meet alike: one that all meet, or none, says nothing about which is better.
    """
    met: dict[tuple[str, int, str], list[float]] = {}
    for sample, member, told in judgments.select("sample_id", "member", "extracted").drop_nulls().iter_rows():
        for line in _criteria(told):
            if line["met"] is not None:
                met.setdefault((sample, member, line["criterion"]), []).append(line["met"])
    if not met:
        return {}
    several = [values for values in met.values() if len(values) > 1]
    apart = sum(min(values) != max(values) for values in several)
    return {"criteria": len(several), "discriminating": apart / len(several) if several else None}


def _criteria(told: str) -> list[dict[str, Any]]:
    try:
        lines = orjson.loads(told)
    except orjson.JSONDecodeError:
        return []
    return lines if isinstance(lines, list) and all(isinstance(one, dict) and "met" in one for one in lines) else []


def jury_figures(judgments: pl.DataFrame) -> dict[str, Any]:
    """Give the agreement of a jury's members; nothing of a single judge.

    Of what is judged, `unanimous` is the fraction on which all members that have a verdict say the same, counted where
    two or more have one. `members_agree` is, by two members ("0, 1"), the fraction of what both scored that they score
    alike; of pairs the side counts, not how strongly.
    """
    if judgments["member"].n_unique() < 2:  # noqa: PLR2004 - of one there is no agreement
        return {}
    said = pl.when(pl.col("other_id").is_null()).then("score").otherwise(pl.col("score").sign())
    votes = judgments.with_columns(said=said).drop_nulls("said")
    matter = ["candidate_id", "other_id"]
    each = votes.group_by(matter).agg(members=pl.len(), different=pl.col("said").n_unique())
    several = each.filter(pl.col("members") > 1)
    agreed = {}
    for a, b in itertools.combinations(sorted(set(judgments["member"])), 2):
        both = votes.filter(pl.col("member") == a).join(
            votes.filter(pl.col("member") == b), on=matter, nulls_equal=True, suffix="_b"
        )
        agreed[f"{a}, {b}"] = None if both.is_empty() else (both["said"] == both["said_b"]).mean()
    return {
        "members": judgments["member"].n_unique(),
        "judged_by_several": several.height,
        "unanimous": None if several.is_empty() else (several["different"] == 1).mean(),
        "members_agree": agreed,
    }
