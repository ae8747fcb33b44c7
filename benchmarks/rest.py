"""ReST over rounds, and the law of best of n: `python -m benchmarks.rest [RUNS [SEED ...]]`.

First 64 answers of the tiny model to each of the held-out tasks, of which n are drawn and one is picked: by the
verifier, by the verifier with noise, by a scorer that a few wrong replies fool, and by chance. Gains are exact over all
draws; the divergence is the bound ln n - (n - 1) / n. Then `recipes/rest.toml` with each seed (7, 8, 9 unless given):
pass@1 and pass@k on held-out tasks, reward and diversity of every round; and over all seeds, how far each round is
above the one before. Ends with 1 where pass@1 did not rise in each.
"""

import random
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from judges.best_of_n import curve
from pipelines.closing import points
from pipelines.effects import effect, grids
from pipelines.evaluate import evaluate
from pipelines.opened import Run, opened
from pipelines.progress import Progress, lines
from pipelines.recipe import Recipe
from pipelines.rounds_page import terminal
from pipelines.run import build, stages
from pipelines.store import Stored, read_table
from pipelines.store import opened as stored
from schemas.tables import SCORES

SEEDS = (7, 8, 9)
ANSWERS = 64
FOOLED = 0.04  # of the wrong replies: they score above every right one


def told_by_rounds(out: Path, seeds: Sequence[int], progress: Progress) -> bool:
    """Run the loop with each seed and print its rounds, and what they come to; says whether each round rose."""
    by_round: dict[int, list[Stored]] = {}
    for seed in seeds:
        recipe = Recipe.read("recipes/rest.toml").model_copy(update={"seed": seed})
        summary = build(recipe, out, progress)
        print(f"seed {seed}: {terminal(summary)}\n", flush=True)
        for one in summary["loop"]["rounds"]:
            stage = out / recipe.name / "stages" / one["held_out"]["evaluation"]
            by_round.setdefault(one["round"], []).append(stored(stage, reused=True))
    whole = {str(number): several for number, several in by_round.items() if len(several) == len(seeds)}
    every, _tasks = grids(whole, 1)
    means = {number: f"{grid.mean():.1%}" for number, grid in every.items()}
    print(f"all {len(seeds)} seeds: pass@1 by round {', '.join(means.values())}")
    rises = [effect(every[later], every[earlier]) for earlier, later in pairwise(every)]
    for (earlier, later), rise in zip(pairwise(every), rises, strict=True):
        seen = ", ".join(points(one, None) for one in rise.by_seed)
        print(f"round {later} above {earlier}: {points(rise.mean, rise.interval)}; by seed {seen}")
    return len(whole) == len(by_round) and all(rise.mean > 0 for rise in rises)


def truths(run: Run) -> list[list[float]]:
    """Give for each held-out task the verdicts on 64 answers of the tiny model."""
    for name, stage in stages(run.recipe).items():
        if name == "ingest":
            stage(run)
    section = run.recipe.evaluate
    assert section is not None  # noqa: S101 - the recipe has one
    seen = evaluate(
        run.store,
        run.made[f"benchmark {section.benchmark}"],
        section.model_copy(update={"samples": ANSWERS}),
        system=None,
        seed=run.recipe.seed,
        engine=run.engine("tiny"),
        ledger=run.ledger,
        progress=run.counter("  answers"),
    )
    by_task = read_table(seen, "scores", SCORES).drop_nulls("score").group_by("sample_id", maintain_order=True)
    return [rows["score"].to_list() for _task, rows in by_task]


def law(truth: Sequence[Sequence[float]], seed: int) -> None:
    """Print what picking the best of n gains by each scorer."""
    chance = random.Random(seed)
    scorers = {
        "verifier": [list(row) for row in truth],
        "with noise (standard deviation 1)": [[one + chance.gauss(0, 1) for one in row] for row in truth],
        f"fooled by {FOOLED:.0%} of the wrong": [
            [2.0 if one < 1 and chance.random() < FOOLED else one + chance.gauss(0, 0.5) for one in row]
            for row in truth
        ],
        "chance": [[chance.random() for _one in row] for row in truth],
    }
    sizes = (1, 2, 4, 8, 16, 32, 64)
    print(f"gain in points of pass@1, {len(truth)} tasks, {ANSWERS} answers each")
    print(f"{'n':<36}" + "".join(f"{n:>8}" for n in sizes) + "    peak")
    found = {name: curve(truth, proxy, sizes=sizes) for name, proxy in scorers.items()}
    print(f"{'nats at most':<36}" + "".join(f"{nats:8.3f}" for nats in found["verifier"].divergence))
    for name, one in found.items():
        print(f"{name:<36}" + "".join(f"{100 * gain:+8.1f}" for gain in one.gain) + f"{one.peak:>8}", flush=True)


def main(out: Path, seeds: Sequence[int]) -> int:
    """Print both, and say whether pass@1 rose in each round."""
    progress = lines(lambda text: print(text, file=sys.stderr, flush=True))
    with opened(Recipe.read("recipes/rest.toml"), out, progress) as run:
        truth = truths(run)
    law(truth, seeds[0])
    print(flush=True)
    return int(not told_by_rounds(out, seeds, progress))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"), [int(seed) for seed in sys.argv[2:]] or SEEDS))
