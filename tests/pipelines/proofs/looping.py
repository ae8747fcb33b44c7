"""How the tests of loops run one, on a model whose skill is a number."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipelines.progress import lines
from pipelines.recipe import Recipe
from pipelines.run import build

if TYPE_CHECKING:
    from tests.pipelines.proofs.conftest import Workshop

QUIET = lines(lambda _text: None)


def ran(workshop: "Workshop", loop: str, **how: Any) -> dict[str, Any]:
    recipe = Recipe.read(workshop.recipe(f"[loop]\n{loop}\n", **how))
    return build(recipe, workshop.folder / "runs", QUIET)


def rising(workshop: "Workshop", *skills: float) -> None:
    """Have the n-th job make a model of the n-th skill."""
    coming = iter(skills)
    workshop.learn = lambda _old, _right: next(coming)


def table(name: str, summary: dict[str, Any]) -> pl.DataFrame:
    return pl.read_parquet(Path(summary["folder"]) / name / "**" / "*.parquet")
