"""The arms of a proof: other ways to make the recipe's data, each a recipe of its own run up to its selection."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.decontaminate import contaminating
from pipelines.experiments import Arm
from pipelines.opened import Run
from pipelines.recipe import Recipe, numbered
from pipelines.run import scored_of, steps
from pipelines.scored import table_of
from pipelines.sections import FilterPart, Part, SelectPart
from pipelines.store import Stored, once, read_table, write_table
from pipelines.versions import code_version
from schemas.tables import CANDIDATES, COMPARISONS, SCORES

RAW, CURATED, SHUFFLED = "raw", "curated", "shuffled"
SELECTED = ("ingest", "grow", "curate", "generate", "score", "select")  # the stages up to the datasets
OWN_REPLIES = SelectPart(use="pipelines.select:best_and_worst", held_out=0.0)


def arms_of(recipe: Recipe, *, ablate: bool) -> dict[str, Arm]:
    """Give the arms by name, the curated one first: raw, shuffled and the recipe's own, or each part left out once."""
    if ablate:
        names = [*numbered(part.use for part in recipe.filters), *numbered(part.use for part in recipe.judges)]
        return {CURATED: Arm(), **{f"without {name}": Arm(without=(name,)) for name in names}}
    own = dict(recipe.prove.arms) if recipe.prove else {}
    standard = {CURATED: Arm(), RAW: Arm(raw=True), **({SHUFFLED: Arm(shuffled=True)} if recipe.judges else {})}
    return {**standard, **own}


def recipe_of(recipe: Recipe, arm: Arm) -> Recipe:
    """Give the recipe that makes an arm's data.

    Raw data is what was read, less what gives a benchmark away: a model that was taught the tasks proves nothing. A
    rule whose `keep` names one that is left out keeps the first.
    """
    if arm.raw:
        rules = contaminating(recipe.filters)
        parts = tuple(part for part, _rule in rules.values())
        bare = {"edits": (), "prompts": (), "judges": (), "generate": None, "select": OWN_REPLIES, "filters": parts}
        return recipe.model_copy(update=bare)
    filters = _less(arm.filters if arm.filters is not None else recipe.filters, arm.without)
    judges = _less(arm.judges if arm.judges is not None else recipe.judges, arm.without)
    changed = {"filters": tuple(_without_keep(part, arm.without) for part in filters), "judges": judges}
    return recipe.model_copy(update=changed | ({"select": arm.select} if arm.select else {}))


def _less(parts: Iterable[Any], without: Sequence[str]) -> tuple[Any, ...]:
    parts = list(parts)
    names = numbered(part.use for part in parts)
    return tuple(part for name, part in zip(names, parts, strict=True) if name not in without)


def _without_keep(part: FilterPart, without: Sequence[str]) -> FilterPart:
    keeps = str(part.arguments.get("keep", "")).partition(" ")[2]
    if keeps not in without or not keeps:
        return part
    return FilterPart(use=part.use, engine=part.engine, **part.arguments | {"keep": "first"})


def selected(run: Run, arm: Arm, seed: int) -> dict[str, Stored]:
    """Make an arm's data, and give the outputs of its stages; what other arms or runs made before is used again.

    Where verdicts are shuffled `seed` says how. So they are where an arm has no judge left: what remains of the
    selection then is a draw by chance.
    """
    recipe = recipe_of(run.recipe, arm)
    shuffles = arm.shuffled or (bool(run.recipe.judges) and not recipe.judges and not arm.raw)
    judged = recipe if recipe.judges or not shuffles else recipe.model_copy(update={"judges": run.recipe.judges})
    other = replace(run, recipe=judged, made={})
    for name, stage in steps(judged).items():
        if name == "select" and shuffles:
            shuffled = _shuffled(other, seed)
            for judge in [made for made in other.made if made.startswith("score ")]:
                del other.made[judge]
            other.made["score shuffled"] = shuffled
        if name in SELECTED:
            stage(other)
    return other.made


def _shuffled(run: Run, seed: int) -> Stored:
    """Store the candidates' verdicts, permuted among all of them."""
    question = {
        "candidates": run.made["generate"].key,
        "scores": [stored.key for stored in scored_of(run)],
        "seed": seed,
        "code": code_version("pipelines.scored", __name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        told = candidates_of(run.made["generate"], scored_of(run))
        places = list(range(told.height))
        random.Random(seed).shuffle(places)
        scores = told.select(
            "sample_id",
            candidate_id="id",
            judge=pl.lit("shuffled"),
            score=told["score"].cast(pl.Float64)[places],
            status=pl.lit("shuffled"),
            why=pl.lit(None, pl.String),
            extracted=pl.lit(None, pl.String),
        )
        write_table(folder, "scores", scores.select(*SCORES), SCORES)
        write_table(folder, "comparisons", pl.DataFrame(schema=COMPARISONS), COMPARISONS)
        return {"judge": "shuffled", "scores": scores.height, "comparisons": 0, "judgments": 0}

    return once(run.store, "shuffled", question, build)


def candidates_of(generated: Stored, scored: Sequence[Stored]) -> pl.DataFrame:
    """Read the answered candidates with what the judges said of them, in the order they were stored in."""
    said = [
        pl.concat([pl.DataFrame(schema=schema), *(read_table(one, name, schema) for one in scored)])
        for name, schema in (("scores", SCORES), ("comparisons", COMPARISONS))
    ]
    return table_of(read_table(generated, "candidates", CANDIDATES), *said)


def trained_engine(run: Run, checkpoint: str) -> Any:
    """Give the recipe's engine of candidates with the checkpoint's weights in it; it takes its turn as others do."""
    section = run.recipe.generate
    assert section is not None  # noqa: S101 - the recipe's check says so where there is training
    assert section.engine is not None  # noqa: S101 - likewise
    part = run.recipe.engines[section.engine]
    return run.turns.add(Part(use=part.use, **part.arguments | {"model": checkpoint}).build())
