"""Preference pairs whose sides are nearly identical."""

from typing import Any

import polars as pl

from schemas.rules import Shards

Told = dict[str, Any]
ALIKE = 0.9  # of the words of both sides, in common
AT_ONCE = 4_000  # pairs whose words are held at a time: of two replies of 100 words each some 10 KB


def alike(preferences: Shards) -> Told:
    """Count pairs whose sides differ in letter case, blanks and marks alone, and those with nine tenths of their words.

    Words are counted once a side; the second is the Jaccard index of both sides' words, at least 0.9.
    """
    same = near = 0
    for part in (part for shard in preferences for part in shard.iter_slices(AT_ONCE)):
        sides = part.select(_words("chosen"), _words("rejected"))
        a, b = pl.col("chosen"), pl.col("rejected")
        shared = a.list.set_intersection(b).list.len() / a.list.set_union(b).list.len()
        same += sides.select((a == b).sum()).item()
        near += sides.select((shared.fill_nan(1.0) >= ALIKE).sum()).item()
    return {"same_words": same, "near_identical": near}


def _words(side: str) -> pl.Expr:
    said = pl.col(side).list.last().struct.field("content").fill_null("").str.to_lowercase()
    return said.str.extract_all(r"[\p{L}\p{N}]+").alias(side)


def near_identical(shards: Shards, count: int) -> pl.DataFrame:
    """Give the pairs with the most words in common, those that differ by few letters or words."""
    found: list[pl.DataFrame] = []
    for shard in shards:
        for at in range(0, max(shard.height, 1), AT_ONCE):
            near = pl.concat([*found, _nearest(shard.slice(at, AT_ONCE), count)])
            found = [near.sort("alike", "id", descending=[True, False]).head(count)]
    return found[0]


def _nearest(preferences: pl.DataFrame, count: int) -> pl.DataFrame:
    a, b = pl.col("a"), pl.col("b")
    words = preferences.select("id", _words("chosen").alias("a"), _words("rejected").alias("b"))
    shared = words.select(
        "id", alike=(a.list.set_intersection(b).list.len() / a.list.set_union(b).list.len()).fill_nan(1.0)
    )
    most = shared.filter(pl.col("alike") >= ALIKE).sort("alike", "id", descending=[True, False]).head(count)
    return most.join(preferences, on="id", maintain_order="left")
