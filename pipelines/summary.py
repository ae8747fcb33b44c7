"""What a run's summary tells: rows at every stage, requests, judges, the pairs' health, evaluation, seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import lineage
from pipelines.counted import counted
from pipelines.evaluate import difference
from pipelines.figures import preference_figures
from pipelines.pair_figures import alike
from pipelines.recipe import Recipe
from pipelines.run_tables import Tables
from pipelines.sample_figures import match_figures, sample_figures
from pipelines.store import Stored


def summarise(recipe: Recipe, folder: Path, made: dict[str, Stored], tables: Tables) -> dict[str, Any]:
    """Give the figures of a run: rows at every stage, requests, judges, preference health, evaluation, seconds."""
    curated, ingested = made["curate"].facts, made["ingest"].facts
    told = counted(made["curate"], made["generate"], [one for name, one in made.items() if name.startswith("score ")])
    return {
        "name": recipe.name,
        "version": folder.name,
        "folder": str(folder),
        "seed": recipe.seed,
        "files": ingested["files"],
        "rows": {
            "read": ingested["rows"],
            "several": ingested["several"],
            "quarantined": ingested["rows"] + ingested["several"] - ingested["samples"],
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
        "requests": requests(made),
        "candidates": told["candidates"],
        "replies": told["replies"],
        "judges": told["judges"],
        "preferences": preference_figures(tables.pairs) | alike(tables.preferences),
        "datasets": _datasets(made["select"].facts),
        "reviews": made["select"].facts["reviews"],
        "training": [stored.facts for name, stored in made.items() if name.startswith("train ")],
        "evaluation": _evaluation(made),
        "edits": made["edit"].facts["edits"] if "edit" in made else {},
        "lineage": lineage.of(recipe, made, told["models"]),
        "stages": {name: stored.key for name, stored in made.items()},
        "seconds": {"measure": curated["seconds_measuring"]} | {name: stored.seconds for name, stored in made.items()},
    }


def _rules(rules: list[dict[str, Any]], tables: Tables) -> list[dict[str, Any]]:
    """Give each rule's counts, those on matches with the clusters that they found."""
    return [
        rule
        | (
            {"found": match_figures(found, rule["maximum"], tables.rows["samples"])}
            if (found := tables.matches.get(name)) is not None
            else {}
        )
        for rule in rules
        for name in [rule["rule"]]
    ]


def _datasets(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give each dataset's rows, and how many of them are held out."""
    apart = facts.get("held_out", {})
    return [
        {"dataset": name, "rows": facts[name], "held_out": apart.get(name, 0)}
        for name in ("sft", "preferences", "plain", "unpaired", "grpo")
        if name in facts
    ]


def requests(made: dict[str, Stored]) -> dict[str, Any]:
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
