"""The figures of what was read: lengths, languages and tasks of the samples, and the clusters that matches make."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from filters.standing import clusters
from filters.texts import text
from pipelines.figures import lowest
from schemas.rules import Shards

LOOKED_AT = 2_000  # samples whose language is told
QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}
OPENINGS = 20  # first words that are shown
SHORT = 25  # bytes of letters below which a language is a guess
SURE = 0.5

Told = dict[str, Any]
TURNS = pl.col("prompt").list.len()
FORMS = {
    "one turn": TURNS == 1,
    "several turns": TURNS > 1,
    "with a system text": pl.col("prompt").list.eval(pl.element().struct.field("role")).list.contains("system"),
    "with tools": pl.col("tools").is_not_null(),
    "with a reply": pl.col("reply").is_not_null(),
    "with ranked replies": pl.col("replies").list.len() > 0,
    "with a reference": pl.col("reference").is_not_null(),
}


def sample_figures(samples: Shards, kept: Shards) -> Told:
    """Give the lengths, languages, forms, checks and openings of all samples and of those that were kept.

    Some 20 bytes a sample are held, its id as a number, and the texts of those whose language is told.
    """
    stays = pl.concat([shard.select(stays=pl.col("id").hash()) for shard in kept])["stays"].implode()
    held: list[pl.DataFrame] = []
    named: dict[str, list[pl.DataFrame]] = {"check": [], "opening": []}
    for shard in samples:
        every = _about(shard).with_columns(kept=pl.col("id").hash().is_in(stays))
        held.append(every.select("prompt", "reply", "turns", "kept", *FORMS))
        for by, counts in named.items():
            counts.append(_counts(every, by))
    every = pl.concat(held)
    some = lowest((_texts(shard) for shard in samples), LOOKED_AT).with_columns(kept=pl.col("id").hash().is_in(stays))
    stay = every.filter("kept")
    return {
        "lengths": _lengths(every) | {f"{name}, kept": told for name, told in _lengths(stay).items()},
        "languages": _languages(some),
        "forms": [{"name": name, "samples": int(every[name].sum()), "kept": int(stay[name].sum())} for name in FORMS],
        "checks": _ranked(named["check"]),
        "openings": _ranked(named["opening"])[:OPENINGS],
    }


def _texts(shard: pl.DataFrame) -> pl.DataFrame:
    return shard.select("id", text=text("prompt").str.slice(0, 400))


def _about(shard: pl.DataFrame) -> pl.DataFrame:
    """Give what is counted of each sample."""
    return shard.select(
        "id",
        prompt=text("prompt").str.len_chars(),
        reply=pl.col("reply").str.len_chars(),
        turns=pl.col("prompt").list.len(),
        check=pl.col("check").str.json_path_match("$.use").fill_null("none"),
        opening=_opening(),
        **{name: form.fill_null(value=False) for name, form in FORMS.items()},
    )


def _lengths(measured: pl.DataFrame) -> Told:
    """Give quantiles and mean of the characters of prompts and replies, and of the prompts' turns."""
    names = {"prompt": "characters of the prompt", "reply": "characters of the reply", "turns": "turns of the prompt"}
    found: Told = {}
    for column, name in names.items():
        known = measured[column].drop_nulls()
        if len(known):
            quantiles = {label: known.quantile(at, "nearest") for label, at in QUANTILES.items()}
            found[name] = {"known": len(known), "mean": known.mean(), **quantiles}
    return found


def _languages(some: pl.DataFrame) -> Told:
    """Count the likeliest language of the prompts of up to 2,000 samples, those of the lowest ids, which are hashes.

    What has fewer than 25 bytes of letters, or no language of probability 0.5, is "not told".
    """
    from filters.language import LANGUAGES, probabilities

    if some.is_empty():
        return {"looked_at": 0, "counts": []}
    found = probabilities(some["text"])
    likeliest = pl.Series([LANGUAGES[at] for at in found.argmax(axis=1)], dtype=pl.String)
    letters = pl.col("text").str.replace_all(r"\PL+", "").str.len_bytes() >= SHORT
    sure = letters & pl.Series(found.max(axis=1) >= SURE)
    named = some.with_columns(language=pl.when(sure).then(likeliest).otherwise(pl.lit("not told")))
    return {"looked_at": some.height, "counts": _ranked([_counts(named, "language")])}


def _opening() -> pl.Expr:
    """Give the first word of the last turn, in lower case."""
    last = pl.col("prompt").list.last().struct.field("content")
    return last.str.slice(0, 200).str.to_lowercase().str.extract("(\\p{L}[\\p{L}'\u2019-]*)", 1).fill_null("(no word)")


def _counts(samples: pl.DataFrame, by: str) -> pl.DataFrame:
    """Count samples and kept ones by a column."""
    return samples.group_by(name=by).agg(samples=pl.len(), kept=pl.col("kept").sum())


def _ranked(counts: Sequence[pl.DataFrame]) -> list[Told]:
    """Add counts up, the most frequent first."""
    added = pl.concat(counts).group_by("name").agg(pl.col("samples", "kept").sum())
    return added.sort("samples", "name", descending=[True, False]).to_dicts()


def match_figures(matches: pl.LazyFrame, threshold: float, samples: pl.LazyFrame) -> Told:
    """Give what a rule on matches found from its threshold on: pairs, clusters, the largest, and rows outside named.

    The ids of the matches are held, as the rule itself holds them, and no other sample's.
    """
    counted = matches.filter(pl.col("measured") >= threshold).select("id", "other").collect()
    groups = clusters(counted).group_by("cluster").len()["len"]
    others = counted["other"].unique()
    inside = (
        samples.select("id").filter(pl.col("id").is_in(others.implode())).unique().select(pl.len()).collect().item()
    )
    largest = groups.max() if len(groups) else None
    return {"pairs": counted.height, "clusters": len(groups), "largest": largest, "outside": len(others) - inside}
