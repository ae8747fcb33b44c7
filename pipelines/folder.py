"""The folder that a person opens: datasets, what was dropped, report, summary; and what the summary tells."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines import figures, report
from pipelines.counted import counted
from pipelines.curate import values_by_shard
from pipelines.evaluate import difference
from pipelines.recipe import Recipe
from pipelines.store import Stored, code_version, sha256, shards, write_bytes
from schemas.chats import content_id
from schemas.rules import Shards
from schemas.tables import DROPPED, PREFERENCES, QUARANTINED, SAMPLES, SFT, plain_schema

LINKED = {
    "ingest": ["quarantined"],
    "grow": ["lineage", "unread"],
    "curate": ["kept", "dropped"],
    "generate": ["candidates"],
    "select": ["sft", "preferences", "plain", "unpaired", "grpo", "leaked", "overridden"],
}
ABOUT = ("source", "license", "id", "origin")
LOOKS = ("folder", "counted", "figures", "judge_figures", "report", "page", "charts", "closing", "trust")
CODE = tuple(f"pipelines.{module}" for module in LOOKS)
TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Tables:
    """A run's tables as its report reads them, each a shard at a time and more than once."""

    samples: Shards
    quarantined: Shards
    kept: Shards
    dropped: Shards
    sft: Shards
    preferences: Shards
    pairs: pl.DataFrame  # `figures.pairs_of` the preferences
    values: dict[str, pl.DataFrame]  # by rule: `value`, of the rules that have bounds


def tables_of(made: dict[str, Stored]) -> Tables:
    """Give the tables of a finished run; a number a sample and rule is held, and some 20 bytes a pair."""
    curated, ingested, selected = made["curate"], made["ingest"], made["select"]
    bounded = {rule["rule"] for rule in curated.facts["rules"] if rule["kind"] != "match"}
    values = {name: found for name, found in values_by_shard(curated).items() if name in bounded}
    preferences = _plain_shards(selected, "preferences", PREFERENCES)
    return Tables(
        samples=shards(made.get("grow") or made.get("edit") or ingested, "samples", SAMPLES, ABOUT),
        quarantined=shards(ingested, "quarantined", QUARANTINED),
        kept=shards(curated, "kept", SAMPLES, ABOUT),
        dropped=shards(curated, "dropped", DROPPED),
        sft=_plain_shards(selected, "sft", SFT, ABOUT[:2]),
        preferences=preferences,
        pairs=figures.pairs_of(preferences),
        values={name: pl.concat(shard.select("value") for shard in found) for name, found in values.items()},
    )


def _plain_shards(stored: Stored, name: str, schema: pl.Schema, columns: tuple[str, ...] = ()) -> Shards:
    """Give a dataset whichever way its chats are laid out."""
    first = pl.read_parquet_schema(next(iter(sorted((stored.folder / name).rglob("*.parquet")))))
    return shards(stored, name, schema if first == schema else plain_schema(schema), columns)


def lay_out(
    recipe: Recipe, root: Path, made: dict[str, Stored], cards: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Put a finished run's outputs into `root/<version>`, point `root/latest` at it, and give the summary.

    The version is the hash of the stages' names and of the judges' `cards`: the same outputs lie in the same folder.
    The datasets in it are hard links to the stages' files where the file system has them.
    """
    looks = [sha256(file) for file in sorted(TEMPLATES.iterdir())]
    version = content_id(
        {name: stored.key for name, stored in made.items()}, code_version(*CODE), looks, *([cards] if cards else [])
    )
    folder = root / version
    tables = tables_of(made)
    summary = summarise(recipe, folder, made, tables)
    for name, told in (cards or {}).items():
        if name in summary["judges"]:  # one that judged nothing has no figures to stand beside
            summary["judges"][name]["cards"] = told
    if not folder.exists():
        work = root / f".{version}.{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        _link_all(made, work)
        shutil.copyfile(recipe.file, work / "recipe.toml")
        html, markdown = report.render(summary, tables)
        write_bytes(work / "report.html", html.encode())
        write_bytes(work / "report.md", markdown.encode())
        work.rename(folder)
    write_bytes(folder / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    _point(root / "latest", version)
    return summary


def _link_all(made: dict[str, Stored], work: Path) -> None:
    for stage, names in LINKED.items():
        for name in names if stage in made else ():
            _link(made[stage].folder / name, work / name)
    for name, stored in made.items():
        if name.startswith("score "):
            for table in ("scores", "comparisons", "judgments"):
                if stored.facts[table]:
                    _link(stored.folder / table, work / table / name.removeprefix("score ").replace(":", "."))
    trained = [stored for name, stored in made.items() if name.startswith("train ")]
    models = [stored for stored in trained if stored.facts["method"] != "reward"]
    if models:
        _link(models[-1].folder / "checkpoint", work / "checkpoint")
        if (models[-1].folder / "adapter").is_dir():
            _link(models[-1].folder / "adapter", work / "adapter")
    for at, stored in enumerate(trained):
        for file in [*stored.folder.glob("metrics*.jsonl"), *stored.folder.glob("truncated*.json")]:
            (place := work / "training" / f"{at + 1}-{stored.facts['method']}").mkdir(parents=True, exist_ok=True)
            link_file(str(file), str(place / file.name))
        if stored.facts["method"] == "reward":
            for member in sorted(stored.folder.glob("checkpoint*")):
                _link(member, work / member.name.replace("checkpoint", "reward-model"))


def _link(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=link_file)


def link_file(source: str, target: str) -> None:
    """Put a hard link to a file at `target`, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _point(link: Path, version: str) -> None:
    work = link.with_name(f".{link.name}.{os.getpid()}")
    work.unlink(missing_ok=True)
    work.symlink_to(version)
    work.rename(link)


def summarise(recipe: Recipe, folder: Path, made: dict[str, Stored], tables: Tables) -> dict[str, Any]:
    """Give the figures of a run: rows at every stage, requests, judges, preference health, evaluation, seconds."""
    curated = made["curate"].facts
    scored = [stored for name, stored in made.items() if name.startswith("score ")]
    candidates, judges = counted(made["curate"], made["generate"], scored)
    return {
        "name": recipe.name,
        "version": folder.name,
        "folder": str(folder),
        "seed": recipe.seed,
        "files": made["ingest"].facts["files"],
        "rows": {
            "read": made["ingest"].facts["rows"],
            "quarantined": made["ingest"].facts["rows"] - made["ingest"].facts["samples"],
            "new_prompts": made["grow"].facts["new"] if "grow" in made else 0,
            "samples": curated["kept"] + curated["dropped"],
            "dropped": curated["dropped"],
            "kept": curated["kept"],
            "candidates": made["generate"].facts["candidates"],
            "sft": made["select"].facts["sft"],
            "preferences": made["select"].facts["preferences"],
            "unpaired": made["select"].facts["unpaired"],
            "leaked": made["select"].facts["leaked"],
            "overridden": made["select"].facts["overridden"],
        },
        "prompts": made["grow"].facts["methods"] if "grow" in made else [],
        "rules": curated["rules"],
        "requests": _requests(made),
        "candidates": candidates,
        "judges": judges,
        "preferences": figures.preference_figures(tables.pairs),
        "reviews": made["select"].facts["reviews"],
        "training": [stored.facts for name, stored in made.items() if name.startswith("train ")],
        "evaluation": _evaluation(made),
        "edits": made["edit"].facts["edits"] if "edit" in made else {},
        "stages": {name: stored.key for name, stored in made.items()},
        "seconds": {"measure": curated["seconds_measuring"]} | {name: stored.seconds for name, stored in made.items()},
    }


def _requests(made: dict[str, Stored]) -> dict[str, Any]:
    """Count the answers that this run needed: an output that was there already asked nothing."""
    stages: dict[str, dict[str, int]] = {}
    for name, stored in made.items():
        if "asked" in stored.facts:
            asked, known = stored.facts["asked"], stored.facts["from_ledger"]
            stages[name] = {
                "asked": 0 if stored.reused else asked,
                "from_ledger": known + asked if stored.reused else known,
                "failed": stored.facts["failed"],
                "not_asked": stored.facts.get("not_asked", 0),
                "prompt_tokens": stored.facts.get("prompt_tokens", 0),
                "reply_tokens": stored.facts.get("reply_tokens", 0),
            }
    keys = ("asked", "from_ledger", "failed", "not_asked", "prompt_tokens", "reply_tokens")
    return {**{key: sum(stage[key] for stage in stages.values()) for key in keys}, "stages": stages}


def flow(made: dict[str, Stored]) -> list[dict[str, Any]]:
    """Tell of each stage that makes rows how many went in and what came out."""
    facts = {name: stored.facts for name, stored in made.items()}
    read, samples, kept = facts["ingest"]["rows"], facts["ingest"]["samples"], facts["curate"]["kept"]
    candidates = facts["generate"]["candidates"]
    told = [("ingest", read, {"samples": samples}), ("curate", samples, {"kept": kept})]
    told.append(("generate", kept, {"candidates": candidates}))
    for name, one in facts.items():
        if name.startswith("score "):
            told.append((name, candidates, {key: one[key] for key in ("scores", "comparisons") if one[key]}))
    select = facts["select"]
    told.append(("select", candidates, {"SFT rows": select["sft"], "preference pairs": select["preferences"]}))
    return [{"stage": name, "before": before, "after": after} for name, before, after in told]


def _evaluation(made: dict[str, Stored]) -> dict[str, Any]:
    told = {
        when: {
            key: made[f"evaluate {when}"].facts[key]
            for key in ("pass@1", "interval", "tasks", "samples", "model", "unscored")
        }
        for when in ("before", "after")
        if f"evaluate {when}" in made
    }
    if len(told) == 2:  # noqa: PLR2004 - before and after
        told["rise"] = difference(made["evaluate before"], made["evaluate after"])
    return told
