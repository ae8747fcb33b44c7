"""What a run was made of: its recipe, files, models and stages, each by a hash."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from pipelines.recipe import Recipe
from pipelines.store import MANIFEST, Stored, sha256


def of(recipe: Recipe, made: Mapping[str, Stored], models: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the recipe's hash, the models with their revisions and replies, and each stage's output and code version."""
    return {
        "recipe": {"file": Path(recipe.file).name, "sha256": sha256(Path(recipe.file))},
        "models": models,
        "stages": [
            {"stage": name, "output": stored.key, "code": _code(stored), "seconds": stored.seconds}
            for name, stored in made.items()
        ],
    }


def _code(stored: Stored) -> str:
    found = orjson.loads((stored.folder / MANIFEST).read_bytes())["question"].get("code", "")
    return found if isinstance(found, str) else " ".join(map(str, found))
