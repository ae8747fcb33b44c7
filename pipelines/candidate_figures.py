"""The figures of candidates: who passes, pass@k, how hard the prompts are, how different the replies to one are."""

import itertools
from math import comb
from typing import Any

import polars as pl

from pipelines.evaluate import mean_interval

Told = dict[str, Any]
BANDS = (  # by a prompt's pass rate
    ("no candidate passes", 0.0, 0.0),
    ("above 0, below 25 %", 0.0, 0.25),
    ("25 % to below 75 %", 0.25, 0.75),
    ("75 % to below 100 %", 0.75, 1.0),
    ("every candidate passes", 1.0, 1.0),
)


def candidate_figures(candidates: pl.DataFrame | pl.LazyFrame, verified: pl.DataFrame) -> Told:
    """Give how often candidates pass, by generator; and of prompts with made candidates pass@k, bands and diversity.

    `verified` is `candidate_id` and `score`. The replies that came with the data count by generator ("source") alone.
    Empty where no candidate has a verdict.
    """
    facts = candidates.lazy().select("id", "sample_id", "model", "status", "finish_reason").collect()
    scored = facts.join(verified.select("candidate_id", "score").drop_nulls(), left_on="id", right_on="candidate_id")
    if scored.is_empty():
        return {}
    scored = scored.with_columns(passed=pl.col("score") >= 1)
    made = scored.filter(pl.col("model") != "source")
    prompts = _counts(made)
    return {
        "by_generator": [
            _generator(str(name), rows) for (name,), rows in scored.sort("model").group_by("model", maintain_order=True)
        ],
        "prompts": prompts.height,
        "all_fail": prompts.filter(pl.col("c") == 0).height,
        "mixed": prompts.filter(pl.col("c") > 0, pl.col("c") < pl.col("n")).height,
        "all_pass": prompts.filter(pl.col("c") == pl.col("n")).height,
        "pass@k": pass_at_k(prompts),
        "bands": bands(prompts),
        "equal_pairs": _equal(made),
    }


def _counts(made: pl.DataFrame) -> pl.DataFrame:
    """Give each prompt's candidates with a verdict, `n`, and those that pass, `c`."""
    return made.group_by("sample_id").agg(n=pl.len(), c=pl.col("passed").sum()).sort("sample_id")


def _generator(name: str, rows: pl.DataFrame) -> Told:
    """Give a generator's candidates with a verdict, the share that passes, and its interval over the prompts."""
    means = rows.group_by("sample_id").agg(pl.col("passed").mean()).sort("sample_id")["passed"].to_list()
    told = {"model": name, "replies": rows.height, "passed": rows["passed"].mean()}
    return told | {"prompts": len(means), "pass@1": mean_interval(means)[0], "interval": _held(means)}


def _held(values: list[float]) -> list[float] | None:
    interval = mean_interval(values)[1]
    return None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)]


def pass_at_k(prompts: pl.DataFrame) -> list[Told]:
    """Give pass@k for k = 1, 2, 4 and so on, over the prompts with k candidates or more that have a verdict.

    A prompt with c of n candidates passing counts 1 - C(n - c, k) / C(n, k), which is unbiased (Chen et al. 2021, arXiv
    2107.03374, section 2.1). The 95 % interval is normal over the prompts, cut to 0 and 1.
    """
    found: list[Told] = []
    counts = prompts.select("n", "c").rows()
    k = 1
    while some := [(n, c) for n, c in counts if n >= k]:
        values = [estimate(n, c, k) for n, c in some]
        found.append({"k": k, "prompts": len(some), "value": mean_interval(values)[0], "interval": _held(values)})
        k *= 2
    return found


def estimate(n: int, c: int, k: int) -> float:
    """Give the chance that of `k` drawn without replacement from `n` candidates, of which `c` pass, one passes."""
    return 1.0 - comb(n - c, k) / comb(n, k)


def bands(prompts: pl.DataFrame) -> list[Told]:
    """Count the prompts by pass rate."""
    rates = (prompts["c"] / prompts["n"]).to_list()
    return [{"band": name, "prompts": sum(_within(rate, low, high) for rate in rates)} for name, low, high in BANDS]


def _within(rate: float, low: float, high: float) -> bool:
    if low == high:
        return rate == low
    return (low < rate if low == 0 else low <= rate) and rate < high


def _equal(made: pl.DataFrame) -> Told:
    """Count the pairs of candidates to a prompt and those of equal scores: ties, of which no preference is made."""
    sizes = made.group_by("sample_id").len()["len"].to_list()
    same = made.group_by("sample_id", "score").len()["len"].to_list()
    return {"pairs": sum(n * (n - 1) // 2 for n in sizes), "equal": sum(n * (n - 1) // 2 for n in same)}


def diversity(candidates: pl.DataFrame | pl.LazyFrame, extracted: pl.DataFrame) -> Told:
    """Give how different the answered candidates to one prompt are, over prompts with two or more that were made.

    `texts` is the mean share of texts that are not a repetition, `words` the distinct pairs of neighbouring words
    divided by all of them (distinct-2, Li et al. 2016, arXiv 1510.03055, here within a prompt); `answers` counts the
    different answers that the verifiers read in them (`extracted` is `candidate_id` and `extracted`). Words are
    those of the 500 prompts with the lowest ids, which are hashes.
    """
    made = candidates.lazy().filter(pl.col("model") != "source", pl.col("status") == "answered")
    texts = made.select("id", "sample_id", said=pl.col("text").hash()).collect()
    several = texts.filter(pl.len().over("sample_id") > 1)
    if several.is_empty():
        return {}
    each = several.group_by("sample_id").agg(n=pl.len(), different=pl.col("said").n_unique()).sort("sample_id")
    read = several.join(extracted.drop_nulls().unique("candidate_id"), left_on="id", right_on="candidate_id")
    answers = read.group_by("sample_id").agg(pl.col("extracted").n_unique()).sort("sample_id")["extracted"].to_list()
    shares = (each["different"] / each["n"]).to_list()
    some = each["sample_id"].head(500)
    return {
        "prompts": each.height,
        "candidates": several.height,
        "texts": mean_interval(shares)[0],
        "texts_interval": _held(shares),
        "answers": mean_interval(answers)[0],
        "words": _distinct_2(
            made.filter(pl.col("sample_id").is_in(some.implode())).select("sample_id", "text").collect()
        ),
    }


def _distinct_2(texts: pl.DataFrame) -> float | None:
    shares = []
    for _sample, rows in texts.sort("sample_id").group_by("sample_id", maintain_order=True):
        pairs = [two for said in rows["text"] for words in [said.split()] for two in itertools.pairwise(words)]
        if pairs:
            shares.append(len(set(pairs)) / len(pairs))
    return mean_interval(shares)[0]


def finishes(candidates: pl.DataFrame | pl.LazyFrame) -> list[Told]:
    """Count the candidates by generator, status and finish reason, with their tokens."""
    made = candidates.lazy().group_by("model", "status", "finish_reason")
    tokens = made.agg(candidates=pl.len(), reply_tokens=pl.col("reply_tokens").mean())
    return tokens.collect().sort("model", "status", "finish_reason", nulls_last=True).to_dicts()
