"""The figures of preference pairs: the gap in length, margins, generators, near-identical sides."""

from typing import Any

import polars as pl

from pipelines.evaluate import mean_interval

Told = dict[str, Any]
ALIKE = 0.9  # of the words of both sides, in common
AT_ONCE = 20_000  # pairs whose words are held at a time


def preference_figures(preferences: pl.DataFrame) -> Told:
    """Give the health of the pairs: lengths in characters, margins, and whether the generator gives the label away."""
    chosen, rejected = (side_text(preferences, side).str.len_chars() for side in ("chosen", "rejected"))
    if preferences.is_empty():
        return {"pairs": 0}
    generators = pl.concat(
        [
            preferences.select(generator="chosen_generator", chosen=pl.lit(value=True)),
            preferences.select(generator="rejected_generator", chosen=pl.lit(value=False)),
        ]
    )
    shares = generators.group_by("generator").agg(chosen=pl.col("chosen").mean(), replies=pl.len()).sort("generator")
    gap, interval = mean_interval((chosen.cast(pl.Int64) - rejected.cast(pl.Int64)).to_list())
    return {
        "pairs": preferences.height,
        "chosen_characters": chosen.mean(),
        "rejected_characters": rejected.mean(),
        "length_gap": gap,
        "length_gap_interval": interval,
        "chosen_longer": (chosen > rejected).mean(),
        "same_length": (chosen == rejected).mean(),
        "margins": dict(preferences["margin"].value_counts().sort("margin").cast({"margin": pl.String}).iter_rows()),
        "generators": shares.to_dicts(),
        "same_generator": preferences.select(
            pl.col("chosen_generator").eq_missing(pl.col("rejected_generator")).mean()
        ).item(),
        "on_policy": (
            (preferences["chosen_generator"] != "source") & (preferences["rejected_generator"] != "source")
        ).mean(),
        **_alike(preferences),
    }


def _alike(preferences: pl.DataFrame) -> Told:
    """Count pairs whose sides differ in letter case, blanks and marks alone, and those with nine tenths of their words.

    Words are counted once a side; the second is the Jaccard index of both sides' words, at least 0.9.
    """
    same = near = 0
    for part in preferences.select("chosen", "rejected").iter_slices(AT_ONCE):
        sides = part.select(_words("chosen"), _words("rejected"))
        a, b = pl.col("chosen"), pl.col("rejected")
        shared = a.list.set_intersection(b).list.len() / a.list.set_union(b).list.len()
        same += sides.select((a == b).sum()).item()
        near += sides.select((shared.fill_nan(1.0) >= ALIKE).sum()).item()
    return {"same_words": same, "near_identical": near}


def _words(side: str) -> pl.Expr:
    said = pl.col(side).list.last().struct.field("content").fill_null("").str.to_lowercase()
    return said.str.extract_all(r"[\p{L}\p{N}]+").alias(side)


def near_identical(preferences: pl.DataFrame, count: int) -> pl.DataFrame:
    """Give the pairs with the most words in common, those that differ by few letters or words."""
    a, b = pl.col("a"), pl.col("b")
    words = preferences.select("id", _words("chosen").alias("a"), _words("rejected").alias("b"))
    shared = words.select(
        "id", alike=(a.list.set_intersection(b).list.len() / a.list.set_union(b).list.len()).fill_nan(1.0)
    )
    most = shared.filter(pl.col("alike") >= ALIKE).sort("alike", "id", descending=[True, False]).head(count)
    return most.join(preferences, on="id", maintain_order="left")


def side_text(preferences: pl.DataFrame, side: str) -> pl.Series:
    """Give the texts of the chosen or the rejected replies."""
    return preferences.select(pl.col(side).list.last().struct.field("content"))["content"]


def reply_lengths(preferences: pl.DataFrame, side: str) -> pl.Series:
    """Give the characters of the chosen or rejected replies."""
    return side_text(preferences, side).str.len_chars()
