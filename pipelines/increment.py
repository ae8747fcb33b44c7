"""New rows only: a recipe held against what it has published, and the two halves of a run, data and training."""

import json
import re
from pathlib import Path

import orjson
import polars as pl

from filters.index import write_index
from filters.texts import DIFFERS, Part
from pipelines.recipe import Recipe
from pipelines.run import stages
from pipelines.sections import FilterPart
from pipelines.store import Stored, opened, shards, write_bytes
from schemas.chats import content_id
from schemas.errors import RecipeError
from schemas.tables import SAMPLES

DUPLICATES = ("filters.duplicates:exact", "filters.duplicates:near")
LINE = re.compile(r"""^([ \t]*)use[ \t]*=[ \t]*["']filters\.duplicates:(?:exact|near)["'].*$""", re.MULTILINE)
TABLES = ("sft", "preferences", "unpaired")


def data_stages(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Name the stages up to the curation, and those from it to the datasets; training is in neither.

    Raises `RecipeError` for a recipe with a loop.
    """
    names = _without_rounds(recipe)
    curated, selected = names.index("curate") + 1, names.index("select") + 1
    return names[:curated], names[curated:selected]


def _without_rounds(recipe: Recipe) -> list[str]:
    if recipe.loop:
        raise RecipeError(recipe.file, ["it has a [loop], whose rounds are one stage: the flow build runs it, whole"])
    return list(stages(recipe))


def training_stages(recipe: Recipe) -> list[str]:
    """Name the stages after the datasets; raises `RecipeError` for one that trains nothing or in rounds."""
    if not recipe.train:
        raise RecipeError(recipe.file, ["there is no [[train]]: nothing to fine-tune"])
    names = _without_rounds(recipe)
    return names[names.index("select") + 1 :]


def made_in(folder: Path) -> dict[str, Stored]:
    """Give by stage the data that the finished run in `folder` was laid out from: what it trained is not among it."""
    told = orjson.loads((folder / "summary.json").read_bytes())["stages"]
    return {
        name: opened(folder.parent / "stages" / key, reused=True)
        for name, key in told.items()
        if not name.startswith(("train ", "evaluate "))
    }


def indexes(out: Path, name: str, to: str) -> Path:
    """Give the folder of the indexes of what a recipe has published to a target."""
    return out / name / "published" / re.sub(r"[^A-Za-z0-9]+", "-", to).strip("-")


def new_rows(recipe: Recipe, out: Path, to: str) -> Recipe:
    """Give the recipe with its duplicate rules held against what it has published to `to`; nothing yet, as it is.

    It is written beside the indexes, so that what was published can be made again. Raises `RecipeError` where there is
    no duplicate rule, or one has its own `against`.
    """
    rules = [part for part in recipe.filters if part.use in DUPLICATES]
    faults = [] if rules else [f"new rows are told by a duplicate rule: add [[filters]] with use = {DUPLICATES[1]!r}"]
    faults += [
        f"filters: {part.use} has its own `against`: leave it out" for part in rules if "against" in part.arguments
    ]
    if faults:
        raise RecipeError(recipe.file, faults)
    folder = indexes(out, recipe.name, to)
    known = [str(file) for file in sorted(folder.glob("*.parquet"))]
    if not known:
        return recipe
    line = f"against = {json.dumps(known)}"
    text = LINE.sub(lambda found: f"{found[0]}\n{found[1]}{line}", Path(recipe.file).read_text(encoding="utf-8"))
    file = folder / f"{content_id(text)}.toml"
    write_bytes(file, text.encode())
    held = Recipe.read(file)
    if any(part.use in DUPLICATES and part.arguments.get("against") != known for part in held.filters):
        raise RecipeError(
            recipe.file, ["each duplicate rule's `use` has to stand on a line of its own, in [[filters]]"]
        )
    return held


def write_published_index(recipe: Recipe, folder: Path, out: Path, to: str) -> int:
    """Write the index of the samples in the datasets of the run in `folder`, whole or not at all; give its texts.

    A sample that was kept and is in none of them is tried again the next time; what was answered is in the ledger.
    """
    files = [file for name in TABLES for file in (folder / name).rglob("*.parquet")]
    ids = pl.concat([pl.read_parquet(file, columns=["sample_id"]) for file in files])["sample_id"].unique()
    kept = made_in(folder)["curate"]
    rows = (shard.filter(pl.col("id").is_in(ids.implode())) for shard in shards(kept, "kept", SAMPLES))
    to_file = indexes(out, recipe.name, to) / f"{folder.name}.parquet"
    to_file.parent.mkdir(parents=True, exist_ok=True)
    rules = [part for part in recipe.filters if part.use in DUPLICATES]
    differs = next((one.arguments["differs"] for one in rules if "differs" in one.arguments), DIFFERS)
    return write_index(rows, to_file, name=f"{recipe.name} {folder.name}", parts=_parts(rules), differs=differs)


def _parts(rules: list[FilterPart]) -> tuple[Part, ...]:
    named: set[Part] = {rule.arguments["part"] for rule in rules if "part" in rule.arguments}
    always: tuple[Part, ...] = ("prompt", "question")
    return tuple(sorted(named.union(always)))
