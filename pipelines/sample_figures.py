"""The figures of what was read: lengths, languages and tasks of the samples, and the clusters that matches make."""

from typing import Any

import polars as pl

from filters.split import clusters
from filters.texts import text

LOOKED_AT = 2_000  # samples whose language is told
QUANTILES = {"lowest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "highest": 1.0}
OPENINGS = 20  # first words that are shown
SHORT = 25  # bytes of letters below which a language is a guess
SURE = 0.5

Told = dict[str, Any]


def sample_figures(samples: pl.DataFrame, kept: pl.DataFrame) -> Told:
    """Give the lengths, languages, forms, checks and openings of all samples and of those that were kept."""
    ids = kept.select("id", kept=pl.lit(value=True))
    both = samples.join(ids, on="id", how="left", maintain_order="left").with_columns(pl.col("kept").fill_null(False))  # noqa: FBT003 - polars takes the value so
    return {
        "lengths": _lengths(samples) | {f"{name}, kept": told for name, told in _lengths(kept).items()},
        "languages": _languages(both),
        "forms": _forms(both),
        "checks": _counted(both, pl.col("check").str.json_path_match("$.use").fill_null("none")),
        "openings": _counted(both, _opening())[:OPENINGS],
    }


def _lengths(samples: pl.DataFrame) -> Told:
    """Give quantiles and mean of the characters of prompts and replies, and of the prompts' turns."""
    measured = samples.select(
        prompt=text("prompt").str.len_chars(), reply=pl.col("reply").str.len_chars(), turns=pl.col("prompt").list.len()
    )
    names = {"prompt": "characters of the prompt", "reply": "characters of the reply", "turns": "turns of the prompt"}
    found: Told = {}
    for column, name in names.items():
        known = measured[column].drop_nulls()
        if len(known):
            quantiles = {label: known.quantile(at, "nearest") for label, at in QUANTILES.items()}
            found[name] = {"known": len(known), "mean": known.mean(), **quantiles}
    return found


def _languages(samples: pl.DataFrame) -> Told:
    """Count the likeliest language of the prompts of up to 2,000 samples, those of the lowest ids, which are hashes.

    What has fewer than 25 bytes of letters, or no language of probability 0.5, is "not told".
    """
    from filters.language import LANGUAGES, probabilities

    some = samples.bottom_k(LOOKED_AT, by="id").select("kept", text=text("prompt").str.slice(0, 400))
    if some.is_empty():
        return {"looked_at": 0, "counts": []}
    found = probabilities(some["text"])
    likeliest = pl.Series([LANGUAGES[at] for at in found.argmax(axis=1)], dtype=pl.String)
    letters = pl.col("text").str.replace_all(r"\PL+", "").str.len_bytes() >= SHORT
    sure = letters & pl.Series(found.max(axis=1) >= SURE)
    named = some.with_columns(language=pl.when(sure).then(likeliest).otherwise(pl.lit("not told")))
    return {"looked_at": some.height, "counts": _counted(named, pl.col("language"))}


def _forms(samples: pl.DataFrame) -> list[Told]:
    """Count the samples of each form; a sample has several."""
    turns = pl.col("prompt").list.len()
    roles = pl.col("prompt").list.eval(pl.element().struct.field("role"))
    forms = {
        "one turn": turns == 1,
        "several turns": turns > 1,
        "with a system text": roles.list.contains("system"),
        "with tools": pl.col("tools").is_not_null(),
        "with a reply": pl.col("reply").is_not_null(),
        "with ranked replies": pl.col("replies").list.len() > 0,
        "with a reference": pl.col("reference").is_not_null(),
    }
    counts = samples.select(
        *(form.fill_null(False).sum().alias(name) for name, form in forms.items()),  # noqa: FBT003 - likewise
        *((form.fill_null(False) & pl.col("kept")).sum().alias(f"{name}, kept") for name, form in forms.items()),  # noqa: FBT003
    ).row(0, named=True)
    return [{"name": name, "samples": counts[name], "kept": counts[f"{name}, kept"]} for name in forms]


def _opening() -> pl.Expr:
    """Give the first word of the last turn, in lower case."""
    last = pl.col("prompt").list.last().struct.field("content")
    return last.str.slice(0, 200).str.to_lowercase().str.extract("(\\p{L}[\\p{L}'\u2019-]*)", 1).fill_null("(no word)")


def _counted(samples: pl.DataFrame, by: pl.Expr) -> list[Told]:
    """Count samples and kept ones by a value, the most frequent first."""
    counts = samples.group_by(name=by).agg(samples=pl.len(), kept=pl.col("kept").sum())
    return counts.sort("samples", "name", descending=[True, False]).to_dicts()


def match_figures(matches: pl.DataFrame, threshold: float, own: set[str]) -> Told:
    """Give what a rule on matches found from its threshold on: pairs, clusters, the largest, and rows outside named."""
    counted = matches.filter(pl.col("measured") >= threshold)
    groups = clusters(counted).group_by("cluster").len()["len"]
    outside = counted.filter(~pl.col("other").is_in(list(own)))["other"].n_unique()
    largest = groups.max() if len(groups) else None
    return {"pairs": counted.height, "clusters": len(groups), "largest": largest, "outside": outside}
