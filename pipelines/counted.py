"""What the summary tells of candidates and judges, counted some samples at a time."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from pipelines.figures import (
    Counts,
    candidate_counts,
    candidate_figures,
    comparison_counts,
    pairwise_figures,
    verdict_counts,
    verifier_figures,
)
from pipelines.judge_figures import jury_counts, jury_figures, rating_counts, rating_figures
from pipelines.scored import verified
from pipelines.steps import in_step
from pipelines.store import Stored, shards
from schemas.tables import CANDIDATES, COMPARISONS, JUDGMENTS, SAMPLES, SCORES

SAID = {"scores": SCORES, "comparisons": COMPARISONS, "judgments": JUDGMENTS}


def counted(curated: Stored, generated: Stored, scored: Sequence[Stored]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the figures of the candidates, and by name those of the judges that said something."""
    kept = shards(curated, "kept", SAMPLES, ("id",))
    made = shards(generated, "candidates", CANDIDATES, ("id", "sample_id", "model"))
    said = [shards(one, table, schema) for table, schema in SAID.items() for one in scored]
    candidates: Counts = Counter()
    judges: list[Counts] = [Counter() for _ in scored]
    for _samples, own, *told in in_step(kept, made, *said):
        several = len(scored)
        tables = list(zip(told[:several], told[several : 2 * several], told[2 * several :], strict=True))
        candidates.update(candidate_counts(own, verified(_all([scores for scores, _, _ in tables]))))
        checked = [scores for (scores, _, _), one in zip(tables, scored, strict=True) if not one.facts["judgments"]]
        truth = verified(_all(checked))
        for counts, three, one in zip(judges, tables, scored, strict=True):
            counts.update(_counts(one, *three, truth))
    kinds = sorted(zip(judges, scored, strict=True), key=lambda told: not told[1].facts["scores"])  # replies' first
    return candidate_figures(candidates), {one.facts["judge"]: _figures(one, c) for c, one in kinds if c["rows"]}


def _counts(
    judge: Stored, scores: pl.DataFrame, comparisons: pl.DataFrame, judgments: pl.DataFrame, truth: pl.DataFrame
) -> Counts:
    if judge.facts["comparisons"]:
        return comparison_counts(comparisons, truth) + jury_counts(judgments)
    return rating_counts(scores, judgments, truth) if judge.facts["judgments"] else verdict_counts(scores)


def _figures(judge: Stored, counts: Counts) -> dict[str, Any]:
    if judge.facts["comparisons"]:
        return pairwise_figures(counts) | jury_figures(counts)
    return rating_figures(counts) if judge.facts["judgments"] else verifier_figures(counts)


def _all(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=SCORES), *tables])
