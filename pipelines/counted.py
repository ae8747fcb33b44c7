"""What the summary tells of candidates and judges, counted some samples at a time."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from pipelines.candidate_figures import (
    Words,
    candidate_figures,
    diversity,
    finishes,
    makers,
    passing_counts,
    reply_counts,
    words,
)
from pipelines.figures import (
    Counts,
    comparison_counts,
    length_counts,
    length_figures,
    pairwise_figures,
    verdict_counts,
    verifier_figures,
)
from pipelines.judge_figures import jury_counts, jury_figures, rated_pairs, rating_counts, rating_figures
from pipelines.scored import verified
from pipelines.steps import in_step
from pipelines.store import Stored, shards
from schemas.tables import CANDIDATES, COMPARISONS, JUDGMENTS, SAMPLES, SCORES

READ = ("id", "sample_id", "text", "model", "revision", "finish_reason", "reply_tokens", "status")
SAID = {"scores": SCORES, "comparisons": COMPARISONS, "judgments": JUDGMENTS}


def counted(curated: Stored, generated: Stored, scored: Sequence[Stored]) -> dict[str, Any]:
    """Give the figures of the `candidates`, the `replies`, the `models`, and by name those of `judges` that spoke.

    One walk counts all of them; the candidates of 5,000 samples are held, and a number of some 500 prompts.
    """
    kept = shards(curated, "kept", SAMPLES, ("id",))
    made = shards(generated, "candidates", CANDIDATES, READ)
    said = [shards(one, table, schema) for table, schema in SAID.items() for one in scored]
    counts: Counts = Counter()
    read: Words = {}
    judges: list[Counts] = [Counter() for _ in scored]
    for _samples, own, *told in in_step(kept, made, *said):
        several = len(scored)
        tables = list(zip(told[:several], told[several : 2 * several], told[2 * several :], strict=True))
        scores = _all([scores for scores, _, _ in tables])
        counts.update(passing_counts(own, verified(scores)))
        counts.update(reply_counts(own, scores))
        read = words(own, read)
        checked = [scores for (scores, _, _), one in zip(tables, scored, strict=True) if not one.facts["judgments"]]
        truth = verified(_all(checked))
        for judge, three, one in zip(judges, tables, scored, strict=True):
            judge.update(judge_counts(one, own, *three, truth))
    kinds = sorted(zip(judges, scored, strict=True), key=lambda told: not told[1].facts["scores"])  # replies' first
    return {
        "candidates": candidate_figures(counts),
        "replies": {"diversity": diversity(counts, read), "finishes": finishes(counts)},
        "models": makers(counts),
        "judges": {one.facts["judge"]: _figures(one, judge) for judge, one in kinds if judge["rows"]},
    }


def judge_counts(  # noqa: PLR0917 - a judge's tables, and what they are held against
    judge: Stored,
    candidates: pl.DataFrame,
    scores: pl.DataFrame,
    comparisons: pl.DataFrame,
    judgments: pl.DataFrame,
    truth: pl.DataFrame,
) -> Counts:
    """Count what a judge said of some samples; `truth` is what the verifiers gave their candidates."""
    if judge.facts["comparisons"]:
        counts, pairs = comparison_counts(comparisons, truth), comparisons.drop_nulls("score")
        counts.update(jury_counts(judgments))
    elif judge.facts["judgments"]:
        counts, pairs = rating_counts(scores, judgments, truth), rated_pairs(judgments, scores)
    else:
        return verdict_counts(scores)
    counts.update(length_counts(pairs, candidates))
    return counts


def _figures(judge: Stored, counts: Counts) -> dict[str, Any]:
    if judge.facts["comparisons"]:
        return pairwise_figures(counts) | jury_figures(counts) | length_figures(counts)
    return rating_figures(counts) | length_figures(counts) if judge.facts["judgments"] else verifier_figures(counts)


def _all(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=SCORES), *tables])
