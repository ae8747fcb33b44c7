"""Does a chosen third of the pairs teach as much as all of them? `python -m benchmarks.active [RUNS [SHARE]]`.

The proof of `recipes/prove.toml` with two other arms: the pairs of the third of the prompts whose candidates' verdicts
vary most, and as many drawn by chance. All arms have the same SFT rows and read the same tokens of pairs, so that of
fewer each is read more often. In the folder of `benchmarks.prove` what that has trained is used again.
"""

import sys
from pathlib import Path

import polars as pl

from pipelines.closing import points
from pipelines.experiments import Arm, Prove
from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.proof_page import terminal
from pipelines.prove import prove
from pipelines.recipe import Recipe
from pipelines.sections import SelectPart
from pipelines.select import Ranked, best_and_worst, first_of, hashed

ACTIVE, CHANCE = "active", "by chance"


def by_chance(candidates: pl.DataFrame, *, share: float, replies: int = 1, on_policy: bool = False) -> Ranked:
    """Take the best and the worst of a `share` of the prompts, drawn by chance."""
    one = best_and_worst(candidates, replies=replies, on_policy=on_policy)
    ranked = one.pairs.with_columns(doubt=pl.lit(0.0), draw=hashed("chosen_id", "rejected_id", before=["by chance"]))
    return Ranked(one.sft, first_of(ranked, share).select("chosen_id", "rejected_id"), ranked, share)


def main(out: Path, share: float) -> None:
    """Prove and print."""
    recipe = Recipe.read("recipes/prove.toml")
    assert recipe.prove  # noqa: S101 - the recipe has one
    own = recipe.select.model_dump() | {"share": share}
    arms = {
        ACTIVE: Arm(select=SelectPart(**own | {"use": "pipelines.strategies:most_learnable"})),
        CHANCE: Arm(select=SelectPart(**own | {"use": "benchmarks.active:by_chance"})),
    }
    section = Prove(**recipe.prove.model_dump() | {"arms": arms})
    recipe = recipe.model_copy(update={"prove": section})
    with opened(recipe, out, lines(lambda text: print(text, file=sys.stderr, flush=True))) as run:
        told = prove(run)
    print(terminal(told))
    for pair in told["pairs"]:
        if {pair["above"], pair["below"]} <= {"curated", ACTIVE, CHANCE}:
            print(f"{pair['above']} above {pair['below']}: {points(pair['mean'], pair['interval'])}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"), float(sys.argv[2]) if sys.argv[2:] else 1 / 3)
