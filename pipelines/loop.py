"""Loops over the stages: the newest policy's candidates, verdicts, a selection, training, and what comes of it.

Rejection-sampling fine-tuning, ReST, ReST-EM, iterative DPO and best-of-n distillation are this loop with other
settings (`pipelines.experiments`). Every stage is kept by what made it: a loop killed in any round goes on there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from judges.best_of_n import divergence
from pipelines.arms import trained_engine
from pipelines.calibrate import cards_of
from pipelines.evaluate import evaluate
from pipelines.experiments import PRESETS, Loop, takes
from pipelines.opened import Run
from pipelines.rounds import candidate_figures, held_out_figures, improved, staleness
from pipelines.run import scored_of, steps, trained_model
from pipelines.sections import SelectPart
from pipelines.select import select
from pipelines.store import Stored, once, read_table, sha256, write_table
from pipelines.targeted import families_of, rates, targeted
from pipelines.train import DATASET, rows_in, train
from pipelines.training import REINFORCED, Training
from pipelines.training_choice import chosen
from pipelines.versions import code_version
from schemas.errors import TrainingError
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES


@dataclass(frozen=True)
class Policy:
    """A model of the loop: its folder or name, what names its weights, and its engine."""

    model: str
    name: str
    engine: Any


@dataclass
class Looped:
    """What a loop has made so far; the rounds' figures begin with the model that it starts from."""

    loop: Loop
    policies: list[Policy] = field(default_factory=list)
    held_out: list[Stored] = field(default_factory=list)  # on the evaluation's benchmark, of each policy
    watched: list[Stored] = field(default_factory=list)
    made: list[dict[str, Stored]] = field(default_factory=list)  # of each round, from 1 on
    rounds: list[dict[str, Any]] = field(default_factory=list)
    best: int = 0


def looped(run: Run) -> dict[str, Any]:
    """Run the rounds until held-out tasks no longer improve; `Run.made` then holds the best round's outputs.

    The samples are curated by then. Gives each round's figures, the number of the best (0: none was better than the
    model it began with), and why it ended.
    """
    loop = run.recipe.loop
    assert loop is not None  # noqa: S101 - who calls has looked
    so_far = Looped(loop)
    model, revision = trained_model(run)
    assert run.recipe.generate is not None  # noqa: S101 - the recipe's check says so
    assert run.recipe.generate.engine is not None  # noqa: S101 - likewise
    _look(run, so_far, Policy(model, revision, run.engine(run.recipe.generate.engine)), {"round": 0})
    why = _rounds(run, so_far)
    run.made |= {"evaluate before": so_far.held_out[0]}
    run.made |= so_far.made[max(so_far.best, 1) - 1]
    if so_far.best:
        run.made["evaluate after"] = so_far.held_out[so_far.best]
    else:
        run.made = {name: made for name, made in run.made.items() if not name.startswith("train ")}
    told = {"method": loop.method, "rounds": so_far.rounds, "best": so_far.best, "why_ended": why}
    return told | ({"divergence": divergence(run.recipe.generate.samples)} if loop.method == "best-of-n" else {})


def _rounds(run: Run, so_far: Looped) -> str:
    """Go through the rounds, and say why they ended."""
    loop = so_far.loop
    for number in range(1, loop.rounds + 1):
        run.progress.say(f"round {number} of {loop.rounds}")
        told = _round(run, so_far, number)
        if told is None:
            return f"round {number}: no reply was good enough to be learned"
        since = number - so_far.best
        if since >= loop.patience and number < loop.rounds:
            return f"pass@1 on held-out tasks has not risen for {since} round{'s' if since > 1 else ''}"
    return "its one round was run" if loop.rounds == 1 else f"all {loop.rounds} rounds were run"


def _round(run: Run, so_far: Looped, number: int) -> dict[str, Any] | None:
    """Run one round; null where its selection was empty."""
    policy = so_far.policies[-1]
    made = _candidates(run, policy, number)
    so_far.made.append(made)
    pool = _pool(run, so_far) if so_far.loop.memory else None
    policies = [one.engine.revision for one in so_far.policies]
    told: dict[str, Any] = {"round": number, **candidate_figures(made["generate"], scored_of(replace(run, made=made)))}
    trained = _passes(run, so_far, made, pool, number)
    if not trained and number == 1:
        raise TrainingError(
            f"no reply of round 1 is good enough for {run.recipe.select.use}; the report says where they went"
        )
    if not trained:
        return None
    told["passes"] = trained
    if "targeted" in made:
        told["targeted"] = {name: made["targeted"].facts[name] for name in ("families", "weak")}
    told["stale"] = staleness(made["select"], pool or made["generate"], policies)
    newest = [stored for name, stored in made.items() if name.startswith("train ")][-1]
    checkpoint = str(newest.folder / "checkpoint")
    _look(run, so_far, Policy(checkpoint, newest.key, trained_engine(run, checkpoint)), told)
    if improved(so_far.watched[so_far.best], so_far.watched[number], so_far.loop.least):
        so_far.best = number
    return told


def _candidates(run: Run, policy: Policy, number: int) -> dict[str, Stored]:
    """Ask the newest policy for candidates, each round with a seed of its own, and have them judged."""
    section = run.recipe.generate
    assert section is not None  # noqa: S101 - the recipe's check says so
    assert section.engine is not None  # noqa: S101 - likewise
    recipe = run.recipe.model_copy(update={"seed": run.recipe.seed + number - 1})
    # A judge of the same name is the model that the recipe names, whatever the policy has become.
    one = replace(run, recipe=recipe, made=dict(run.made), engines=run.engines | {section.engine: policy.engine})
    every = steps(recipe)
    every["generate"](one)
    if "score" in every:
        every["score"](replace(one, engines=run.engines))
    return {name: made for name, made in one.made.items() if name not in run.made}


def _pool(run: Run, so_far: Looped) -> Stored:
    """Store the candidates and verdicts of this round and of the `memory` rounds before as one table each."""
    rounds = so_far.made[-1 - so_far.loop.memory :]
    scored = [scored_of(replace(run, made=made)) for made in rounds]
    question = {
        "candidates": [made["generate"].key for made in rounds],
        "scores": [[stored.key for stored in several] for several in scored],
        "code": code_version(__name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        order = read_table(run.made["curate"], "kept", SAMPLES).select(sample_id="id").with_row_index("at")
        judged = [stored for several in scored for stored in several]
        for name, schema, stores in (
            ("candidates", CANDIDATES, [made["generate"] for made in rounds]),
            ("scores", SCORES, judged),
            ("comparisons", COMPARISONS, judged),
        ):
            every = pl.concat([pl.DataFrame(schema=schema), *(read_table(one, name, schema) for one in stores)])
            distinct = every.unique(maintain_order=True)  # the replies that came with the data are in each round
            sorted_ = distinct.join(order, on="sample_id", how="left").sort("at", maintain_order=True)
            write_table(folder, name, sorted_.select(*schema), schema)
        return {"judge": "pool", "rounds": len(rounds)}

    return once(run.store, "pool", question, build)


def _passes(
    run: Run, so_far: Looped, made: dict[str, Stored], pool: Stored | None, number: int
) -> list[dict[str, Any]]:
    """Select and train, once a threshold; what is made stands in `made`. A pass without rows is left out.

    Each pass goes on from the one before; the first from the base or the newest policy.
    """
    loop = so_far.loop
    run.close_engines()  # a trainer and an engine do not fight for one device
    begin = so_far.policies[0 if loop.begins == "base" else -1]
    told: list[dict[str, Any]] = []
    for threshold in loop.passes:
        picked = select(
            run.store,
            run.made["curate"],
            pool or made["generate"],
            [pool] if pool else scored_of(replace(run, made=made)),
            part_of(run.recipe.select, loop, threshold),
            benchmarks=[stored for name, stored in run.made.items() if name.startswith("benchmark ")],
            filters=run.recipe.filters,
        )
        if not any(rows_in(picked, name) for name in ("sft", "preferences", "unpaired")):
            run.progress.say(f"  nothing reaches {threshold}: this pass is left out")
            continue
        made["select"] = picked
        done = []
        for section in (one for one in run.recipe.train if one.method != "reward"):
            stored = _job(run, so_far.loop, section, made, begin)
            if stored is None:
                continue
            made[f"train {number} {len(told)} {section.method}"] = stored
            begin = Policy(str(stored.folder / "checkpoint"), stored.key, None)
            done.append(stored.facts)
        told.append(
            {
                "threshold": threshold,
                "sft": picked.facts["sft"],
                "preferences": picked.facts["preferences"],
                "steps": sum(facts.get("steps", 0) for facts in done),
                "jobs": [facts["method"] for facts in done],
            }
        )
    return told


def _job(run: Run, loop: Loop, asked: Training, made: dict[str, Stored], begin: Policy) -> Stored | None:
    """Train one section from `begin`; null where it has no rows, or where RL has no weak family to train on."""
    cards = cards_of(replace(run, made=made))
    section, reasons = chosen(asked, run.made | made, cards)
    data = made["select"]
    if section.method in REINFORCED and loop.weak is not None:
        engine = trained_engine(run, begin.model)
        try:
            data = made["targeted"] = targeted(run, data, loop, engine)
        finally:
            engine.close()
        weak = ", ".join(data.facts["weak"]) or "none, so there is no RL"
        run.progress.say(f"  weak families: {weak}")
    if rows_in(data, DATASET[section.method]) == 0:
        return None
    return train(
        run.store,
        data,
        section,
        base=begin.model,
        revision=begin.name,
        seed=run.recipe.seed,
        progress=run.counter(f"  {section.method}"),
        say=run.progress.say,
        reasons=reasons,
        recipe={"recipe": run.recipe.name, "recipe_sha256": sha256(Path(run.recipe.file))},
    )


def part_of(part: SelectPart, loop: Loop, threshold: float | None) -> SelectPart:
    """Give the rule of selection of one pass: the recipe's with the pass's threshold and cap, where it takes them.

    Replies that came with the data are left out: a loop learns from its own. Without a threshold the best of a prompt
    is learned whatever its score.
    """
    least = float("-inf") if threshold is None and PRESETS[loop.method].cap == 1 else threshold
    ours: Mapping[str, Any] = {"on_policy": True, "minimum": least, "replies": loop.most}
    known = takes(part.use)
    told = {name: value for name, value in ours.items() if name in known and value is not None}
    return SelectPart(**part.model_dump() | told)


def _look(run: Run, so_far: Looped, policy: Policy, told: dict[str, Any]) -> None:
    """Measure a policy on held-out tasks, and take it up with the round's figures."""
    section, made_by = run.recipe.evaluate, run.recipe.generate
    assert section is not None  # noqa: S101 - the recipe's check says so
    assert made_by is not None  # noqa: S101 - likewise
    watch = so_far.loop.watch or section.benchmark
    seen = {}
    for name in dict.fromkeys((section.benchmark, watch)):
        seen[name] = evaluate(
            run.store,
            run.made[f"benchmark {name}"],
            section,
            system=made_by.system,
            seed=run.recipe.seed,
            engine=policy.engine,
            ledger=run.ledger,
            progress=run.counter(f"  held-out tasks, round {told['round']}"),
        )
    run.engines.setdefault(f"round {told['round']}", policy.engine)  # so that it is closed whatever happens
    so_far.policies.append(policy)
    so_far.held_out.append(seen[section.benchmark])
    so_far.watched.append(seen[watch])
    sizes = sorted({1, *(so_far.loop.k or (section.samples,))})
    told["held_out"] = held_out_figures(so_far.held_out[0], seen[section.benchmark], sizes)
    if so_far.loop.weak is not None or so_far.loop.families:
        tasks = read_table(run.made[f"benchmark {section.benchmark}"], "samples", SAMPLES)
        told["held_out"]["families"] = rates(seen[section.benchmark], families_of(tasks, so_far.loop.families))
    if watch != section.benchmark:
        told["watched"] = held_out_figures(so_far.watched[0], seen[watch], sizes)
    so_far.rounds.append(told)
