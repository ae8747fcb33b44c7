"""The figures of a run, counted from its tables: what the summary and the report tell.

Each kind is first counted, of some samples with all that is theirs; counts add up to those of all samples.
"""

from collections import Counter
from typing import Any

import polars as pl

from pipelines.closing import of
from pipelines.evaluate import mean_interval
from schemas.rules import Shards

Counts = Counter[Any]  # by name, or by name and what is counted apart


def apart(counts: Counts, name: str) -> dict[Any, Any]:
    """Give what was counted under a name by what was counted apart, in order, nulls last."""
    found = {key[1]: count for key, count in counts.items() if isinstance(key, tuple) and key[0] == name}
    return dict(sorted(found.items(), key=lambda one: _nulls_last(one[0])))


def _nulls_last(key: Any) -> list[tuple[bool, Any]]:
    parts = key if isinstance(key, tuple) else (key,)
    return [(True, 0) if part is None else (False, part) for part in parts]


def ratio(part: float, whole: float) -> float | None:
    """Give a fraction; null of nothing."""
    return part / whole if whole else None


def verdict_counts(scores: pl.DataFrame) -> Counts:
    """Count a judge's rows, those with a score, those that pass or lie outside 0 to 1, and the others by status."""
    known = scores.filter(pl.col("score").is_not_null())
    statuses = scores.filter(pl.col("score").is_null())["status"].value_counts()
    counts: Counts = Counter({("status", status): count for status, count in statuses.iter_rows()})
    outside = known.filter(~pl.col("score").is_between(0, 1)).height
    counts.update(rows=scores.height, scored=known.height, outside=outside)
    counts.update(passed=known.filter(pl.col("score") >= 1).height)
    return counts


def verifier_figures(scores: pl.DataFrame | Counts) -> dict[str, Any]:
    """Give a verifier's counts: scored, passed, outside 0 to 1 (ratings, ranks), and without a verdict by status."""
    counts = verdict_counts(scores) if isinstance(scores, pl.DataFrame) else scores
    return {
        "kind": "verifier",
        "candidates": counts["rows"],
        "scored": counts["scored"],
        "passed": counts["passed"],
        "outside": counts["outside"],
        "without_verdict": apart(counts, "status"),
    }


def comparison_counts(comparisons: pl.DataFrame, verified: pl.DataFrame) -> Counts:
    """Count a pairwise judge's verdicts, its single answers, and those on pairs that the verifiers tell apart."""
    counts = verdict_counts(comparisons)
    settled = comparisons.filter(pl.col("score").is_not_null())
    said = pl.concat([comparisons["a_first"], comparisons["b_first"]]).str.strip_chars().str.strip_suffix(".")
    slots = said.filter(said.is_in(["A", "B"]))
    right = _single_answers(settled, verified)
    reconciled = right.filter(pl.col("score") != 0)
    counts.update(("right", value) for value in right["right"].to_list())
    counts.update(
        ties=settled.filter(pl.col("score") == 0).height,
        answers=len(slots),
        first=int((slots == "A").sum()),
        reconciled=reconciled.height,
        reconciled_right=int((reconciled["right"] > 0.5).sum()),  # noqa: PLR2004 - both orders name it, or one and a tie
    )
    return counts


def judge_figures(comparisons: pl.DataFrame, verified: pl.DataFrame) -> dict[str, Any]:
    """Give `pairwise_figures` of a judge's comparisons; `verified` is `candidate_id` and `score`."""
    return pairwise_figures(comparison_counts(comparisons, verified))


def pairwise_figures(counts: Counts) -> dict[str, Any]:
    """Give a pairwise judge's counts, its position bias, and its agreement with the verifiers.

    Agreement counts the pairs of one passing and one failing reply: the fraction of single answers, over both orders,
    that name the passing one, with its 95 % interval over the pairs. `first_slot` is the fraction of single answers
    that name the first place: 0.5 without bias.
    """
    right = Counter(apart(counts, "right"))
    return {
        "kind": "pairwise judge",
        "comparisons": counts["rows"],
        "ties": counts["ties"],
        "without_verdict": apart(counts, "status"),
        "first_slot": ratio(counts["first"], counts["answers"]),
        "answers": counts["answers"],
        "verified_pairs": right.total(),
        **agreement(right),
        "reconciled_pairs": counts["reconciled"],
        "reconciled_agreement": ratio(counts["reconciled_right"], counts["reconciled"]),
    }


def agreement(right: Counter[float]) -> dict[str, Any]:
    """Give the mean of how right each pair is, 0 to 1, with its 95 % interval."""
    mean, interval = mean_interval(right.elements())
    return {
        "agreement": mean,
        "interval": None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)],
    }


def _single_answers(settled: pl.DataFrame, verified: pl.DataFrame) -> pl.DataFrame:
    """Give for each pair that the verifiers tell apart the fraction of its two answers that are right."""
    score = verified.select("candidate_id", verified="score").drop_nulls().unique("candidate_id")
    both = settled.join(score, left_on="a_id", right_on="candidate_id").join(
        score, left_on="b_id", right_on="candidate_id", suffix="_b"
    )
    truth = (pl.col("verified") - pl.col("verified_b")).sign()
    return both.filter(truth != 0).with_columns(right=(1 + pl.col("score") * truth) / 2)


def length_counts(pairs: pl.DataFrame, candidates: pl.DataFrame) -> Counts:
    """Count the verdicts that prefer one of two replies of different lengths: the longer, and the shorter.

    `pairs` has `a_id`, `b_id` and `score` (above 0: a is better), `candidates` has `id` and `text`.
    """
    sides = pairs.select("a_id", "b_id", "score").filter(pl.col("score") != 0)
    lengths = candidates.select("id", characters=pl.col("text").str.len_chars()).drop_nulls()
    for side in ("a", "b"):
        sides = sides.join(lengths.rename({"id": f"{side}_id", "characters": side}), on=f"{side}_id")
    decided = sides.filter(pl.col("a") != pl.col("b"))
    longer = decided.select(((pl.col("score") > 0) == (pl.col("a") > pl.col("b"))).cast(pl.Float64)).to_series()
    return Counter(("longer", one) for one in longer)


def length_figures(counts: Counts) -> dict[str, Any]:
    """Give how often a judge prefers the longer reply, of verdicts that prefer one, on replies of different lengths.

    The 95 % interval is normal over the pairs.
    """
    longer = Counter(apart(counts, "longer"))
    told = agreement(longer)
    return {"longer": told["agreement"], "longer_interval": told["interval"], "longer_of": longer.total()}


def counts_of(shards: Shards, by: list[str], name: str) -> pl.DataFrame:
    """Count the rows of a table by columns; the counts are the column `name`."""
    counts = pl.concat([shard.group_by(by).agg(pl.len().alias(name)) for shard in shards])
    return counts.group_by(by).agg(pl.col(name).sum())


def lowest(shards: Shards, count: int) -> pl.DataFrame:
    """Give the rows with the lowest ids, in their order."""
    found: list[pl.DataFrame] = []
    for shard in shards:
        found = [pl.concat([*found, shard]).bottom_k(count, by="id")]
    return found[0].sort("id")


PAIR = ("chosen_generator", "rejected_generator", "margin", "chosen_characters", "rejected_characters")


def pairs_of(preferences: Shards) -> pl.DataFrame:
    """Give of each pair what is counted: generators, margin, and the characters of both replies, some 20 bytes."""
    lengths = [
        pl.col(side).list.last().struct.field("content").str.len_chars().alias(f"{side}_characters")
        for side in ("chosen", "rejected")
    ]
    names = [pl.col(f"{side}_generator").cast(pl.Categorical) for side in ("chosen", "rejected")]
    return pl.concat([shard.with_columns(*lengths, *names).select(PAIR) for shard in preferences])


def preference_figures(pairs: pl.DataFrame) -> dict[str, Any]:
    """Give the health of `pairs_of`: lengths in characters, margins, whether the generator gives the label away."""
    chosen, rejected = pairs["chosen_characters"], pairs["rejected_characters"]
    if pairs.is_empty():
        return {"pairs": 0}
    generators = pl.concat(
        [
            pairs.select(generator="chosen_generator", chosen=pl.lit(value=True)),
            pairs.select(generator="rejected_generator", chosen=pl.lit(value=False)),
        ]
    )
    shares = generators.group_by("generator").agg(chosen=pl.col("chosen").mean(), replies=pl.len())
    gap, interval = mean_interval((chosen.cast(pl.Int64) - rejected.cast(pl.Int64)).to_list())
    return {
        "pairs": pairs.height,
        "chosen_characters": chosen.mean(),
        "rejected_characters": rejected.mean(),
        "length_gap": gap,
        "length_gap_interval": interval,
        "chosen_longer": (chosen > rejected).mean(),
        "same_length": (chosen == rejected).mean(),
        "margins": dict(pairs["margin"].value_counts().sort("margin").cast({"margin": pl.String}).iter_rows()),
        "generators": shares.cast({"generator": pl.String}).sort("generator").to_dicts(),
        "same_generator": pairs.select(
            pl.col("chosen_generator").cast(pl.String).eq_missing(pl.col("rejected_generator").cast(pl.String)).mean()
        ).item(),
        "on_policy": ((pairs["chosen_generator"] != "source") & (pairs["rejected_generator"] != "source")).mean(),
    }


UNCHECKED = {  # benchmark questions, by how a rule that can't look for them as for others does
    "whole": "Short questions, looked for as a whole",
    "sentence": "Shorter ones, looked for as a sentence by itself",
    "no": "Too short to be looked for",
}


def unchecked(rule: dict[str, Any]) -> list[list[str]]:
    """Give the lines on a benchmark's questions that are too short for a rule, with how many of all they are."""
    told = rule.get("unchecked", {})
    return [[label, of(told[key], told["questions"])] for key, label in UNCHECKED.items() if key in told]
