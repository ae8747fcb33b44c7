"""The folder that a person opens: datasets, what was dropped, report, summary; and what the summary tells."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines import candidate_figures, changes, figures, lineage, report
from pipelines.counted import counted
from pipelines.curate import values_by_shard
from pipelines.evaluate import difference
from pipelines.judge_figures import rated_pairs
from pipelines.pair_figures import alike
from pipelines.recipe import Recipe
from pipelines.sample_figures import match_figures, sample_figures
from pipelines.scored import verified
from pipelines.store import Stored, code_version, opened, sha256, shards, write_bytes
from schemas.chats import content_id
from schemas.errors import StoreError
from schemas.rules import Shards
from schemas.tables import (
    CANDIDATES,
    COMPARISONS,
    DROPPED,
    JUDGMENTS,
    LEAKED,
    PREFERENCES,
    QUARANTINED,
    SAMPLES,
    SCORES,
    SFT,
    plain_schema,
)

LINKED = {
    "ingest": ["quarantined"],
    "grow": ["lineage", "unread"],
    "curate": ["kept", "dropped"],
    "generate": ["candidates"],
    "select": ["sft", "preferences", "plain", "unpaired", "grpo", "leaked", "overridden"],
}
ABOUT = ("source", "license", "id", "origin")
LOOKS = (
    "report",
    "report_rules",
    "report_data",
    "report_candidates",
    "report_judges",
    "report_pairs",
    "outcome",
    "trust",
)
FIGURES = (
    "figures",
    "counted",
    "sample_figures",
    "candidate_figures",
    "judge_figures",
    "pair_figures",
    "changes",
    "lineage",
)
CODE = tuple(f"pipelines.{module}" for module in ("folder", "page", "charts", "closing", *LOOKS, *FIGURES))
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
    rows: dict[str, pl.LazyFrame]  # tables of which single rows are looked up, by name
    measured: dict[str, pl.LazyFrame] = field(default_factory=dict)  # by rule: `VALUES`
    matches: dict[str, pl.LazyFrame] = field(default_factory=dict)  # by rule: `MATCHES`, of the rules on matches


def tables_of(made: dict[str, Stored]) -> Tables:
    """Give the tables of a finished run; a number a sample and rule is held, and some 20 bytes a pair."""
    curated, ingested, selected = made["curate"], made["ingest"], made["select"]
    kinds = {rule["rule"]: rule["kind"] for rule in curated.facts["rules"]}
    bounded = {name for name, kind in kinds.items() if kind != "match"}
    looked_up = {name: _looked_up(curated, name, kind) for name, kind in kinds.items()}
    scored = [stored for name, stored in made.items() if name.startswith("score ")]
    came = made.get("grow") or made.get("edit") or ingested
    values = {name: found for name, found in values_by_shard(curated).items() if name in bounded}
    preferences = _plain_shards(selected, "preferences", PREFERENCES)
    return Tables(
        samples=shards(came, "samples", SAMPLES),
        quarantined=shards(ingested, "quarantined", QUARANTINED),
        kept=shards(curated, "kept", SAMPLES, ABOUT),
        dropped=shards(curated, "dropped", DROPPED),
        sft=_plain_shards(selected, "sft", SFT, ABOUT[:3]),
        preferences=preferences,
        pairs=figures.pairs_of(preferences),
        values={name: pl.concat(shard.select("value") for shard in found) for name, found in values.items()},
        rows={
            "samples": _lazy([came], "samples", SAMPLES),
            "kept": _lazy([curated], "kept", SAMPLES),
            "dropped": _lazy([curated], "dropped", DROPPED),
            "candidates": _lazy([made["generate"]], "candidates", CANDIDATES),
            "scores": _lazy(scored, "scores", SCORES),
            "comparisons": _lazy(scored, "comparisons", COMPARISONS),
            "judgments": _lazy(scored, "judgments", JUDGMENTS),
            "leaked": _lazy([selected], "leaked", LEAKED),
            "sft": _lazy([selected], "sft", SFT),
        },
        measured={name: looked_up[name] for name in bounded},
        matches={name: one for name, one in looked_up.items() if name not in bounded},
    )


def _lazy(made: Sequence[Stored], name: str, schema: pl.Schema) -> pl.LazyFrame:
    """Give a table of stages to look rows up in; nothing of it is held."""
    files = [file for stored in made for file in sorted((stored.folder / name).rglob("*.parquet"))]
    return pl.scan_parquet(files) if files else pl.LazyFrame(schema=schema)


def _looked_up(curated: Stored, rule: str, kind: str) -> pl.LazyFrame:
    if kind == "pick":
        return pl.scan_parquet(curated.folder / "orders" / "*.parquet").filter(pl.col("rule") == rule)
    return pl.scan_parquet(curated.folder.parent / curated.facts["measured"][rule] / "values" / "*.parquet")


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
    summary["changes"] = changes.since(root / "latest", recipe, summary, tables)
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


def shown_again(folder: Path, forgotten: int) -> str:
    """Write a finished run's report anew from its stages, the figures as they were; says what was done.

    Where its stages are gone, or the summary is of an older form, the report gives way to a line.
    """
    summary = orjson.loads((folder / "summary.json").read_bytes())
    stages = {name: folder.resolve().parent / "stages" / key for name, key in summary["stages"].items()}
    summary["forgotten"] = forgotten
    try:
        made = {name: opened(stage, reused=True) for name, stage in stages.items()}
        html, markdown = report.render(summary, tables_of(made))
        done = "its report was written anew"
    except (StoreError, KeyError) as error:
        html = markdown = "Rows that this report showed were forgotten. Run the recipe again for another.\n"
        done = f"its report was removed: it can't be written anew ({error})"
    write_bytes(folder / "report.html", html.encode())
    write_bytes(folder / "report.md", markdown.encode())
    write_bytes(folder / "summary.json", orjson.dumps(summary, option=orjson.OPT_INDENT_2))
    return done


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
        "data": sample_figures(tables.samples, tables.kept),
        "rules": _rules(curated["rules"], tables),
        "requests": _requests(made),
        "candidates": candidates | _passing(tables) if candidates else {},
        "replies": _replies(tables),
        "judges": {name: told | _longer(name, told, tables) for name, told in judges.items()},
        "preferences": figures.preference_figures(tables.pairs) | alike(tables.preferences),
        "datasets": _datasets(made["select"].facts),
        "reviews": made["select"].facts["reviews"],
        "training": [stored.facts for name, stored in made.items() if name.startswith("train ")],
        "evaluation": _evaluation(made),
        "edits": made["edit"].facts["edits"] if "edit" in made else {},
        "lineage": lineage.of(recipe, made, tables.rows["candidates"]),
        "stages": {name: stored.key for name, stored in made.items()},
        "seconds": {"measure": curated["seconds_measuring"]} | {name: stored.seconds for name, stored in made.items()},
    }


def _rules(rules: list[dict[str, Any]], tables: Tables) -> list[dict[str, Any]]:
    """Give each rule's counts, those on matches with the clusters that they found."""
    own = {row for shard in tables.samples for row in shard["id"]} if tables.matches else set()
    return [
        rule
        | (
            {"found": match_figures(found.collect(), rule["maximum"], own)}
            if (found := tables.matches.get(name)) is not None
            else {}
        )
        for rule in rules
        for name in [rule["rule"]]
    ]


def _passing(tables: Tables) -> dict[str, Any]:
    """Give pass@k and what goes with it; ids and scores of the candidates are held, and no text."""
    scores = tables.rows["scores"].select("candidate_id", "score", "status", "judge").collect()
    return candidate_figures.candidate_figures(tables.rows["candidates"], verified(scores))


def _replies(tables: Tables) -> dict[str, Any]:
    """Give how different the candidates to one prompt are, and how they ended."""
    extracted = tables.rows["scores"].select("candidate_id", "extracted").collect()
    return {
        "diversity": candidate_figures.diversity(tables.rows["candidates"], extracted),
        "finishes": candidate_figures.finishes(tables.rows["candidates"]),
    }


def _longer(name: str, told: dict[str, Any], tables: Tables) -> dict[str, Any]:
    """Give how often a judge prefers the longer reply; nothing of a verifier."""
    own = pl.col("judge") == name
    if told["kind"] == "verifier":
        return {}
    if told["kind"] == "pairwise judge":
        pairs = (
            tables.rows["comparisons"].filter(own).select("sample_id", "a_id", "b_id", "score").drop_nulls().collect()
        )
    else:
        judgments = tables.rows["judgments"].filter(own).select("candidate_id").collect()
        scores = tables.rows["scores"].filter(own).select("sample_id", "candidate_id", "score").collect()
        pairs = rated_pairs(judgments, scores)
    lengths = tables.rows["candidates"].select("id", characters=pl.col("text").str.len_chars()).drop_nulls().collect()
    return figures.length_figures(pairs, lengths)


def _datasets(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give each dataset's rows, and how many of them are held out."""
    apart = facts.get("held_out", {})
    return [
        {"dataset": name, "rows": facts[name], "held_out": apart.get(name, 0)}
        for name in ("sft", "preferences", "plain", "unpaired", "grpo")
        if name in facts
    ]


def _requests(made: dict[str, Stored]) -> dict[str, Any]:
    """Count the answers that this run needed: an output that was there already asked nothing."""
    stages: dict[str, dict[str, Any]] = {}
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
                "cost": stored.facts.get("cost", 0.0),
            }
    keys = ("asked", "from_ledger", "failed", "not_asked", "prompt_tokens", "reply_tokens", "cost")
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
