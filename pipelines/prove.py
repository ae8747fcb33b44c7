"""Does the data help? The same model trained on each arm's data with equal tokens, over seeds, and what differs."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import orjson
import polars as pl

from generators.weights import version
from pipelines.arms import CURATED, arms_of, selected, trained_engine
from pipelines.calibrate import cards_of
from pipelines.effects import Effect, effect, grids, holm
from pipelines.equal import counter, equalised, rows_of
from pipelines.evaluate import evaluate
from pipelines.experiments import Arm, Prove
from pipelines.opened import Run
from pipelines.run import trained_model
from pipelines.store import Stored
from pipelines.train import DATASET, train
from pipelines.training import Training
from pipelines.training_choice import chosen
from schemas.errors import RecipeError, TrainingError

Job = tuple[Training, Stored]


@dataclass(frozen=True)
class Trial:
    """An arm with one seed: its jobs in order, each with the rows it reads, and the arm's own rows by job."""

    arm: str
    seed: int
    jobs: tuple[Job, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """What decides on the checkpoint: two trials of one key train once."""
        return (self.seed, *((section.method, data.key) for section, data in self.jobs))


@dataclass(frozen=True)
class Trained:
    """What came out of a trial's jobs: the last one's checkpoint, its name, and what each job told."""

    checkpoint: str
    revision: str
    facts: tuple[Mapping[str, Any], ...] = ()


def prove(run: Run, *, ablate: bool = False, seeds: Sequence[int] = ()) -> dict[str, Any]:
    """Train and measure every arm with every seed, and give the figures; what was done before is used again.

    Raises `RecipeError` for a recipe that trains or measures nothing.
    """
    recipe = run.recipe
    asked = [section for section in recipe.train if section.method != "reward"]
    if not (asked and recipe.evaluate and recipe.generate):
        raise RecipeError(recipe.file, ["to prove its data a recipe needs [generate], [evaluate] and [[train]]"])
    section = recipe.prove or Prove()
    seeds = tuple(seeds) or section.seeds or tuple(range(recipe.seed, recipe.seed + 3))
    arms = arms_of(recipe, ablate=ablate)
    made = _made(run, arms, seeds)
    run.made |= made[CURATED, seeds[0]]
    before = [_measured(run, None, seed) for seed in seeds]
    run.close_engines()  # a trainer and an engine do not fight for one device
    jobs = [chosen(one, run.made, cards_of(run))[0] for one in asked]  # by the curated data: arms differ in data alone
    budgets = _budgets(run, jobs, section.work)
    trials = [
        _trial(run, name, seed, arm=arm, made=made[name, seed], budgets=budgets)
        for seed in seeds
        for name, arm in arms.items()
    ]
    checkpoints = _trained(run, trials, section.parallel)
    after = {trial.key: _measured(run, checkpoints[trial.key], trial.seed) for trial in trials}
    by_arm = {name: [trial for trial in trials if trial.arm == name] for name in arms}
    sizes = sorted({1, *(section.k or (recipe.evaluate.samples,))})
    told = figures(before, {name: [after[one.key] for one in several] for name, several in by_arm.items()}, sizes)
    for name, several in by_arm.items():
        told["arms"][name] |= {
            "what": arms[name].model_dump(exclude_defaults=True, mode="json"),
            "jobs": _jobs(several[0], checkpoints[several[0].key]),
            "same_data": [trial.key for trial in several] == [trial.key for trial in by_arm[CURATED]],
        }
    return {
        "name": recipe.name,
        "ablation": ablate,
        "seeds": list(seeds),
        "samples": recipe.evaluate.samples,
        "benchmark": recipe.evaluate.benchmark,
        "tokens": [{"method": one.method, "tokens": budget} for one, budget in budgets],
        **told,
        "stages": {f"{trial.arm} {trial.seed}": after[trial.key].key for trial in trials},
    }


def _made(run: Run, arms: Mapping[str, Arm], seeds: Sequence[int]) -> dict[tuple[str, int], dict[str, Stored]]:
    """Make every arm's data; it depends on the seed where verdicts are shuffled."""
    found = {}
    for name, arm in arms.items():
        run.progress.say(f"data: {name}")
        for seed in seeds:
            found[name, seed] = selected(run, arm, seed)
    return found


def _budgets(run: Run, jobs: Sequence[Training], work: float) -> list[tuple[Training, int]]:
    """Give each job the tokens that it reads in every arm: `work` times what the recipe's own reads of curated data."""
    base = trained_model(replace(run, made={}))[0]
    found = []
    for section in jobs:
        tokens = int(counter(base, section.max_length)(rows_of(run.made["select"], section.method)).sum())
        found.append((section, round(work * section.epochs * tokens)))
    return found


def _trial(
    run: Run, name: str, seed: int, *, arm: Arm, made: Mapping[str, Stored], budgets: Sequence[tuple[Training, int]]
) -> Trial:
    tables = [
        rows_of(made["select"], section.method, arm.share)
        if not arm.methods or section.method in arm.methods
        else pl.DataFrame()
        for section, _budget in budgets
    ]
    shares = shared_out([budget for _section, budget in budgets], [table.height for table in tables])
    if not any(shares):
        raise TrainingError(f"the arm {name!r} has no row to train on; its stages are in {run.store}")
    base, revision = trained_model(replace(run, made={}))
    jobs = []
    for (section, _budget), table, budget in zip(budgets, tables, shares, strict=True):
        if budget:
            data = equalised(
                run.store,
                table,
                section.method,
                budget=budget,
                seed=seed,
                count=counter(base, section.max_length),
                counted_by=f"{revision} {section.max_length}",
            )
            jobs.append((_once_over(section), data))
    return Trial(name, seed, tuple(jobs))


def shared_out(budgets: Sequence[int], rows: Sequence[int]) -> list[int]:
    """Give each job's tokens where some have no rows: theirs go to the last job before them that has, or the next."""
    given = [0] * len(budgets)
    able = [at for at, count in enumerate(rows) if count]
    for at, budget in enumerate(budgets):
        if able:
            given[max((one for one in able if one <= at), default=able[0])] += budget
    return given


def _once_over(section: Training) -> Training:
    """Give the job as one pass over its rows: how often they are read is in the rows."""
    own = {key: value for key, value in section.arguments.items() if key not in {"max_steps", "num_train_epochs"}}
    return section.model_copy(update={"epochs": 1.0, "arguments": own, "budget": ()})


def _trained(run: Run, trials: Sequence[Trial], parallel: int) -> dict[tuple[Any, ...], Trained]:
    """Give by trial's key what came out; `parallel` chains of jobs run at once."""
    base = trained_model(replace(run, made={}))

    def chain(trial: Trial) -> Trained:
        model, revision = base
        facts = []
        for section, data in trial.jobs:
            if section.base:
                model, revision = section.base, version(section.base, "main")
            stored = train(
                run.store,
                data,
                section,
                base=model,
                revision=revision,
                seed=trial.seed,
                progress=run.counter(f"  {trial.arm}, seed {trial.seed}: {section.method}"),
            )
            model, revision = str(stored.folder / "checkpoint"), stored.key
            facts.append(stored.facts)
        return Trained(model, revision, tuple(facts))

    different = {trial.key: trial for trial in trials}
    run.progress.say(f"training: {len(different)} models")
    with ThreadPoolExecutor(parallel) as pool:
        return dict(zip(different, pool.map(chain, different.values()), strict=True))


def _measured(run: Run, trained: Trained | None, seed: int) -> Stored:
    """Measure what was trained on the held-out tasks, or the model that training starts from."""
    section, made_by = run.recipe.evaluate, run.recipe.generate
    assert section is not None  # noqa: S101 - `prove` says so where one is missing
    assert made_by is not None  # noqa: S101 - likewise
    assert made_by.engine is not None  # noqa: S101 - the recipe's check says so where there is training
    engine = run.engine(made_by.engine) if trained is None else trained_engine(run, trained.checkpoint)
    try:
        return evaluate(
            run.store,
            run.made[f"benchmark {section.benchmark}"],
            section,
            system=made_by.system,
            seed=seed,
            engine=engine,
            ledger=run.ledger,
            progress=run.counter(f"  held-out tasks, seed {seed}: {trained.revision if trained else 'before'}"),
        )
    finally:
        if trained is not None:
            engine.close()


def figures(before: Sequence[Stored], measured: Mapping[str, Sequence[Stored]], sizes: Sequence[int]) -> dict[str, Any]:
    """Give pass@k before and after in each arm, each arm's rise, and how far any two arms are apart.

    Which differ is said of the curated arm against each other one, and of all `pairs` looked at together.
    """
    found: dict[str, Any] = {"k": list(sizes), "before": {}, "arms": {name: {"pass": {}} for name in measured}}
    for k in sizes:
        every, tasks = grids({"": before, **measured}, k)
        found["before"][str(k)] = float(every[""].mean())
        for name in measured:
            apart = effect(every[CURATED], every[name])
            told = {"mean": float(every[name].mean()), "rise": _told(effect(every[name], every[""]))}
            found["arms"][name]["pass"][str(k)] = told | {"below_curated": _told(apart), "tasks": tasks}
    found["pairs"] = _pairs(measured)
    others = [name for name in measured if name != CURATED]
    for passes in ({name: found["arms"][name]["pass"][str(k)] for name in others} for k in sizes):
        for name, stands in holm({name: one["below_curated"]["p"] for name, one in passes.items()}).items():
            passes[name]["differs"] = stands
    return found


def _pairs(measured: Mapping[str, Sequence[Stored]]) -> list[dict[str, Any]]:
    every, _tasks = grids(measured, 1)
    apart = {(one, other): effect(every[one], every[other]) for one, other in combinations(measured, 2)}
    stands = holm({orjson.dumps(pair).decode(): told.p for pair, told in apart.items()})
    return [
        {"above": pair[0], "below": pair[1], **_told(told), "differs": stands[orjson.dumps(pair).decode()]}
        for pair, told in apart.items()
    ]


def _told(one: Effect) -> dict[str, Any]:
    return {"mean": one.mean, "interval": list(one.interval), "p": one.p, "by_seed": list(one.by_seed)}


def _jobs(trial: Trial, trained: Trained) -> list[dict[str, Any]]:
    """Tell what each job of an arm read, by its first seed: its own rows, the passes over them, tokens and steps."""
    return [
        {"method": section.method, "read": data.facts[DATASET[section.method]], "steps": facts.get("steps")}
        | {key: data.facts[key] for key in ("rows", "tokens", "passes")}
        for (section, data), facts in zip(trial.jobs, trained.facts, strict=True)
    ]
