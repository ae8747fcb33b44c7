"""The gate that a run's datasets pass before they are published without a person at the terminal."""

from pathlib import Path
from typing import Any

from pipelines.calibrate import demand
from pipelines.checking import check_dataset
from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.recipe import Recipe
from schemas.errors import PublishError


def gate(folder: Path) -> dict[str, Any] | None:
    """Give what the integrity suite found in the finished run in `folder`, or null where it has no preferences.

    Raises `PublishError` for an error of integrity, with every check that failed, and `RecipeError` where a judge no
    longer has the agreement with people that the recipe demands.
    """
    recipe = Recipe.read(folder / "recipe.toml")
    if any(part.calibrated is not None for part in recipe.judges):
        with opened(recipe, folder.parent.parent, lines(lambda _told: None)) as run:
            demand(run)
    if not any((folder / "preferences").rglob("*.parquet")):
        return None
    told = check_dataset(str(folder))
    if told["errors"]:
        wrong = [one for one in told["findings"] if one["severity"] == "error"]
        raise PublishError(
            f"{folder}: {told['errors']} error(s) of integrity, the gate stays shut\n"
            + "\n".join(f"  - {one['check']}: {one['told']}" for one in wrong)
            + f"\n./mill check {folder} names the rows; mend the recipe and run it again."
        )
    return told
