"""`./mill diff`: two runs, published datasets or recipes held against each other, row by row by id.

Only ids, places and figures are held in memory, no text of a row.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines import changes
from pipelines.closing import number
from pipelines.finished import dataset_named
from pipelines.sides import Side

Told = dict[str, Any]
SHOWN = 5  # rows of a kind
FIGURES = {"characters": "characters of the reply", "margin": "margin", "score": "score"}
QUANTILES = (("5 %", 0.05), ("median", 0.5), ("95 %", 0.95))


def compare(a: str, b: str, out: Path) -> Told:
    """Give what differs from A to B: settings, figures, samples and why, datasets and why, distributions.

    Two recipes (`.toml`) are held against each other by their settings. Raises `GristmillError` for a name of nothing.
    """
    if a.endswith(".toml") and b.endswith(".toml"):
        one, two = (tomllib.loads(Path(file).read_text(encoding="utf-8")) for file in (a, b))
        return {"a": a, "b": b, "settings": changes.settings(one, two)}
    before, after = Side(dataset_named(a, out)), Side(dataset_named(b, out))
    told: Told = {"a": before.name, "b": after.name}
    if before.recipe and after.recipe:
        told["settings"] = changes.settings(before.recipe, after.recipe)
    if before.summary and after.summary:
        told["figures"] = changes.figures(before.summary, after.summary)
        told["samples"] = _samples(before.states, after.states)
    names = dict.fromkeys([*before.datasets, *after.datasets])
    told["datasets"] = [_dataset(name, before, after) for name in names]
    return told


def _samples(a: pl.DataFrame, b: pl.DataFrame) -> list[Told]:
    """Tell which samples were added, removed and moved, by where they were and are, with the first few of each."""
    both = a.join(b, on="id", how="full", coalesce=True, suffix="_b").filter(
        pl.col("state").ne_missing(pl.col("state_b"))
    )
    named = both.with_columns(was=pl.col("state").fill_null("not there"), now=pl.col("state_b").fill_null("not there"))
    found = [
        {
            "was": was,
            "is": now,
            "rows": rows.height,
            "examples": [_moved(row) for row in rows.sort("id").head(SHOWN).iter_rows(named=True)],
        }
        for (was, now), rows in named.group_by("was", "now")
    ]
    return sorted(found, key=lambda one: (-one["rows"], one["was"], one["is"]))


def _moved(row: Told) -> Told:
    """Say of a sample why it is where it is."""
    why = []
    if row["state"] not in {None, "kept"}:
        why.append(f"was dropped: {row['why']} (measured {number(row['measured'])})")
    if row["state_b"] not in {None, "kept"}:
        why.append(f"is dropped: {row['why_b']} (measured {number(row['measured_b'])})")
    place = f"{row['file'] or row['file_b']}:{row['row'] if row['row'] is not None else row['row_b']}"
    return {"id": row["id"], "origin": place, "why": "; ".join(why)}


def _dataset(name: str, before: Side, after: Side) -> Told:
    """Tell of a dataset which rows were added, removed and moved to another split, why, and its distributions."""
    a, b = before.rows(name), after.rows(name)
    added, removed = b.join(a, on="id", how="anti"), a.join(b, on="id", how="anti")
    both = a.join(b, on="id", suffix="_b")
    moved = (
        both.filter(pl.col("split") != pl.col("split_b")).group_by("split", "split_b").len().sort("split", "split_b")
    )
    return {
        "dataset": name,
        "same": both.height,
        "added": added.height,
        "removed": removed.height,
        "splits": [{"was": was, "is": now, "rows": count} for was, now, count in moved.iter_rows()],
        "why_added": _reasons(added, before, a),
        "why_removed": _reasons(removed, after, b),
        "distributions": _distributions(a, b),
    }


def _reasons(rows: pl.DataFrame, other: Side, there: pl.DataFrame) -> list[Told]:
    """Say of rows why the other side does not have them, the most frequent reason first, with a few rows of each."""
    if rows.is_empty():
        return []
    known = _known(rows, other, there)
    found: dict[str, list[Told]] = {}
    for row in rows.sort("id").iter_rows(named=True):
        why, told = known.reason(row["sample_id"], (row["picked"] or "").split())
        found.setdefault(why, []).append({"id": row["id"], "sample": row["sample_id"], "why": told})
    most = sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    return [{"why": why, "rows": len(every), "examples": every[:SHOWN]} for why, every in most]


@dataclass(frozen=True)
class _Known:
    """What the other side knows of samples and candidates that it has no row of."""

    is_run: bool
    states: dict[str, tuple[str, str | None]]  # by sample: "kept" or the rule that dropped it, and why
    made: set[str]  # candidates
    leaked: set[str]
    scores: dict[str, float | None]
    picked: set[str]  # samples of which it has another row

    def reason(self, sample: str, candidates: list[str]) -> tuple[str, str]:
        """Give the reason in general, and what was found of the row itself."""
        state, why = self.states.get(sample, (None, None))
        missing = [one for one in candidates if one not in self.made]
        if not self.is_run:
            return "the other is no run: it does not tell why", ""
        if state is None:
            return "its sample was not read there", ""
        if state != "kept":
            return f"its sample is dropped there by {state}", why or ""
        if any(one in self.leaked for one in candidates):
            return "it gives a benchmark away there", ""
        if missing:
            return "its candidate was not made there", " ".join(missing)
        told = "; ".join(f"{one} has score {number(self.scores.get(one))} there" for one in candidates)
        other = sample in self.picked
        return "others of its sample's candidates are picked" if other else "nothing of its sample is picked", told


def _known(rows: pl.DataFrame, other: Side, there: pl.DataFrame) -> _Known:
    samples = rows["sample_id"].unique().implode()
    states = other.states.filter(pl.col("id").is_in(samples)).select("id", "state", "why")
    candidates = rows["picked"].drop_nulls().str.split(" ").explode().unique()
    return _Known(
        is_run=bool(other.summary),
        states={sample: (state, why) for sample, state, why in states.iter_rows()},
        made=other.has(candidates),
        leaked=other.leaked(),
        scores=other.scores(candidates),
        picked=set(there["sample_id"]),
    )


def _distributions(a: pl.DataFrame, b: pl.DataFrame) -> list[Told]:
    """Give the figures of both sides beside each other: rows, shares by split, source and generator, quantiles."""
    found: list[Told] = [{"figure": "rows", "a": a.height, "b": b.height}]
    for column in ("split", "source", "generator"):
        shares = [dict(one[column].drop_nulls().value_counts().iter_rows()) for one in (a, b)]
        for name in sorted(set(shares[0]) | set(shares[1])):
            of = [shares[at].get(name, 0) / one.height if one.height else None for at, one in enumerate((a, b))]
            found.append({"figure": f"{column} {name}, share", "a": of[0], "b": of[1]})
    for column, name in FIGURES.items():
        values = [one[column].drop_nulls() for one in (a, b)]
        if not any(len(one) for one in values):
            continue
        found.append({"figure": f"{name}, mean", "a": values[0].mean(), "b": values[1].mean()})
        for label, at in QUANTILES:
            of = [one.quantile(at, "nearest") for one in values]
            found.append({"figure": f"{name}, {label}", "a": of[0], "b": of[1]})
    return found
