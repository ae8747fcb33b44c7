"""Does verified selection help, and is it by its labels? `python -m benchmarks.finetuning [RUNS [SEED ...]]`.

Takes the demo's own run (made when it is missing), and trains the tiny model again from the same candidates with the
verdicts shuffled among all of them: same prompts, same replies, same steps, labels without meaning. Prints pass@1 at
temperature 1 on the held-out tasks before and after for both arms, with 95 % intervals and the paired rise, over the
seeds. The verified arm must rise by at least 15 points; the shuffled one must not rise.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.evaluate import difference
from pipelines.opened import Run, opened
from pipelines.progress import lines
from pipelines.recipe import Recipe
from pipelines.run import scored_of, stages
from pipelines.scored import Scored
from pipelines.store import Stored, once
from pipelines.training_layouts import Datasets
from pipelines.versions import code_version
from schemas.parts import load

SEEDS = (7, 8, 9)
TRAINING = ("train", "evaluate after")  # the stages that an arm runs on its own selection


def shuffled(candidates: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Give the candidates with their verdicts (score and wins together) permuted among all of them."""
    verdicts = candidates.select("score", "wins").sample(fraction=1.0, shuffle=True, seed=seed)
    return candidates.with_columns(verdicts["score"], verdicts["wins"])


def selected(run: Run, *, shuffle: int | None) -> Stored:
    """Give the recipe's selection from the run's candidates, with shuffled verdicts where a seed for that is given."""
    made, part = run.made, run.recipe.select
    question = {
        "candidates": made["generate"].key,
        "scores": [stored.key for stored in scored_of(run)],
        "select": part.model_dump(),
        "shuffle": shuffle,
        "code": code_version("pipelines.select", __name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        every = zip(*Scored(made["curate"], made["generate"], scored_of(run)), strict=True)
        samples, candidates = (pl.concat(tables) for tables in every)
        labelled = candidates if shuffle is None else shuffled(candidates, shuffle)
        picked = load(part.use, part.arguments)(labelled)
        with Datasets(folder, rule=f"{part.use}, shuffle {shuffle}") as out:
            out.write(picked, labelled, samples)
        return out.facts()

    return once(run.store, "benchmark-select", question, build)


def arm(run: Run, selection: Stored, seed: int) -> Stored:
    """Train on a selection as the recipe says, and give the evaluation of what comes out."""
    run.close_engines()
    recipe = run.recipe.model_copy(update={"seed": seed})
    other = Run(recipe, run.out, run.progress, run.ledger, made=run.made | {"select": selection})
    try:
        for name, stage in stages(recipe).items():
            if name.startswith(TRAINING):
                stage(other)
    finally:
        other.close_engines()
    return other.made["evaluate after"]


def main(out: Path, seeds: Sequence[int]) -> None:
    """Run both arms with each seed and print the table."""
    recipe = Recipe.read("recipes/demo.toml")
    with opened(recipe, out, lines(lambda text: print(text, file=sys.stderr, flush=True))) as run:
        for name, stage in stages(recipe).items():
            if not name.startswith(TRAINING):
                stage(run)
        before = run.made["evaluate before"]
        print(f"{'labels':<10} {'seed':>4} {'before':>8} {'after':>8}   rise [95 % interval]")
        for seed in seeds:
            for labels in ("shuffled", "verified"):
                selection = selected(run, shuffle=seed if labels == "shuffled" else None)
                after = arm(run, selection, seed)
                told = difference(before, after)
                low, high = told["interval"]
                figures = f"{before.facts['pass@1']:8.1%} {after.facts['pass@1']:8.1%}"
                print(f"{labels:<10} {seed:>4} {figures}   {told['pass@1']:+.1%} [{low:+.1%}, {high:+.1%}]", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"), [int(seed) for seed in sys.argv[2:]] or SEEDS)
