"""Commands that run a recipe, and tell what it would do or did."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from pipelines.commands.told import Json, Out, as_json, tell
from pipelines.finished import run_named


def run(
    recipe: Path,
    *,
    out: Out = Path("runs"),
    limit: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    budget: list[str] | None = None,
    json: Json = False,
) -> None:
    """Run a recipe from raw rows to datasets, report and fine-tuned model; what was made before is used again.

    Parameters
    ----------
    limit
        Run the first so many rows of each source, kept apart, and show the rows before and after each stage.
    budget
        What the engines may cost in this run: 500requests, 100000tokens, 5USD, 30min, 2h; several hold together.
        The run goes on with what there is, and running it again continues.
    """
    from generators.budget import read_budget
    from pipelines.progress import shown
    from pipelines.recipe import Recipe
    from pipelines.run import build

    checked = Recipe.read(recipe)
    with shown() as progress:
        summary = build(checked, out, progress, budget=read_budget(budget) if budget else None, limit=limit)
    tell(summary, json=json)


def plan(recipe: Path, *, out: Out = Path("runs"), json: Json = False) -> None:
    """Say what running a recipe would ask, stage by stage: rows, requests, tokens, time and cost; no model is asked."""
    from pipelines.forecast import words
    from pipelines.plan import plan
    from pipelines.progress import shown
    from pipelines.recipe import Recipe

    checked = Recipe.read(recipe)
    with shown() as progress:
        told = plan(checked, out, progress)
    print(as_json(told) if json else words(told))


def check(path: str, *, json: Json = False) -> None:
    """Check a recipe (a .toml) or a preference dataset (a file, a folder, a run's folder) whole; nothing is run.

    Everything that is wrong is told; of a dataset each fault with its rows. Ends with 1 where a dataset has an error.
    """
    from pipelines.recipe import Recipe

    if not path.endswith(".toml"):
        from pipelines.checking import check_dataset, words

        told = check_dataset(path)
        print(as_json(told) if json else words(told))
        sys.exit(int(told["errors"] > 0))
    checked = Recipe.read(path)
    if json:
        print(checked.model_dump_json(indent=2))
    else:
        sources, rules = len(checked.sources), len(checked.filters)
        reads = f"{sources} source{'s' * (sources != 1)}"
        print(f"{path}: no fault. It reads {reads} and applies {rules} rule{'s' * (rules != 1)}.")


def show(name: str, *, out: Out = Path("runs"), json: Json = False) -> None:
    """Tell again how the newest run of a recipe ended."""
    import orjson

    tell(orjson.loads((run_named(name, out) / "summary.json").read_bytes()), json=json)


def bounds(name: str, rule: str | None = None, *, out: Out = Path("runs"), json: Json = False) -> None:
    """Show what each rule of a recipe's newest run measured and what other bounds would keep; nothing is measured."""
    from pipelines.bounds import explore
    from pipelines.bounds_words import words

    found = explore(run_named(name, out), rule)
    print(as_json(found) if json else words(found))


def index(
    name: str,
    to: Path,
    *,
    parts: tuple[Literal["prompt", "question", "reply", "conversation"], ...] = ("prompt", "question"),
    out: Out = Path("runs"),
) -> None:
    """Write the index of what a recipe's newest run kept; a later recipe's duplicate rules take it as `against`.

    `parts` are the texts that can be matched.
    """
    from pipelines.curate import write_kept_index

    folder = run_named(name, out)
    print(f"{to}: {write_kept_index(folder, to, parts):,} texts of {name} {folder.resolve().name}")
