"""Targeted RL: the families of prompts on which a policy still fails too often, and the rows of these alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.evaluate import evaluate
from pipelines.experiments import Loop
from pipelines.opened import Run
from pipelines.store import Stored, once, read_table, write_table
from pipelines.versions import code_version
from schemas.chats import content_id
from schemas.tables import SAMPLES, SCORES

PROBED = 400  # prompts of the training data that a policy is tried on
OTHER = "other"


def families_of(rows: pl.DataFrame, patterns: Mapping[str, str]) -> pl.DataFrame:
    """Give each row's `id` and `family`: the first of the patterns that its last turn contains, without letter case.

    Without patterns a family is the verifier that a row's check names, "reference" where it brings a gold answer alone.
    """
    last = pl.col("prompt").list.last().struct.field("content")
    use = pl.col("check").str.json_path_match("$.use").fill_null("reference")
    named = pl.coalesce(
        *(pl.when(last.str.contains(f"(?i){pattern}")).then(pl.lit(name)) for name, pattern in patterns.items()),
        pl.lit(OTHER) if patterns else use,
    )
    return rows.select("id", family=named)


def rates(evaluated: Stored, families: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Give by family the mean score of the answers, as the mean over its tasks, and how many those are."""
    scores = read_table(evaluated, "scores", SCORES).drop_nulls("score")
    tasks = scores.group_by("sample_id").agg(pl.col("score").mean()).join(families, left_on="sample_id", right_on="id")
    told = tasks.group_by("family").agg(pl.col("score").mean(), tasks=pl.len()).sort("family")
    return {family: {"pass@1": score, "tasks": count} for family, score, count in told.iter_rows()}


def targeted(run: Run, picked: Stored, loop: Loop, engine: Any) -> Stored:
    """Store the RL prompts of the families in which the policy passes less often than `loop.weak`.

    It is tried on up to 400 of the prompts. The facts tell each family's `pass@1`, and which are `weak`.
    """
    section, made_by = run.recipe.evaluate, run.recipe.generate
    assert section is not None  # noqa: S101 - the recipe's check says so
    assert made_by is not None  # noqa: S101 - likewise
    probed = evaluate(
        run.store,
        _probe(run),
        section,
        system=made_by.system,
        seed=run.recipe.seed,
        engine=engine,
        ledger=run.ledger,
        progress=run.counter("  which families are weak"),
    )
    question = {
        "data": picked.key,
        "probed": probed.key,
        "weak": loop.weak,
        "families": list(loop.families.items()),
        "code": code_version(__name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        files = sorted((picked.folder / "grpo").rglob("*.parquet"))
        rows = pl.concat(pl.read_parquet(file) for file in files if file.parent.name != "test")
        samples = read_table(run.made["curate"], "kept", SAMPLES)
        told = rates(probed, families_of(samples, loop.families))
        weak = sorted(family for family, one in told.items() if one["pass@1"] < (loop.weak or 0))
        wanted = families_of(rows, loop.families).filter(pl.col("family").is_in(weak))["id"]
        kept = rows.filter(pl.col("id").is_in(wanted.implode()))
        write_table(folder, "grpo", kept, rows.schema)
        return {"grpo": kept.height, "held_out": {}, "families": told, "weak": weak}

    return once(run.store, "targeted", question, build)


def _probe(run: Run) -> Stored:
    """Store up to 400 of the prompts that a verifier can score, those whose ids' hashes come first."""
    question = {"samples": run.made["curate"].key, "most": PROBED, "code": code_version(__name__)}

    def build(folder: Path) -> dict[str, Any]:
        samples = read_table(run.made["curate"], "kept", SAMPLES)
        verifiable = samples.filter(pl.col("check").is_not_null() | pl.col("reference").is_not_null())
        first = sorted(verifiable["id"].to_list(), key=content_id)[:PROBED]
        return {"samples": write_table(folder, "samples", verifiable.filter(pl.col("id").is_in(first)), SAMPLES)}

    return once(run.store, "probed", question, build)
