"""What the rules measure: each rule's values stored apart from its bounds, so that another bound measures nothing."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from filters import split
from filters.split import VALUES, AnyRule
from filters.texts import Part as TextPart
from filters.texts import text
from generators.asking import ask
from generators.ledger import Ledger
from pipelines.sections import FilterPart
from pipelines.store import Stored, once, sha256, shards, stored_as, write_table
from pipelines.versions import part_version
from schemas.chats import Chat
from schemas.engines import Embedder, Engine, Request, Sampling
from schemas.errors import GristmillError, RecipeError
from schemas.rules import MATCHES, UNCHECKED, AskRule, MatchRule, PickRule, Question, Rule, VectorRule
from schemas.tables import SAMPLES, Sample
from schemas.vectors import Vectors

BOUNDS = {"minimum", "maximum", "threshold", "keep"}  # by these names a part's arguments are bounds, not measurement
PROBE: Sample = {  # a rule's questions about this row stand for its prompt's text
    "id": "",
    "prompt": [{"role": "user", "content": "?"}],
    "reply": "!",
    "reference": None,
    "check": None,
    "replies": None,
}


@dataclass(frozen=True)
class Measuring:
    """Where the rules measure: the samples and benchmarks, the store, and the engines that some rules ask."""

    store: Path
    samples: Stored
    benchmarks: Sequence[Stored]
    engines: Mapping[str, Any]
    ledger: Ledger
    say: Callable[[str], None]

    def shards(self) -> Iterator[pl.DataFrame]:
        """Give the samples a shard at a time."""
        yield from shards(self.samples, "samples", SAMPLES)

    def question(self, part: FilterPart, rule: AnyRule) -> dict[str, Any]:
        """Give everything that what a rule measures depends on."""
        engine = self.engines[part.engine] if part.engine else None
        return {
            "samples": self.samples.key,
            "benchmarks": [one.key for one in self.benchmarks] if isinstance(rule, MatchRule) else [],
            "use": part.use,
            "arguments": {key: value for key, value in part.arguments.items() if key not in BOUNDS},
            "model": [engine.model, engine.revision] if engine else None,
            "asks": [vars(one) for one in rule.ask(PROBE)] if isinstance(rule, AskRule) else None,
            "files": [sha256(Path(file)) for file in rule.files] if isinstance(rule, Rule | MatchRule) else [],
            "code": part_version(part.use.partition(":")[0], "filters.texts", "schemas.rules", __name__),
        }

    def facts(self, part: FilterPart, rows: int) -> dict[str, Any]:
        """Give what a measurement's manifest tells."""
        return {"use": part.use, "rows": rows}


def measure_all(where: Measuring, parts: Sequence[FilterPart], rules: Mapping[str, AnyRule]) -> dict[str, Stored]:
    """Give by rule's name its stored values or matches; what was measured before is not measured again.

    The rules on single rows are measured together, in one pass over the shards: 8 bytes a row and rule are held.
    """
    named = dict(zip(rules, parts, strict=True))
    single = {name: rule for name, rule in rules.items() if isinstance(rule, Rule)}
    made = _measure_rows(where, {name: named[name] for name in single}, single)
    for name, rule in rules.items():
        if not isinstance(rule, Rule | PickRule):
            made[name] = _measure_corpus(where, name, named[name], rule)
    return made


def _measure_rows(where: Measuring, parts: Mapping[str, FilterPart], rules: Mapping[str, Rule]) -> dict[str, Stored]:
    questions = {name: where.question(parts[name], rule) for name, rule in rules.items()}
    made = {name: stored_as(where.store, "measure", question) for name, question in questions.items()}
    missing = {name: rule for name, rule in rules.items() if made[name] is None}
    values: dict[str, list[pl.DataFrame]] = {name: [] for name in missing}
    for name in missing:
        where.say(f"  measure {name}")
    for shard in where.shards() if missing else ():
        for name, frame in _measured(shard, missing).items():
            values[name].append(frame)
    for name in missing:

        def build(folder: Path, name: str = name) -> dict[str, Any]:
            return where.facts(parts[name], write_table(folder, "values", pl.concat(values.pop(name)), VALUES))

        made[name] = once(where.store, "measure", questions[name], build)
    return cast("dict[str, Stored]", made)


def _measured(shard: pl.DataFrame, rules: Mapping[str, Rule]) -> dict[str, pl.DataFrame]:
    """Measure a shard by every rule; expressions go together, so that what they share is computed once."""
    plain = {str(at): rule for at, rule in enumerate(rules.values()) if isinstance(rule.measure, pl.Expr)}
    try:
        frame = shard.lazy().select("id", **{at: cast("pl.Expr", rule.measure) for at, rule in plain.items()}).collect()
    except pl.exceptions.PolarsError:  # of some rule: alone it tells which
        return {name: _measured_alone(shard, name, rule) for name, rule in rules.items()}
    made = {}
    for at, (name, rule) in enumerate(rules.items()):
        if str(at) in plain:
            made[name] = _measured_alone(frame, name, Rule(pl.col(str(at))))
        else:
            made[name] = _measured_alone(shard, name, rule)
    return made


def _measured_alone(shard: pl.DataFrame, name: str, rule: Rule) -> pl.DataFrame:
    """Measure a shard by one rule; raises `GristmillError` for what is no measure of each row."""
    try:
        return split.measure(shard, rule)
    except pl.exceptions.PolarsError as error:
        said = str(error).splitlines()[0]
        raise GristmillError(
            f"the rule {name} measures nothing: {said}. Expected is a number, a boolean or null for each of the "
            f"{shard.height:,} rows, of the columns {', '.join(SAMPLES)}"
        ) from error


def _measure_corpus(where: Measuring, name: str, part: FilterPart, rule: AnyRule) -> Stored:
    def build(folder: Path) -> dict[str, Any]:
        where.say(f"  measure {name}")
        more: dict[str, Any] = {}
        if isinstance(rule, AskRule):
            values, paid = _asked(where, part, rule)
            return where.facts(part, write_table(folder, "values", values, VALUES)) | paid
        if isinstance(rule, VectorRule):
            ids, vectors = embedded(where, part, rule.part)
            matches = rule.match(ids, vectors)
        else:
            outside = [frame for one in where.benchmarks for frame in shards(one, "samples", SAMPLES)]
            matches = cast("MatchRule", rule).match(shards(where.samples, "samples", SAMPLES), outside)
            unchecked = cast("MatchRule", rule).unchecked
            if unchecked and outside:
                told = unchecked(outside)
                write_table(folder, "unchecked", told, UNCHECKED)
                counts = dict(told["checked"].value_counts().sort("checked").iter_rows())
                more = {"unchecked": {"questions": sum(frame.height for frame in outside), **counts}}
        rows = write_table(folder, "values", matches.select(*MATCHES).cast(MATCHES), MATCHES)
        return where.facts(part, rows) | more

    return once(where.store, "measure", where.question(part, rule), build)


def _asked(where: Measuring, part: FilterPart, rule: AskRule) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Ask an engine about every sample, a shard at a time, and read the values."""
    engine: Engine = where.engines[_engine(part)]
    paid: Counter[str] = Counter()
    values: list[pl.DataFrame] = []
    for shard in where.shards():
        samples = shard.select(*Sample.__annotations__).to_dicts()
        questions = [rule.ask(cast("Sample", sample)) for sample in samples]
        requests = [request(one, engine) for asked in questions for one in asked]
        answers = ask(requests, engine, where.ledger)
        replies = iter(answers.replies)
        found = [[next(replies) for _ in asked] for asked in questions]
        read = [rule.read(said) if said and not any(one.error for one in said) else None for said in found]
        why = [next((one.error for one in said if one.error), None) for said in found]
        values.append(
            shard.select("id").with_columns(
                value=pl.Series(read, dtype=pl.Float64), why=pl.Series(why, dtype=pl.String)
            )
        )
        paid.update(answers.counts())
    return pl.concat([pl.DataFrame(schema=VALUES), *values]), dict(paid)


def request(question: Question, engine: Engine) -> Request:
    """Give the request of a question: greedy."""
    chat: Chat = [{"role": turn["role"], "content": turn["content"]} for turn in question.chat]
    sampling = Sampling(0.0, max_tokens=question.max_tokens, choices=question.choices)
    return Request(chat, sampling, engine.model, engine.revision, continuation=question.continuation)


def _engine(part: FilterPart) -> str:
    if part.engine is None:
        raise RecipeError("filters", [f"{part.use} asks an engine: give it `engine`, the name of one of [engines]"])
    return part.engine


def embedded(where: Measuring, part: FilterPart, which: str) -> tuple[list[str], Vectors]:
    """Give the ids of the samples that have the text, and its vectors: stored, so that they are made once a model."""
    embedder: Embedder = where.engines[_engine(part)]
    question = {
        "samples": where.samples.key,
        "part": which,
        "model": [embedder.model, embedder.revision],
        "code": part_version("filters.texts", __name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        rows = [shard.select("id", text=text(cast("TextPart", which)).fill_null("")) for shard in where.shards()]
        table = pl.concat(rows)
        where.say(f"  embed {table.height:,} texts")
        vectors = embedder(table["text"].to_list()) if table.height else np.zeros((0, 1), np.float32)
        table["id"].to_frame().write_parquet(folder / "ids.parquet")
        np.save(folder / "vectors.npy", vectors.astype(np.float32))
        return {"rows": table.height}

    made = once(where.store, "embed", question, build)
    ids = pl.read_parquet(made.folder / "ids.parquet")["id"].to_list()
    return ids, np.load(made.folder / "vectors.npy")
