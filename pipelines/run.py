"""A whole run: the stages in order, their outputs, and the folder that a person opens."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from generators.budget import Budget
from generators.weights import version
from pipelines.calibrate import cards_of, demand
from pipelines.curate import curate, edit
from pipelines.evaluate import evaluate
from pipelines.generate import generate, generator_of
from pipelines.grow import grow
from pipelines.ingest import ingest, line_of
from pipelines.opened import Run, opened
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.score import score
from pipelines.sections import Part
from pipelines.select import select
from pipelines.store import Stored, sha256
from pipelines.trackers import demand_trackers
from pipelines.train import train
from pipelines.training_choice import chosen

PREPARED = ("ingest", "grow", "curate")  # the stages that a loop goes through once
FILES_SAID = 20  # of a run, in the terminal


def stages(recipe: Recipe) -> dict[str, Callable[[Run], None]]:
    """Give the stages that the recipe asks for, in order; each puts its outputs into `Run.made`.

    An engine is closed when its stage is done, unless it is the next to be asked for; one that is asked closes first
    what holds its device (`generators.turns`). So two never fight for one, nor does training with any.
    """
    every = steps(recipe)
    if recipe.loop:
        every = {name: stage for name, stage in every.items() if name in PREPARED} | {"rounds": _loop}
    needs = [needed(recipe, name) for name in every]
    return {
        name: partial(_and_close, stage=stage, but=next(filter(None, needs[at + 1 :]), set()))
        for at, (name, stage) in enumerate(every.items())
    }


def steps(recipe: Recipe) -> dict[str, Callable[[Run], None]]:
    """Give the stages that the recipe asks for, in order; each leaves its engines open."""
    found: dict[str, Callable[[Run], None]] = {"ingest": _ingest}
    if recipe.prompts:
        found["grow"] = _grow
    found |= {"curate": _curate, "generate": _generate}
    if recipe.judges:
        found["score"] = _score
    found["select"] = _select
    if recipe.evaluate:
        found["evaluate before"] = partial(_evaluate, when="before")
    for at, section in enumerate(recipe.train):
        again = sum(earlier.method == section.method for earlier in recipe.train[:at])
        found[f"train {section.method}" + (f" ({again + 1})" if again else "")] = partial(_train, at=at)
    if recipe.evaluate and recipe.train:
        found["evaluate after"] = partial(_evaluate, when="after")
    return found


def needed(recipe: Recipe, stage: str) -> set[str]:
    """Name the engines that a stage may ask; of a training, "training": it needs the device and none of them."""
    generator = set(recipe.generate.asks) if recipe.generate else set()
    rules = {part.engine for part in recipe.filters if part.engine}
    asked: dict[str, set[str]] = {
        "grow": rules | {part.engine for part in recipe.prompts if part.engine},
        "curate": rules,
        "generate": generator,
        "score": {name for part in recipe.judges for name in part.asks},
        "evaluate before": generator,
        "evaluate after": {"after training"},
        "rounds": generator,
    }
    return {"training"} if stage.startswith("train ") else asked.get(stage, set())


def _and_close(run: Run, *, stage: Callable[[Run], None], but: Collection[str]) -> None:
    stage(run)
    run.close_engines(but)


def _loop(run: Run) -> None:
    from pipelines.loop import looped  # it takes its stages from here

    run.rounds = looped(run)


def _ingest(run: Run) -> None:
    demand(run)  # before anything is asked
    demand_trackers(section.tracker for section in run.recipe.train)
    run.made["ingest"] = ingest(run.store, run.recipe.sources, limit=run.limit)
    for name, benchmark in run.recipe.benchmarks.items():
        run.made[f"benchmark {name}"] = ingest(run.store, [benchmark], "benchmark")
    files = run.made["ingest"].facts["files"]
    for file in files[:FILES_SAID]:
        run.progress.say(f"  {line_of(file)}")
    if len(files) > FILES_SAID:
        run.progress.say(f"  and {len(files) - FILES_SAID:,} more files; the report names them all")
    for name in run.made["ingest"].facts["skipped"][:FILES_SAID]:
        run.progress.say(f"  skipped {name}")


def samples_of(made: Mapping[str, Stored]) -> Stored:
    """Give the samples that the rules measure: those read, edited where the recipe edits, with the new prompts."""
    return made.get("grow") or made.get("edit") or made["ingest"]


def _edit(run: Run) -> None:
    if not run.recipe.edits or "edit" in run.made:
        return
    run.made["edit"] = edit(run.store, run.made["ingest"], run.recipe.edits)
    changes = ", ".join(f"{count:,} {kind}" for kind, count in run.made["edit"].facts["edits"].items())
    run.progress.say(f"  edited: {changes or 'nothing'}")


def _grow(run: Run) -> None:
    _edit(run)
    samples = samples_of(run.made)
    if any(part.build().parents for part in run.recipe.prompts):
        run.made["curate seeds"] = _curated(run)
    run.made["grow"] = grow(
        run.store,
        samples,
        run.made.get("curate seeds"),
        run.recipe.prompts,
        seed=run.recipe.seed,
        engines={part.engine: run.engine(part.engine) for part in run.recipe.prompts if part.engine},
        ledger=run.ledger,
        progress=run.counter("  new prompts"),
    )
    for told in run.made["grow"].facts["methods"]:
        reasons = ", ".join(f"{count:,} {why}" for why, count in told["reasons"].items())
        counts = f"{told['new']:,} new prompts of {told['wanted']:,} wanted"
        run.progress.say(f"  {told['use']}: {counts}" + (f"; not taken: {reasons}" if reasons else ""))


def _curate(run: Run) -> None:
    _edit(run)
    run.made["curate"] = _curated(run)
    facts = run.made["curate"].facts
    run.progress.say(f"  kept {facts['kept']:,}, dropped {facts['dropped']:,}")


def _curated(run: Run) -> Stored:
    benchmarks = [stored for name, stored in run.made.items() if name.startswith("benchmark ")]
    return curate(
        run.store,
        samples_of(run.made),
        benchmarks,
        run.recipe.filters,
        engines={part.engine: run.engine(part.engine) for part in run.recipe.filters if part.engine},
        ledger=run.ledger,
        say=run.progress.say,
    )


def _generate(run: Run) -> None:
    section = run.recipe.generate
    engine = generator_of(section, run.engine) if section else None
    run.made["generate"] = generate(
        run.store,
        run.made["curate"],
        section,
        seed=run.recipe.seed,
        engine=engine,
        ledger=run.ledger,
        progress=run.counter("  candidates"),
    )


def _score(run: Run) -> None:
    engines = {name: run.engine(name) for part in run.recipe.judges for name in part.asks}
    made = run.made
    scored = score(
        run.store,
        made["curate"],
        made["generate"],
        run.recipe.judges,
        engines=engines,
        ledger=run.ledger,
        progress=run.counter("  verdicts"),
    )
    for stored in scored:
        run.made[f"score {stored.facts['judge']}"] = stored


def scored_of(run: Run) -> list[Stored]:
    """Give the outputs of the judges."""
    return [stored for name, stored in run.made.items() if name.startswith("score ")]


def _select(run: Run) -> None:
    run.made["select"] = select(
        run.store,
        run.made["curate"],
        run.made["generate"],
        scored_of(run),
        run.recipe.select,
        benchmarks=[stored for name, stored in run.made.items() if name.startswith("benchmark ")],
        filters=run.recipe.filters,
    )
    facts = run.made["select"].facts
    run.progress.say(f"  {facts['sft']:,} SFT rows, {facts['preferences']:,} preference pairs")
    if facts["leaked"]:
        run.progress.say(f"  {facts['leaked']:,} replies give away a benchmark: they are in leaked/ alone")
    if facts["labelled"] and not run.recipe.judges:
        run.progress.say(
            f"  {facts['labelled']:,} samples came with scored replies, and no judge uses the scores: "
            'add [[judges]] with use = "judges.labels:given"'
        )


def _train(run: Run, at: int) -> None:
    asked = run.recipe.train[at]
    base, revision = (asked.base, version(asked.base, "main")) if asked.base else trained_model(run)
    section, reasons = chosen(asked, run.made, cards_of(run))
    for reason in reasons:
        run.progress.say(f"  {reason}")
    run.close_engines()  # a trainer and an engine do not fight for one device
    run.made[f"train {at}"] = train(
        run.store,
        run.made["select"],
        section,
        base=base,
        revision=revision,
        seed=run.recipe.seed,
        progress=run.counter(f"  {section.method}"),
        say=run.progress.say,
        reasons=reasons,
        recipe={"recipe": run.recipe.name, "recipe_sha256": sha256(Path(run.recipe.file))},
    )


def trained_model(run: Run) -> tuple[str, str]:
    """Give the newest checkpoint and its revision: the last job's, or the model that the recipe names."""
    made = [stored for name, stored in run.made.items() if name.startswith("train ")]
    last = [stored for stored in made if stored.facts["method"] != "reward"]  # one that scores can't answer
    if last:
        return str(last[-1].folder / "checkpoint"), last[-1].key
    section = run.recipe.generate
    assert section is not None  # noqa: S101 - the recipe's check says so where there is training
    assert section.engine is not None  # noqa: S101 - likewise
    return str(run.recipe.engines[section.engine].arguments["model"]), run.engine(section.engine).revision


def _evaluate(run: Run, when: str) -> None:
    section, made_by = run.recipe.evaluate, run.recipe.generate
    assert section is not None  # noqa: S101 - the stage is there because the section is
    assert made_by is not None  # noqa: S101 - the recipe's check says so
    assert made_by.engine is not None  # noqa: S101 - likewise
    part = run.recipe.engines[made_by.engine]
    if when == "after":
        trained = Part(use=part.use, **part.arguments | {"model": trained_model(run)[0]}).build()
        run.engines["after training"] = run.turns.add(trained)
    engine = run.engines["after training"] if when == "after" else run.engine(made_by.engine)
    run.made[f"evaluate {when}"] = evaluate(
        run.store,
        run.made[f"benchmark {section.benchmark}"],
        section,
        system=made_by.system,
        seed=run.recipe.seed,
        engine=engine,
        ledger=run.ledger,
        progress=run.counter(f"  {when}"),
    )


def build(
    recipe: Recipe, out: Path, progress: Progress, *, budget: Budget | None = None, limit: int | None = None
) -> dict[str, Any]:
    """Run a recipe from end to end and give its summary; what was made before is used again.

    With a `budget` the engines are asked no more than it allows, and the run goes on with what there is. With a `limit`
    it is of the first so many rows of each source, and the summary's `flow` tells the rows of every stage.
    """
    from pipelines.folder import lay_out
    from pipelines.summary import flow

    with opened(recipe, out, progress, budget=budget, limit=limit) as run:
        for name, stage in stages(recipe).items():
            progress.say(name)
            stage(run)
        progress.say("report")
        summary = lay_out(run.recipe, run.folder, run.made, cards_of(run))
        if run.rounds:
            from pipelines.rounds_page import lay_beside

            summary = lay_beside(summary | {"loop": run.rounds})
        return summary if limit is None else summary | {"flow": flow(run.made)}
