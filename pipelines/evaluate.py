"""What a model can do on held-out tasks: pass@1 with its interval."""

from collections import Counter
from collections.abc import Callable, Iterable
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import polars as pl

from generators.ledger import Ledger
from generators.sweep import Sweep
from pipelines.generate import Draws, answer
from pipelines.score import judging_code, samples_by_id, verify
from pipelines.sections import Evaluate
from pipelines.store import Stored, once, read_table, write_table
from pipelines.versions import code_version
from schemas.engines import Engine
from schemas.tables import CANDIDATES, SAMPLES, SCORES

Z95 = 1.959964  # the normal quantile of a two-sided 95 % interval


def evaluate(
    store: Path,
    benchmark: Stored,
    section: Evaluate,
    *,
    system: str | None,
    seed: int,
    engine: Engine,
    ledger: Ledger,
    progress: Callable[[int, int], None],
) -> Stored:
    """Answer every task of a benchmark and verify; the facts hold `pass@1`, its 95 % `interval`, tasks and samples."""
    question = {
        "benchmark": benchmark.key,
        "evaluate": section.model_dump(),
        "system": system,
        "seed": seed,
        "model": [engine.model, engine.revision],
        "code": [judging_code(section.judge.use), code_version(__name__)],
    }

    def build(folder: Path) -> dict[str, Any]:
        tasks = read_table(benchmark, "samples", SAMPLES)
        sweep = Sweep((section.temperature,), max_tokens=section.max_tokens, seed=seed)
        frames: list[pl.DataFrame] = []
        paid = answer(
            [tasks],
            Draws(engine, section.samples, sweep, system),
            ledger,
            keep_reply=False,
            write=frames.append,
            progress=lambda done: progress(done, tasks.height * section.samples),
        )
        candidates = pl.concat([pl.DataFrame(schema=CANDIDATES), *frames])
        known = samples_by_id(tasks)
        answered = candidates.filter(pl.col("status") == "answered")
        verdicts = verify(section.judge.use, section.judge.build(), known, answered, lambda _done, _all: None)
        scores = pl.DataFrame(verdicts, schema=SCORES)
        write_table(folder, "candidates", candidates, CANDIDATES)
        write_table(folder, "scores", scores, SCORES)
        return {"model": engine.model, **pass_at_1(scores), "samples": section.samples, **paid}

    return once(store, "evaluate", question, build)


def pass_at_1(scores: pl.DataFrame) -> dict[str, Any]:
    """Give the mean over tasks of the fraction of answers that pass, and its 95 % interval.

    An answer without a verdict is left out and counted as `unscored`. The interval is normal over the tasks' means
    (answers to one task depend on each other), cut to 0 and 1; with fewer than two tasks it is null.
    """
    scored = scores.filter(pl.col("score").is_not_null())
    means = scored.group_by("sample_id").agg(pl.col("score").mean()).sort("sample_id")["score"].to_list()
    mean, interval = mean_interval(means)
    held = None if interval is None else [max(interval[0], 0.0), min(interval[1], 1.0)]
    return {"pass@1": mean, "interval": held, "tasks": len(means), "unscored": scores.height - scored.height}


def mean_interval(values: Iterable[float]) -> tuple[float | None, list[float] | None]:
    """Give the mean of independent values and its 95 % normal interval; null where there are too few."""
    counts = Counter(values)
    if not counts:
        return None, None
    mean = fmean(counts.elements())
    if counts.total() < 2:  # noqa: PLR2004 - a spread needs two
        return mean, None
    half = Z95 * stdev(counts.elements()) / sqrt(counts.total())
    return mean, [mean - half, mean + half]


def difference(before: Stored, after: Stored) -> dict[str, Any]:
    """Give how much pass@1 rose from one evaluation to another on the same tasks, paired task by task."""
    columns = [
        read_table(stored, "scores", SCORES)
        .drop_nulls("score")
        .group_by("sample_id")
        .agg(pl.col("score").mean().alias(name))
        for name, stored in (("before", before), ("after", after))
    ]
    both = columns[0].join(columns[1], on="sample_id").sort("sample_id")
    rise, interval = mean_interval((both["after"] - both["before"]).to_list())
    return {"pass@1": rise, "interval": interval, "tasks": both.height}
