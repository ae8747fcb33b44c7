"""The figures of a loop's rounds: reward, lengths, diversity, agreement, staleness, and what the policy can do."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

import polars as pl

from pipelines.effects import task_passes
from pipelines.evaluate import difference
from pipelines.generate import SOURCE
from pipelines.scored import table_of, verified
from pipelines.store import Stored, read_table
from schemas.tables import CANDIDATES, COMPARISONS, PREFERENCES, SCORES, SFT, plain_schema


def candidate_figures(generated: Stored, scored: Sequence[Stored]) -> dict[str, Any]:
    """Tell of a round's own candidates their mean reward, length, diversity, and how far the judges agree.

    `reward` is the mean score; `solved` the fraction of prompts with a reply of the highest score that any has.
    """
    scores, comparisons = (
        pl.concat([pl.DataFrame(schema=schema), *(read_table(one, name, schema) for one in scored)])
        for name, schema in (("scores", SCORES), ("comparisons", COMPARISONS))
    )
    every = table_of(read_table(generated, "candidates", CANDIDATES), scores, comparisons)
    own = every.filter(pl.col("model") != SOURCE)
    known = own.drop_nulls("score")
    best = known.group_by("sample_id").agg(pl.col("score").max())["score"]
    return {
        "candidates": own.height,
        "unscored": own.height - known.height,
        "reward": known["score"].mean(),
        "solved": (best >= (best.max() if best.len() else 0)).mean(),
        "characters": own["text"].str.len_chars().mean(),
        "distinct": distinct(own),
        "agreement": agreement(comparisons, verified(scores)),
    }


def distinct(answers: pl.DataFrame) -> float | None:
    """Give the fraction of a prompt's replies that are different texts, the mean over prompts; 1 where none repeats."""
    shares = answers.group_by("sample_id").agg(share=pl.col("text").n_unique() / pl.len())["share"]
    return None if shares.is_empty() else fmean(sorted(shares.to_list()))


def agreement(comparisons: pl.DataFrame, verified_scores: pl.DataFrame) -> float | None:
    """Give how often a judge of pairs is with the verifiers where these tell two replies apart; a tie counts half."""
    score = verified_scores.select("candidate_id", verified="score").drop_nulls().unique("candidate_id")
    both = (
        comparisons.drop_nulls("score")
        .join(score, left_on="a_id", right_on="candidate_id")
        .join(score, left_on="b_id", right_on="candidate_id", suffix="_b")
    )
    truth = (pl.col("verified") - pl.col("verified_b")).sign()
    right = both.filter(truth != 0).select(right=(1 + pl.col("score").sign() * truth) / 2)["right"]
    return None if right.is_empty() else fmean(sorted(right.to_list()))


def held_out_figures(first: Stored, evaluated: Stored, sizes: Sequence[int]) -> dict[str, Any]:
    """Tell pass@k, the paired rise of pass@1 over the first policy, and the answers' length and diversity."""
    answers = read_table(evaluated, "candidates", CANDIDATES).drop_nulls("text")
    passes = {str(k): list(task_passes(evaluated, k).values()) for k in sizes}
    return {
        "pass": {k: fmean(values) if values else None for k, values in passes.items()},
        "interval": evaluated.facts["interval"],
        "tasks": evaluated.facts["tasks"],
        "unscored": evaluated.facts["unscored"],
        "rise": difference(first, evaluated),
        "evaluation": evaluated.key,
        "characters": answers["text"].str.len_chars().mean(),
        "distinct": distinct(answers),
    }


def improved(best: Stored, newest: Stored, least: float) -> bool:
    """Say whether pass@1 rose by more than `least` on the tasks that both have."""
    rise = difference(best, newest)["pass@1"]
    return rise is not None and rise > least


def staleness(selected: Stored, generated: Stored, policies: Sequence[str]) -> dict[str, Any]:
    """Tell how old the replies are that a round learned from, in rounds before the newest of `policies`.

    `older` is the fraction of selected rows, a pair by the older of its two, that an earlier policy wrote.
    """
    written = read_table(generated, "candidates", CANDIDATES).select("id", "revision")
    ages = {revision: len(policies) - 1 - at for at, revision in enumerate(policies)}
    pairs = _ids(selected, "preferences", PREFERENCES, ("chosen_id", "rejected_id"))
    sft = _ids(selected, "sft", SFT, ("candidate_id",))
    told = {}
    for name, rows in (("sft", sft), ("preferences", pairs)):
        old = [
            rows.join(written, left_on=column, right_on="id", how="left")["revision"].replace_strict(
                ages, default=0, return_dtype=pl.Int64
            )
            for column in rows.columns
        ]
        ages_of = pl.DataFrame(dict(zip(rows.columns, old, strict=True))).max_horizontal() if rows.height else None
        told[name] = None if ages_of is None else {"mean_age": ages_of.mean(), "older": (ages_of > 0).mean()}
    return told


def _ids(selected: Stored, name: str, schema: pl.Schema, columns: Sequence[str]) -> pl.DataFrame:
    files = sorted((selected.folder / name).rglob("*.parquet"))
    frames = [pl.read_parquet(file, columns=list(columns)) for file in files]
    empty = pl.DataFrame(schema={column: plain_schema(schema)[column] for column in columns})
    return pl.concat([empty, *frames])
