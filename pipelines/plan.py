"""What a run would ask: the stages gone through with no model asked, on answers that are invented in their place.

What the ledger holds is used. An invented answer has the length that is expected; none is kept, nor what is made of it.
New prompts that are not written yet count as if each could be read and repeated nothing, and no rule dropped it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from generators.sweep import Sweep
from pipelines.curate import curate, edit, names
from pipelines.forecast import Model
from pipelines.generate import Draws, asked_of, generate, generator_of
from pipelines.grow import grow
from pipelines.ingest import ingest
from pipelines.opened import Run, opened
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.score import score
from pipelines.silent import SEEDS, Reading, Silent, Tally
from pipelines.store import Stored, shards
from pipelines.supposed import SupposingPart, with_supposed
from schemas.engines import Engine
from schemas.rules import AskRule
from schemas.tables import SAMPLES
from schemas.verdicts import Jury, ReplyJudge


@dataclass
class Planning:
    """A plan being made: the run it is of, with its ledger only read, and the stages told so far."""

    run: Run
    ledger: Reading
    scratch: Path
    engines: dict[str, Silent] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    exact: bool = True  # whether the rows are known: no stage before had to be guessed

    def engine(self, name: str) -> Silent:
        """Give what stands for the recipe's engine of that name."""
        if name not in self.engines:
            part = self.run.recipe.engines[name]
            self.engines[name] = Silent(Model(part, self.run.engine(name), self.ledger, self.run.out))
        return self.engines[name]

    def begin(self, stage: str) -> None:
        """Count for this stage from now on."""
        self.ledger.counts["found"] = 0
        self.ledger.stage.append(stage)
        for engine in self.engines.values():
            engine.stage = stage

    def end(self, stage: str, rows: int, held: int | None = None) -> None:
        """Tell of a stage what was counted since `begin`; `held` of the answers are in the ledger, or all found."""
        every = [(engine, engine.tallies.get(stage)) for engine in self.engines.values()]
        asked = [(engine, tally) for engine, tally in every if tally and tally.requests]
        models = [_forecast(engine.known, tally) for engine, tally in asked]
        missing = sum(tally.requests for _, tally in asked)
        held = self.ledger.counts["found"] if held is None else held
        keys = ("prompt_tokens", "reply_tokens", "seconds", "cost")
        self.told.append(
            {
                "stage": stage,
                "rows": rows,
                "rows_exact": self.exact,
                "requests": missing + held,
                "held": held,
                "to_ask": missing,
                **{key: _sum([model[key] for model in models]) for key in keys},
                "models": models,
            }
        )
        self.exact = self.exact and not missing


def _sum(values: Sequence[float | None]) -> float | None:
    return None if None in values else sum(value for value in values if value is not None)


def _forecast(model: Model, tally: Tally) -> dict[str, Any]:
    tokens_in = model.tokens_in(tally.sample) * tally.requests
    seen = model.tokens_out(tally.sample[0].sampling.max_tokens)[1]
    return {
        "model": model.engine.model,
        "to_ask": tally.requests,
        "prompt_tokens": round(tokens_in),
        "prompt_tokens_by": "tokenizer" if model.tokenizer else "estimate",
        "reply_tokens": round(tally.reply_tokens),
        "reply_tokens_by": "ledger" if seen else "upper bound",
        "seconds": model.seconds(tally.requests, tally.reply_tokens),
        "cost": model.price.of(round(tokens_in), round(tally.reply_tokens)) if model.price else None,
    }


def plan(recipe: Recipe, out: Path, progress: Progress) -> dict[str, Any]:
    """Tell stage by stage the rows and requests of a run, what the ledger holds, and tokens, time and cost of the rest.

    Sources are read and rules measured, as in a run; those that compare vectors are left out where they need a model.
    """
    with opened(recipe, out, progress) as run, TemporaryDirectory(dir=out, prefix=".plan-") as scratch:
        ledger = Reading(run.ledger.engine, recipe.name)
        planning = Planning(run, ledger, Path(scratch))
        progress.say("ingest")
        ingested = ingest(run.store, recipe.sources)
        benchmarks = {name: ingest(run.store, [one], "benchmark") for name, one in recipe.benchmarks.items()}
        planning.end("ingest", ingested.facts["rows"])
        samples = edit(run.store, ingested, recipe.edits) if recipe.edits else ingested
        curated = _grown_and_curated(planning, samples, list(benchmarks.values()))
        _generate_and_score(planning, curated)
        _evaluate(planning, benchmarks)
        return _whole(planning)


def _whole(planning: Planning) -> dict[str, Any]:
    keys = ("requests", "held", "to_ask", "prompt_tokens", "reply_tokens", "seconds", "cost")
    built = [(part.use, part.build()) for part in planning.run.recipe.judges]
    every = [(use, one) for use, judge in built for one in (judge.judges if isinstance(judge, Jury) else (judge,))]
    judges = [(use, judge) for use, judge in every if isinstance(judge, ReplyJudge)]
    return {
        "name": planning.run.recipe.name,
        "in_rounds": [use for use, judge in judges if judge.suppose is None],
        "supposed": [use for use, judge in judges if judge.suppose is not None],
        "new_prompts": sum(part.count for part in planning.run.recipe.prompts),
        "later_rounds": _later_rounds(planning),
        "stages": planning.told,
        **{key: _sum([stage[key] for stage in planning.told]) for key in keys},
    }


def _later_rounds(planning: Planning) -> dict[str, int] | None:
    """Give how many rounds of a loop may follow the first, and what each asks of the policy that it finds."""
    loop = planning.run.recipe.loop
    if loop is None:
        return None
    again = [
        one["requests"] for one in planning.told if one["stage"].startswith(("generate", "score", "evaluate after"))
    ]
    return {"most": loop.rounds - 1, "requests": sum(again)}


def _grown_and_curated(planning: Planning, samples: Stored, benchmarks: list[Stored]) -> Stored:
    parts = planning.run.recipe.prompts
    if not parts:
        return _curate(planning, "curate", samples, benchmarks)
    starts = any(part.build().parents for part in parts)
    seeds = _curate(planning, SEEDS, samples, benchmarks) if starts else None
    grown = _grow(planning, samples, seeds)
    return with_supposed(planning.scratch, grown, _curate(planning, "curate", grown, benchmarks))


def _grow(planning: Planning, samples: Stored, seeds: Stored | None) -> Stored:
    """Count what each way to new prompts asks; each has an engine of its own, that the answers be told apart."""
    run = planning.run
    named = {f"grow {name}": part for name, part in zip(names(run.recipe.prompts), run.recipe.prompts, strict=True)}
    planning.begin("grow")
    engines: dict[str, Silent] = {}
    for stage, part in named.items():
        if part.engine:
            known = planning.engine(part.engine).known
            engines[stage] = planning.engines[stage] = Silent(known, stage=stage, drafts=part.build().drafts)
    run.progress.say("grow")
    grown = grow(
        planning.scratch,
        samples,
        seeds,
        [part.model_copy(update={"engine": part.engine and stage}) for stage, part in named.items()],
        seed=run.recipe.seed,
        engines=engines,
        ledger=planning.ledger,
        progress=run.counter("  new prompts"),
    )
    for stage, told in zip(named, grown.facts["methods"], strict=True):
        planning.exact = planning.exact and not told["asked"]
        planning.end(stage, told["new"], told["from_ledger"])
    return grown


def _curate(planning: Planning, stage: str, samples: Stored, benchmarks: list[Stored]) -> Stored:
    run = planning.run
    run.progress.say(stage)
    parts = [part for part in run.recipe.filters if not part.engine or isinstance(part.build(), AskRule)]
    engines = {part.engine: planning.engine(part.engine) for part in parts if part.engine}
    planning.begin(stage)
    store = planning.scratch if engines or run.recipe.prompts else run.store
    curated = curate(store, samples, benchmarks, parts, engines=engines, ledger=planning.ledger, say=run.progress.say)
    planning.end(stage, sum(shard.height for shard in shards(samples, "samples", SAMPLES, ("id",))))
    planning.exact = planning.exact and len(parts) == len(run.recipe.filters)
    return curated


def _generate_and_score(planning: Planning, curated: Stored) -> None:
    run, section = planning.run, planning.run.recipe.generate
    engine = generator_of(section, planning.engine) if section else None
    run.progress.say("generate")
    planning.begin("generate")
    generated = generate(
        planning.scratch,
        curated,
        section,
        seed=run.recipe.seed,
        engine=engine,
        ledger=planning.ledger,
        progress=run.counter("  candidates"),
    )
    planning.end("generate", curated.facts["kept"])
    for part in run.recipe.judges:
        if part.asks:  # one without asks nothing
            engines: dict[str, Engine] = {name: planning.engine(name) for name in part.asks}
            run.progress.say(f"score {part.use}")
            planning.begin(f"score {part.use}")
            score(
                planning.scratch,
                curated,
                generated,
                [SupposingPart(**part.model_dump())],
                engines=engines,
                ledger=planning.ledger,
                progress=run.counter("  verdicts"),
            )
            planning.end(f"score {part.use}", generated.facts["candidates"])


def _evaluate(planning: Planning, benchmarks: dict[str, Stored]) -> None:
    """Count the answers to the benchmark's tasks; after training it is another model, which the ledger doesn't know."""
    recipe = planning.run.recipe
    section, made_by = recipe.evaluate, recipe.generate
    if section is None or made_by is None or made_by.engine is None:
        return
    engine = planning.engine(made_by.engine)
    sweep = Sweep((section.temperature,), max_tokens=section.max_tokens, seed=recipe.seed)
    tasks = shards(benchmarks[section.benchmark], "samples", SAMPLES)
    rows = sum(shard.height for shard in tasks)
    planning.exact = True
    for when in ["before", *(["after"] if recipe.train else [])]:
        planning.begin(f"evaluate {when}")
        for _row, asked in asked_of(tasks, Draws(engine, section.samples, sweep, made_by.system)):
            known = planning.ledger.find([one.key for one in asked]) if when == "before" else {}
            list(engine(one for one in asked if one.key not in known))
        planning.end(f"evaluate {when}", rows)
        planning.exact = True
