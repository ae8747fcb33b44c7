"""What a run changed: its figures, settings and rows beside those of the last version of the same recipe."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.recipe import Recipe
from pipelines.run_tables import Tables
from schemas.rules import Shards

Told = dict[str, Any]
STATES = {"id": pl.String, "state": pl.String}


def since(latest: Path, recipe: Recipe, summary: Told, tables: Tables) -> Told:
    """Give what changed since the version that `latest` points at; empty where there is none, or it is this one."""
    file = latest / "summary.json"
    if not file.is_file():
        return {}
    before = orjson.loads(file.read_bytes())
    if before["version"] == summary["version"]:
        return before.get("changes") or {}
    own = pl.concat(
        [
            tables.rows["kept"].select("id", state=pl.lit("kept")),
            tables.rows["dropped"].select("id", state="rule"),
        ]
    ).collect()
    return {
        "version": before["version"],
        "figures": figures(before, summary),
        "settings": settings(
            tomllib.loads((latest / "recipe.toml").read_text()), tomllib.loads(Path(recipe.file).read_text())
        ),
        "moved": moved(states(latest), own),
        "datasets": [
            {"dataset": name, **counted(ids(latest / name), _ids(getattr(tables, name)))}
            for name in ("sft", "preferences")
        ],
    }


def _ids(shards: Shards) -> pl.Series:
    return pl.concat([shard["id"] for shard in shards])


def figures(before: Told, after: Told) -> list[Told]:
    """Give the figures that differ, each with what it was and is: rows at the stages, pass@1, and the pairs' health."""
    found = []
    for name, (was, now) in _both(_headline(before), _headline(after)).items():
        if was != now:
            found.append({"figure": name, "was": was, "is": now})
    return found


def _both(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b])}


def _headline(told: Told) -> dict[str, float | None]:
    """Name the figures by which versions are held against each other."""
    found: dict[str, float | None] = {f"rows: {name}": count for name, count in told["rows"].items()}
    found |= {f"dropped first by {rule['rule']}": rule["dropped"] for rule in told["rules"]}
    found |= {f"pass@{one['k']} of candidates": one["value"] for one in told["candidates"].get("pass@k", [])}
    found |= {
        f"agreement of {name}": one.get("agreement") for name, one in told["judges"].items() if "agreement" in one
    }
    health = ("chosen_characters", "rejected_characters", "chosen_longer", "on_policy", "near_identical")
    found |= {f"pairs: {name.replace('_', ' ')}": told["preferences"].get(name) for name in health}
    found |= {
        f"pass@1 {when} training": told["evaluation"][when]["pass@1"]
        for when in ("before", "after")
        if when in told["evaluation"]
    }
    return found


def settings(a: Told, b: Told) -> list[Told]:
    """Give the settings that differ between two recipes as they were read, by their path: `filters.words.maximum`."""
    return [
        {"setting": name, "was": was, "is": now}
        for name, (was, now) in _both(dict(flat(a)), dict(flat(b))).items()
        if was != now
    ]


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Give each setting with its path. A part in a list goes by what it uses, so that one put before it moves none."""
    if isinstance(value, dict) and value:
        for key, one in value.items():
            yield from flat(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        seen: dict[str, int] = {}
        for one in value:
            own = str(one.get("use") or one.get("path") or one.get("method") or "")
            seen[own] = seen.get(own, 0) + 1
            again = f" ({seen[own]})" if seen[own] > 1 else ""
            yield from flat(one, f"{name}[{own}{again}]")
    else:
        yield name, orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME, default=str).decode()


def states(folder: Path) -> pl.DataFrame:
    """Give each sample of a finished run and its `state`: "kept", or the rule that dropped it."""
    kept = pl.scan_parquet(folder / "kept" / "**" / "*.parquet").select("id", state=pl.lit("kept"))
    dropped = pl.scan_parquet(folder / "dropped" / "**" / "*.parquet").select("id", state="rule")
    return pl.concat([kept, dropped]).collect().cast(STATES)  # type: ignore[arg-type]  # names to types


def moved(a: pl.DataFrame, b: pl.DataFrame) -> list[Told]:
    """Count the samples by what became of them: "not there", "kept", or the rule that dropped them, before and now."""
    both = a.join(b, on="id", how="full", coalesce=True, suffix="_b").select(
        was=pl.col("state").fill_null("not there"), now=pl.col("state_b").fill_null("not there")
    )
    counts = both.filter(pl.col("was") != pl.col("now")).group_by("was", "now").len()
    return [
        {"was": was, "is": now, "samples": count}
        for was, now, count in counts.sort("len", "was", "now", descending=[True, False, False]).iter_rows()
    ]


def ids(folder: Path) -> pl.Series:
    """Give the ids of a dataset's rows, in all its splits; none where it is not there."""
    files = sorted(folder.rglob("*.parquet")) if folder.is_dir() else []
    if not files:
        return pl.Series("id", [], dtype=pl.String)
    return pl.scan_parquet(files).select("id").collect()["id"]


def counted(a: pl.Series, b: pl.Series) -> Told:
    """Count the ids that are in both, in the second alone and in the first alone."""
    was, now = a.unique(), b.unique()
    same = int(now.is_in(was.implode()).sum())
    return {"same": same, "added": len(now) - same, "removed": len(was) - same}
