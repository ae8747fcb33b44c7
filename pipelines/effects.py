"""How far two arms are apart on the same tasks, over seeds: the paired difference, its interval, and what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
import polars as pl

from judges.best_of_n import pass_at
from pipelines.store import Stored, read_table
from schemas.tables import SCORES

Grid = npt.NDArray[np.float64]  # a row a seed, a column a task: what a model can do there, from 0 to 1
DRAWS = 10_000
ALPHA = 0.05


@dataclass(frozen=True)
class Effect:
    """A mean paired difference, its 95 % interval, the two-sided p-value of no difference, and each seed's mean."""

    mean: float
    interval: tuple[float, float]
    p: float
    by_seed: tuple[float, ...]


def effect(better: Grid, worse: Grid, *, draws: int = DRAWS, seed: int = 0) -> Effect:
    """Give how much higher one grid is than another, by a paired bootstrap over tasks and seeds, each drawn again.

    A bootstrap of n seeds makes their spread too small by (n - 1) / n; the seeds' deviations are stretched by the root
    of its inverse. With one seed the interval is over the tasks alone. Raises `ValueError` for grids of other forms.
    """
    if better.shape != worse.shape or not better.size:
        raise ValueError(f"grids of {better.shape} and {worse.shape}: expected the same seeds and tasks, one or more")
    apart = better - worse
    means = apart.mean(1)
    seeds, tasks = apart.shape
    if not apart.any():
        return Effect(0.0, (0.0, 0.0), 1.0, tuple(means.tolist()))
    stretched = apart + (sqrt(seeds / (seeds - 1)) - 1 if seeds > 1 else 0.0) * (means - means.mean())[:, None]
    chance = np.random.default_rng(seed)
    of_seeds = chance.multinomial(seeds, [1 / seeds] * seeds, draws) / seeds
    of_tasks = chance.multinomial(tasks, [1 / tasks] * tasks, draws) / tasks
    drawn = ((of_seeds @ stretched) * of_tasks).sum(1)
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    sides = [(1 + int((drawn <= 0).sum())) / (draws + 1), (1 + int((drawn >= 0).sum())) / (draws + 1)]
    return Effect(float(apart.mean()), (float(low), float(high)), min(1.0, 2 * min(sides)), tuple(means.tolist()))


def holm(told: Mapping[str, float]) -> dict[str, bool]:
    """Say which of several p-values stand at 5 % when all are looked at together.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    ranked = sorted(told, key=lambda name: told[name])
    stands = True
    found = {}
    for at, name in enumerate(ranked):
        stands = stands and told[name] <= ALPHA / (len(ranked) - at)
        found[name] = stands
    return {name: found[name] for name in told}


def task_passes(evaluated: Stored, k: int) -> dict[str, float]:
    """Give by task the chance that one of `k` answers passes; k = 1 is the mean score.

    Answers without a verdict are left out, and tasks with fewer than `k` others are.
    """
    scored = read_table(evaluated, "scores", SCORES).drop_nulls("score")
    told = scored.group_by("sample_id").agg(
        mean=pl.col("score").mean(), samples=pl.len(), passed=(pl.col("score") >= 1).sum()
    )
    found = {}
    for task, mean, samples, passed in told.sort("sample_id").iter_rows():
        chance = mean if k == 1 else pass_at(k, samples=samples, passed=passed)
        if chance is not None:
            found[task] = chance
    return found


def grids(evaluated: Mapping[str, Sequence[Stored]], k: int) -> tuple[dict[str, Grid], int]:
    """Give each arm's grid of pass@k, a row an evaluation, over the tasks that all have; and how many tasks those are.

    Rows meet by the task's id.
    """
    told = {name: [task_passes(one, k) for one in several] for name, several in evaluated.items()}
    every = [set(one) for several in told.values() for one in several]
    tasks = sorted(set.intersection(*every)) if every else []
    return {name: np.array([[one[task] for task in tasks] for one in several]) for name, several in told.items()}, len(
        tasks
    )
