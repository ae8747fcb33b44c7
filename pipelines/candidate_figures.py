"""The figures of candidates: who passes, pass@k, how hard the prompts are, how different the replies to one are.

As in `figures` each kind is first counted, of some prompts with all of their candidates.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping
from math import comb
from statistics import fmean
from typing import Any

import polars as pl

from pipelines.evaluate import mean_interval
from pipelines.figures import Counts, apart

Told = dict[str, Any]
Words = dict[str, float | None]  # by prompt: the share of its candidates' pairs of words that repeat none
PROMPTS_READ = 500  # of which words are told
BANDS = (  # by a prompt's pass rate
    ("no candidate passes", 0.0, 0.0),
    ("above 0, below 25 %", 0.0, 0.25),
    ("25 % to below 75 %", 0.25, 0.75),
    ("75 % to below 100 %", 0.75, 1.0),
    ("every candidate passes", 1.0, 1.0),
)
MADE = pl.col("model") != "source"  # not the reply that came with the data


def passing_counts(candidates: pl.DataFrame, verified: pl.DataFrame) -> Counts:
    """Count prompts by how many candidates have a verdict and how many of them pass, also by generator.

    `verified` is `candidate_id` and `score`. Of all candidates that were made it counts the pairs to one prompt, and
    those of equal scores. The replies that came with the data count by generator ("source") alone.
    """
    known = verified.select("candidate_id", "score").drop_nulls()
    scored = candidates.select("id", "sample_id", "model").join(known, left_on="id", right_on="candidate_id")
    made = scored.filter(MADE)
    same = made.group_by("sample_id", "score").len()["len"]
    counts: Counts = Counter({("generator", row[:3]): row[3] for row in _prompts(scored, "model").iter_rows()})
    prompts = _prompts(made).rows()
    counts.update({("prompt", (n, c)): count for n, c, count in prompts})
    counts.update(pairs=sum(count * comb(n, 2) for n, _c, count in prompts), equal=sum(comb(n, 2) for n in same))
    return counts


def _prompts(scored: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Count the prompts by their candidates with a verdict, `n`, and those that pass, `c`."""
    each = scored.group_by("sample_id", *by).agg(n=pl.len(), c=(pl.col("score") >= 1).sum())
    return each.group_by(*by, "n", "c").agg(prompts=pl.len())


def candidate_figures(counts: Counts) -> Told:
    """Give how often candidates pass, by generator; and of prompts with made candidates pass@k, bands and equal scores.

    Empty where no candidate has a verdict.
    """
    generators: dict[str, Counter[tuple[int, int]]] = {}
    for (model, n, c), count in apart(counts, "generator").items():
        generators.setdefault(model, Counter())[n, c] += count
    if not generators:
        return {}
    prompts = Counter(apart(counts, "prompt"))
    all_fail = sum(count for (_n, c), count in prompts.items() if c == 0)
    all_pass = sum(count for (n, c), count in prompts.items() if c == n)
    return {
        "by_generator": [_generator(model, own) for model, own in generators.items()],
        "prompts": prompts.total(),
        "all_fail": all_fail,
        "mixed": prompts.total() - all_fail - all_pass,
        "all_pass": all_pass,
        "pass@k": pass_at_k(prompts),
        "bands": bands(prompts),
        "equal_pairs": {"pairs": counts["pairs"], "equal": counts["equal"]},
    }


def _generator(name: str, prompts: Counter[tuple[int, int]]) -> Told:
    """Give a generator's candidates with a verdict, the share that passes, and its interval over the prompts."""
    replies = sum(n * count for (n, _c), count in prompts.items())
    passed = sum(c * count for (_n, c), count in prompts.items())
    mean, interval = _held(_summed({key: key[1] / key[0] for key in prompts}, prompts))
    told = {"model": name, "replies": replies, "passed": passed / replies}
    return told | {"prompts": prompts.total(), "pass@1": mean, "interval": interval}


def _summed(values: Mapping[Any, float], counts: Counter[Any]) -> Counter[float]:
    """Count the values by what has them."""
    found: Counter[float] = Counter()
    for key, value in values.items():
        found[value] += counts[key]
    return found


def _held(values: Counter[float]) -> tuple[float | None, list[float] | None]:
    """Give the mean of counted values of 0 to 1, and its 95 % interval, cut to 0 and 1."""
    mean, interval = mean_interval(values.elements())
    return mean, None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)]


def pass_at_k(prompts: Counter[tuple[int, int]]) -> list[Told]:
    """Give pass@k for k = 1, 2, 4 and so on, over the prompts with k candidates or more that have a verdict.

    A prompt with c of n candidates passing counts 1 - C(n - c, k) / C(n, k), which is unbiased (Chen et al. 2021, arXiv
    2107.03374, section 2.1); `prompts` counts them by n and c. The 95 % interval is normal over the prompts, cut to 0
    and 1.
    """
    found: list[Told] = []
    k = 1
    while some := {(n, c): estimate(n, c, k) for n, c in prompts if n >= k}:
        values = _summed(some, prompts)
        mean, interval = _held(values)
        found.append({"k": k, "prompts": values.total(), "value": mean, "interval": interval})
        k *= 2
    return found


def estimate(n: int, c: int, k: int) -> float:
    """Give the chance that of `k` drawn without replacement from `n` candidates, of which `c` pass, one passes."""
    return 1.0 - comb(n - c, k) / comb(n, k)


def bands(prompts: Counter[tuple[int, int]]) -> list[Told]:
    """Count the prompts by pass rate."""
    rates = _summed({(n, c): c / n for n, c in prompts}, prompts)
    return [
        {"band": name, "prompts": sum(count for rate, count in rates.items() if _within(rate, low, high))}
        for name, low, high in BANDS
    ]


def _within(rate: float, low: float, high: float) -> bool:
    if low == high:
        return rate == low
    return (low < rate if low == 0 else low <= rate) and rate < high


def reply_counts(candidates: pl.DataFrame, extracted: pl.DataFrame) -> Counts:
    """Count prompts by their texts and different answers, and candidates by how they ended and who made them.

    `extracted` is `candidate_id` and `extracted`, what the verifiers read as an answer; of several the first counts.
    """
    several = _several(candidates)
    each = several.group_by("sample_id").agg(n=pl.len(), different=pl.col("text").n_unique())
    known = extracted.select("candidate_id", "extracted").drop_nulls()
    first = known.unique("candidate_id", keep="first", maintain_order=True)
    read = several.join(first, left_on="id", right_on="candidate_id")
    answers = read.group_by("sample_id").agg(pl.col("extracted").n_unique())["extracted"]
    counts: Counts = Counter(("texts", row) for row in each.select("n", "different").iter_rows())
    counts.update(("answers", float(one)) for one in answers)
    ends = candidates.group_by("model", "status", "finish_reason")
    tokens = {"told": pl.col("reply_tokens").count(), "tokens": pl.col("reply_tokens").sum()}
    for *how, count, told, said in ends.agg(pl.len(), **tokens).iter_rows():
        counts.update({("ended", tuple(how)): count, ("told", tuple(how)): told, ("tokens", tuple(how)): said})
    made = candidates.group_by("model", "revision").len()
    counts.update({("made by", (model, revision)): count for model, revision, count in made.iter_rows()})
    return counts


def _several(candidates: pl.DataFrame) -> pl.DataFrame:
    """Give the answered candidates of prompts for which two or more were made."""
    made = candidates.filter(MADE, pl.col("status") == "answered").select("id", "sample_id", "text")
    return made.filter(pl.len().over("sample_id") > 1)


def words(candidates: pl.DataFrame, known: Words) -> Words:
    """Give of up to 500 prompts with the lowest ids, which are hashes, the share of distinct pairs of words.

    Those in `known` are read already; a prompt whose replies have no two words has null.
    """
    several = _several(candidates)
    lowest = set(heapq.nsmallest(PROMPTS_READ, {*known, *several["sample_id"]}))
    new = several.filter(pl.col("sample_id").is_in(lowest - known.keys()))
    read = {str(sample): _distinct_2(rows["text"]) for (sample,), rows in new.group_by("sample_id")}
    return {sample: share for sample, share in (known | read).items() if sample in lowest}


def _distinct_2(texts: pl.Series) -> float | None:
    pairs = [two for said in texts for two in itertools.pairwise(said.split())]
    return len(set(pairs)) / len(pairs) if pairs else None


def diversity(counts: Counts, read: Words) -> Told:
    """Give how different the answered candidates to one prompt are, over prompts with two or more that were made.

    `texts` is the mean share of texts that are not a repetition, `words` the distinct pairs of neighbouring words
    divided by all of them (distinct-2, Li et al. 2016, arXiv 1510.03055, here within a prompt), of the prompts that
    were `read`; `answers` counts the different answers that the verifiers read in them.
    """
    prompts = Counter(apart(counts, "texts"))
    if not prompts:
        return {}
    mean, interval = _held(_summed({(n, different): different / n for n, different in prompts}, prompts))
    shares = [share for share in read.values() if share is not None]
    return {
        "prompts": prompts.total(),
        "candidates": sum(n * count for (n, _different), count in prompts.items()),
        "texts": mean,
        "texts_interval": interval,
        "answers": mean_interval(Counter(apart(counts, "answers")).elements())[0],
        "words": fmean(shares) if shares else None,
    }


def finishes(counts: Counts) -> list[Told]:
    """Give the candidates by generator, status and finish reason, with their tokens."""
    told, tokens = apart(counts, "told"), apart(counts, "tokens")
    return [
        dict(zip(("model", "status", "finish_reason"), key, strict=True))
        | {"candidates": count, "reply_tokens": tokens[key] / told[key] if told[key] else None}
        for key, count in apart(counts, "ended").items()
    ]


def makers(counts: Counts) -> list[Told]:
    """Give the models with their revisions and how many candidates are of each."""
    return [
        {"model": model, "revision": revision, "candidates": count}
        for (model, revision), count in apart(counts, "made by").items()
    ]
