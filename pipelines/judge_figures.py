"""The figures of judges of replies and of juries, counted from their tables."""

import itertools
from collections import Counter
from typing import Any

import orjson
import polars as pl

from pipelines.figures import Counts, agreement, apart, ratio, verdict_counts


def rating_counts(scores: pl.DataFrame, judgments: pl.DataFrame, verified: pl.DataFrame) -> Counts:
    """Count what `rating_figures` tells."""
    counts = verdict_counts(scores)
    pairs = _pairs(judgments, scores)
    counts.update(("right", value) for value in _right(scores.drop_nulls("score"), verified))
    counts.update(
        sum=scores["score"].sum(),  # type: ignore[arg-type] # a Counter adds up any number
        pairs=pairs.height,
        told_apart=int((pairs["score"] != pairs["score_b"]).sum()),
    )
    counts.update(rubric_counts(judgments))
    counts.update(jury_counts(judgments))
    return counts


def reply_judge_figures(scores: pl.DataFrame, judgments: pl.DataFrame, verified: pl.DataFrame) -> dict[str, Any]:
    """Give `rating_figures` of a judge of replies; `verified` is `candidate_id` and `score`."""
    return rating_figures(rating_counts(scores, judgments, verified))


def rating_figures(counts: Counts) -> dict[str, Any]:
    """Give the counts of a judge of replies, its scores, its agreement with the verifiers, and that of its members.

    Agreement counts the pairs of one passing and one failing reply to a prompt: the fraction in which the passing one
    has the higher score, equal scores half, with its 95 % interval over the pairs. `told_apart` is the fraction of
    pairs of different replies to a prompt that have different scores.
    """
    right = Counter(apart(counts, "right"))
    return {
        "kind": "reply judge",
        "candidates": counts["rows"],
        "scored": counts["scored"],
        "mean": ratio(counts["sum"], counts["scored"]),
        "without_verdict": apart(counts, "status"),
        "different_pairs": counts["pairs"],
        "told_apart": ratio(counts["told_apart"], counts["pairs"]),
        "verified_pairs": right.total(),
        **agreement(right),
        **rubric_figures(counts),
        **jury_figures(counts),
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
    return both.select((1 + (pl.col("score") - pl.col("score_b")).sign()) / 2).to_series().to_list()


def rubric_counts(judgments: pl.DataFrame) -> Counts:
    """Count the criteria that were graded, those of them in two replies or more, and those that tell replies apart."""
    met: dict[tuple[str, int, str], list[float]] = {}
    for sample, member, told in judgments.select("sample_id", "member", "extracted").drop_nulls().iter_rows():
        for line in _criteria(told):
            if line["met"] is not None:
                met.setdefault((sample, member, line["criterion"]), []).append(line["met"])
    several = [values for values in met.values() if len(values) > 1]
    different = sum(min(values) != max(values) for values in several)
    return Counter(graded=len(met), criteria=len(several), discriminating=different)


def rubric_figures(counts: Counts) -> dict[str, Any]:
    """Give the discriminating power of instance rubrics; nothing where no judgment holds a rubric.

    `criteria` counts those of prompts with two replies or more that were graded; `discriminating` is the fraction of
    them that the replies don't all meet alike: one that all meet, or none, says nothing about which is better.
    """
    power = ratio(counts["discriminating"], counts["criteria"])
    return {"criteria": counts["criteria"], "discriminating": power} if counts["graded"] else {}


def _criteria(told: str) -> list[dict[str, Any]]:
    try:
        lines = orjson.loads(told)
    except orjson.JSONDecodeError:
        return []
    return lines if isinstance(lines, list) and all(isinstance(one, dict) and "met" in one for one in lines) else []


def jury_counts(judgments: pl.DataFrame) -> Counts:
    """Count each member's rows, what several members have a verdict on, and where two of them say the same."""
    counts: Counts = Counter(("member", member) for member in judgments["member"])
    said = pl.when(pl.col("other_id").is_null()).then("score").otherwise(pl.col("score").sign())
    votes = judgments.with_columns(said=said).drop_nulls("said").select("candidate_id", "other_id", "member", "said")
    matter = ["candidate_id", "other_id"]
    each = votes.group_by(matter).agg(members=pl.len(), different=pl.col("said").n_unique())
    several = each.filter(pl.col("members") > 1)
    counts.update(several=several.height, unanimous=several.filter(pl.col("different") == 1).height)
    for pair in itertools.combinations(sorted(set(judgments["member"])), 2):
        one, other = (votes.filter(pl.col("member") == member) for member in pair)
        both = one.join(other, on=matter, nulls_equal=True, suffix="_b")
        counts.update({("both", pair): both.height, ("alike", pair): int((both["said"] == both["said_b"]).sum())})
    return counts


def jury_figures(counts: Counts) -> dict[str, Any]:
    """Give the agreement of a jury's members; nothing of a single judge.

    Of what is judged, `unanimous` is the fraction on which all members that have a verdict say the same, counted where
    two or more have one. `members_agree` is, by two members ("0, 1"), the fraction of what both scored that they score
    alike; of pairs the side counts, not how strongly.
    """
    members = apart(counts, "member")
    if len(members) < 2:  # noqa: PLR2004 - of one there is no agreement
        return {}
    both, alike = apart(counts, "both"), apart(counts, "alike")
    return {
        "members": len(members),
        "judged_by_several": counts["several"],
        "unanimous": ratio(counts["unanimous"], counts["several"]),
        "members_agree": {f"{a}, {b}": ratio(alike[a, b], count) for (a, b), count in both.items()},
    }
