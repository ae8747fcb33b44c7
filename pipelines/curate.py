"""The second stage: edit what the recipe says, measure every rule on every sample, then split kept from dropped.

A measurement is stored apart from its bounds: changing a bound measures nothing again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from filters import split
from filters.split import VALUES, AnyRule
from filters.texts import Part as TextPart
from generators.ledger import Ledger
from pipelines.measure import Measuring, embedded, measure_all
from pipelines.recipe import numbered
from pipelines.sections import FilterPart, Part
from pipelines.store import Stored, Writer, once, opened, read_table, shards, write_table
from pipelines.versions import code_version, part_version
from schemas.rules import MATCHES, UNCHECKED, MatchRule, PickRule, VectorRule
from schemas.tables import DROPPED, EDITS, SAMPLES, check

ORDERS = pl.Schema([("rule", pl.String), *VALUES.items()])
RULE_UNCHECKED = pl.Schema([("rule", pl.String), *UNCHECKED.items()])


def edit(store: Path, ingested: Stored, parts: Sequence[Part]) -> Stored:
    """Change the samples as the recipe's edits say, one after the other: the tables `samples` and `edits`.

    A sample keeps its id; `edits` tells what was changed how often, never what stood there.
    """
    question = {
        "samples": ingested.key,
        "edits": [part.model_dump() for part in parts],
        "code": part_version(*(part.use.partition(":")[0] for part in parts), __name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        steps = [(part.use, part.build()) for part in parts]
        counts: Counter[str] = Counter()
        with Writer(folder, "samples", SAMPLES) as samples, Writer(folder, "edits", EDITS) as edits:
            for shard in shards(ingested, "samples", SAMPLES):
                changed = shard
                for use, step in steps:
                    changed, told = step(changed)
                    edits.write(told.with_columns(use=pl.lit(use)).select(*EDITS).cast(EDITS))
                    counts.update(dict(told.group_by("kind").agg(pl.col("count").sum()).iter_rows()))
                samples.write(check(changed, SAMPLES, "samples"))
        return {"edits": dict(sorted(counts.items())), "edited": edits.rows}

    return once(store, "edit", question, build)


def curate(
    store: Path,
    ingested: Stored,
    benchmarks: Sequence[Stored],
    parts: Sequence[FilterPart],
    *,
    engines: Mapping[str, Any],
    ledger: Ledger,
    say: Callable[[str], None],
) -> Stored:
    """Split the samples into the tables `kept` and `dropped`; the facts tell each rule's counts and bounds."""
    rules: dict[str, AnyRule] = {name: part.build() for name, part in zip(names(parts), parts, strict=True)}
    where = Measuring(store, ingested, benchmarks, engines, ledger, say)
    measured = measure_all(where, parts, rules)
    picks = {name: part for (name, rule), part in zip(rules.items(), parts, strict=True) if isinstance(rule, PickRule)}
    question = {
        "samples": ingested.key,
        "measured": {name: stored.key for name, stored in measured.items()},
        "picks": {name: where.question(part, rules[name]) for name, part in picks.items()},
        "bounds": {name: bounds(rule) for name, rule in rules.items()},
        "code": code_version("filters.split", __name__),
    }

    def build(folder: Path) -> dict[str, Any]:
        values = {name: read_table(stored, "values", _schema(rules[name])) for name, stored in measured.items()}
        vectors = {
            name: embedded(where, part, which)
            for name, part in picks.items()
            if (which := getattr(rules[name], "part", None)) is not None
        }
        rows = pl.concat([split.rows_of(shard) for shard in where.shards()])
        falls = split.fall(rows, rules, values, vectors)
        _write_orders(folder, falls.orders)
        _write_unchecked(folder, measured)
        return {
            **_write_split(where, folder, falls.first),
            "rules": _counts(rules, falls.first, measured),
            "measured": {name: stored.key for name, stored in measured.items()},
            **_paid(measured),
            "seconds_measuring": round(sum(stored.seconds for stored in measured.values()), 3),
        }

    return once(store, "curate", question, build)


def _write_split(where: Measuring, folder: Path, first: pl.DataFrame) -> dict[str, int]:
    with Writer(folder, "kept", SAMPLES) as kept, Writer(folder, "dropped", DROPPED) as dropped:
        for shard in where.shards():
            stay, fall = split.tables(shard, first)
            kept.write(stay)
            dropped.write(fall)
    return {"kept": kept.rows, "dropped": dropped.rows}


def _write_orders(folder: Path, orders: Mapping[str, pl.DataFrame]) -> None:
    with Writer(folder, "orders", ORDERS) as table:
        for name, values in orders.items():
            table.write(values.with_columns(rule=pl.lit(name)).select(*ORDERS))


def _write_unchecked(folder: Path, measured: Mapping[str, Stored]) -> None:
    """Write which of the benchmarks' rows a rule can't look for as it does for others."""
    told = [
        shard.select(pl.lit(name).alias("rule"), pl.all())
        for name, stored in measured.items()
        if stored.facts.get("unchecked")
        for shard in shards(stored, "unchecked", UNCHECKED)
    ]
    write_table(folder, "unchecked", pl.concat([pl.DataFrame(schema=RULE_UNCHECKED), *told]), RULE_UNCHECKED)


def _paid(measured: Mapping[str, Stored]) -> dict[str, int]:
    """Give what the rules that ask an engine have asked, together; what was measured before asked nothing."""
    asking = [stored for stored in measured.values() if "asked" in stored.facts]
    if not asking:
        return {}
    keys = ("failed", "not_asked", "prompt_tokens", "reply_tokens")
    asked = sum(one.facts["asked"] for one in asking if not one.reused)
    every = sum(one.facts["asked"] + one.facts["from_ledger"] for one in asking)
    return {
        "asked": asked,
        "from_ledger": every - asked,
        **{key: sum(one.facts.get(key, 0) for one in asking) for key in keys},
    }


def values_of(curated: Stored) -> dict[str, pl.DataFrame]:
    """Give by rule's name `VALUES`, or `MATCHES`, of a finished curation."""
    return {name: pl.concat(values) for name, values in values_by_shard(curated).items()}


def values_by_shard(curated: Stored) -> dict[str, Iterator[pl.DataFrame]]:
    """Give by rule's name what it measured, a shard at a time."""
    found: dict[str, Iterator[pl.DataFrame]] = {}
    for rule in curated.facts["rules"]:
        name, kind = rule["rule"], rule["kind"]
        if kind == "pick":
            found[name] = _orders_of(curated, name)
        else:
            stored = opened(curated.folder.parent / curated.facts["measured"][name], reused=True)
            found[name] = iter(shards(stored, "values", MATCHES if kind == "match" else VALUES))
    return found


def _orders_of(curated: Stored, rule: str) -> Iterator[pl.DataFrame]:
    for shard in shards(curated, "orders", ORDERS):
        yield shard.filter(pl.col("rule") == rule).select(*VALUES)


def write_kept_index(folder: Path, to: Path, parts: Sequence[TextPart] = ("prompt", "question")) -> int:
    """Write the index of the `parts` of the kept samples of the finished run in `folder`; gives the texts in it."""
    from filters.index import write_index

    summary = orjson.loads((folder / "summary.json").read_bytes())
    curated = opened(folder.resolve().parent / "stages" / summary["stages"]["curate"], reused=True)
    name = f"{summary['name']} {summary['version']}"
    return write_index(shards(curated, "kept", SAMPLES), to, name=name, parts=parts)


def names(parts: Sequence[Part]) -> list[str]:
    """Name each rule by its part; a part used again is numbered from the second on."""
    return numbered(part.use for part in parts)


def _schema(rule: AnyRule) -> pl.Schema:
    return MATCHES if isinstance(rule, MatchRule | VectorRule) else VALUES


def bounds(rule: AnyRule) -> list[Any]:
    """Give a rule's bounds: lowest and highest value kept, and for rules on matches which row of a cluster is kept."""
    if isinstance(rule, MatchRule | VectorRule):
        return [None, rule.threshold, rule.keep]
    return [None, rule.maximum] if isinstance(rule, PickRule) else [rule.minimum, rule.maximum]


def _kind(rule: AnyRule) -> str:
    return "match" if isinstance(rule, MatchRule | VectorRule) else "pick" if isinstance(rule, PickRule) else "bounds"


def _counts(
    rules: Mapping[str, AnyRule], dropped: pl.DataFrame, measured: Mapping[str, Stored]
) -> list[dict[str, Any]]:
    """Tell for each rule how many rows it was the first to drop, how many broke it at all, and what it can't check."""
    first = Counter(dropped["rule"])
    also = Counter(dropped["also"].explode().drop_nulls())
    return [
        {
            "rule": name,
            "kind": _kind(rule),
            "minimum": bounds(rule)[0],
            "maximum": bounds(rule)[1],
            "dropped": first[name],
            "broken": first[name] + also[name],
            **({"keep": rule.keep} if isinstance(rule, MatchRule | VectorRule) else {}),
            **({"unchecked": told} if name in measured and (told := measured[name].facts.get("unchecked")) else {}),
        }
        for name, rule in rules.items()
    ]
