"""A recipe being run: where it is kept, its ledger, and the engines that were opened for it."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from generators.budget import Budget, Price
from generators.ledger import Ledger, open_ledger
from generators.turns import Turns
from pipelines.in_use import in_use
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.store import Stored
from schemas.engines import Engine
from schemas.errors import RecipeError


@dataclass
class Run:
    """A recipe being run: where it is kept, what has been made so far, and the engines that were opened for it.

    A run of the first `limit` rows of each source is kept apart.
    """

    recipe: Recipe
    out: Path
    progress: Progress
    ledger: Ledger
    limit: int | None = None
    made: dict[str, Stored] = field(default_factory=dict)
    engines: dict[str, Engine] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)
    rounds: dict[str, Any] | None = None  # of a loop: each round's figures

    @property
    def folder(self) -> Path:
        """Where everything of this recipe lies."""
        return self.out / self.recipe.name / ("" if self.limit is None else f"first-{self.limit}")

    @property
    def store(self) -> Path:
        """Where the stages' outputs lie."""
        return self.folder / "stages"

    def counter(self, work: str) -> Callable[[int, int], None]:
        """Give the counter of a piece of work."""
        return partial(self.progress.count, work)

    def engine(self, name: str) -> Engine:
        """Give the recipe's engine of that name, opened once a run."""
        if name not in self.engines:
            part = self.recipe.engines[name]
            self.engines[name] = self.turns.add(part.build())
            if part.price:
                self.ledger.prices[self.engines[name].model] = Price(part.price.prompt, part.price.reply)
        return self.engines[name]

    def close_engines(self, but: Collection[str] = ()) -> None:
        """Free what the engines hold, those named `but` aside."""
        for name, engine in self.engines.items():
            if name not in but:
                engine.close()


def place_of(out: Path, named: str | None = None) -> str | Path:
    """Give the ledger's place: the one that is named, GRISTMILL_LEDGER's, or the one that all runs in `out` share."""
    return named or os.environ.get("GRISTMILL_LEDGER") or out / "ledger.sqlite"


@contextmanager
def opened(
    recipe: Recipe, out: Path, progress: Progress, *, budget: Budget | None = None, limit: int | None = None
) -> Iterator[Run]:
    """Give a run of `recipe` with its ledger open; its engines are closed at the end, whatever happens.

    Raises `RecipeError` for a budget of money where no engine has a price.
    """
    if budget and "money" in budget.limits and not any(part.price for part in recipe.engines.values()):
        raise RecipeError(recipe.file, ["a budget of money needs an engine's `price = { prompt = ..., reply = ... }`"])
    out.mkdir(parents=True, exist_ok=True)
    with in_use(out):
        ledger = open_ledger(place_of(out, recipe.ledger), recipe=recipe.name, budget=budget)
        run = Run(recipe, out, progress, ledger, limit)
        try:
            yield run
        finally:
            run.close_engines()
            ledger.close()
