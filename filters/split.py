"""The one function that splits kept from dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from filters.standing import beside
from schemas.rules import AskRule, MatchRule, PickRule, Rule, VectorRule
from schemas.tables import DROPPED, SAMPLES, check
from schemas.vectors import Vectors

AnyRule = Rule | AskRule | MatchRule | VectorRule | PickRule
Rules = Mapping[str, AnyRule]
Embedded = Mapping[str, tuple[Sequence[str], Vectors]]  # by rule's name: the ids, and in their order the vectors

VALUES = pl.Schema({"id": pl.String, "value": pl.Float64, "why": pl.String})
FALLS = pl.Schema(
    {
        "id": pl.String,
        "rule": pl.String,
        "measured": pl.Float64,
        "minimum": pl.Float64,
        "maximum": pl.Float64,
        "why": pl.String,
        "match": pl.String,
        "cluster": pl.String,
        "span": pl.String,
    }
)


@dataclass(frozen=True)
class Falls:
    """What the rules drop: `first` has a row a dropped sample, with the later rules it broke as `also`.

    `orders` holds `VALUES` of each `PickRule`, for the rows that came to it.
    """

    first: pl.DataFrame
    orders: dict[str, pl.DataFrame] = field(default_factory=dict)


def measure(samples: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """Give `VALUES`: the rule's measurement of every sample, as a float, null where it can't be measured."""
    by = rule.measure
    values = samples.select(value=by)["value"] if isinstance(by, pl.Expr) else by(samples)
    frame = samples.select("id").with_columns(values.alias("value"))
    if isinstance(values.dtype, pl.Struct):
        frame = frame.select("id", *(pl.col("value").struct.field(name) for name in ("value", "why")))
    else:
        frame = frame.with_columns(why=pl.lit(None))
    return frame.cast(VALUES).with_columns(pl.col("value").fill_nan(None))


def split(
    samples: pl.DataFrame, rules: Rules, measured: Mapping[str, pl.DataFrame], embedded: Embedded | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the samples that no rule drops, and the dropped with the first rule, in the rules' order, that each broke.

    Every sample is in exactly one of the two tables, in the samples' order. The arguments are `fall`'s.
    """
    return tables(samples, fall(rows_of(samples), rules, measured, embedded or {}).first)


def rows_of(samples: pl.DataFrame) -> pl.DataFrame:
    """Give what the split needs to know of samples: `id`, `source` and `characters` (of prompt and reply)."""
    prompt = pl.col("prompt").list.eval(pl.element().struct.field("content").str.len_chars()).list.sum()
    return samples.select("id", "source", characters=prompt + pl.col("reply").str.len_chars().fill_null(0))


def fall(rows: pl.DataFrame, rules: Rules, measured: Mapping[str, pl.DataFrame], embedded: Embedded) -> Falls:
    """Say which samples fall, by which rule.

    `rows` is what `rows_of` gives, of all samples in order. `measured` holds by rule's name `VALUES` for a `Rule` or
    `AskRule`, `MATCHES` for a `MatchRule` or `VectorRule`; `embedded` the vectors of a `PickRule`. Bounds come first;
    of rows that match each other the one stays that its rule's `keep` names, of those that no bound and no earlier
    match rule drops (`filters.standing`); a pick is made from what then lives, pick after pick.
    """
    falls = {name: _out_of_bounds(name, rule, measured[name]) for name, rule in rules.items() if _has_bounds(rule)}
    alive = rows.join(pl.concat([pl.DataFrame(schema=FALLS), *falls.values()]), on="id", how="anti")
    orders: dict[str, pl.DataFrame] = {}
    for name, rule in rules.items():
        if isinstance(rule, MatchRule | VectorRule):
            falls[name] = _matched(name, rule, measured, rows["id"], alive["id"])
            alive = alive.join(falls[name], on="id", how="anti", maintain_order="left")
    for name, rule in rules.items():
        if isinstance(rule, PickRule):
            order = rule.order(alive, _vectors(alive, embedded.get(name)))
            why = pl.col("why") if "why" in order.columns else pl.lit(None, pl.String)
            orders[name] = order.select("id", pl.col("value").cast(pl.Float64), why=why)
            falls[name] = _out_of_bounds(name, Rule(pl.lit(0), None, rule.maximum), orders[name])
            alive = alive.join(falls[name], on="id", how="anti", maintain_order="left")
    return Falls(_first([falls[name] for name in rules]), orders)


def _has_bounds(rule: AnyRule) -> bool:
    return isinstance(rule, Rule | AskRule)


def _vectors(alive: pl.DataFrame, embedded: tuple[Sequence[str], Vectors] | None) -> Vectors | None:
    if embedded is None:
        return None
    ids, vectors = embedded
    place = {row: at for at, row in enumerate(ids)}
    return vectors[[place[row] for row in alive["id"]]]


def _out_of_bounds(name: str, rule: AnyRule, values: pl.DataFrame) -> pl.DataFrame:
    assert isinstance(rule, Rule | AskRule)  # noqa: S101 - for mypy: the callers' own condition
    low, high = (pl.lit(bound, pl.Float64) for bound in (rule.minimum, rule.maximum))
    below, above = pl.col("value") < low, pl.col("value") > high
    bound = (
        pl.when(below)
        .then(pl.format("{} is below the minimum of {}", pl.col("value").round(4), low))
        .otherwise(pl.format("{} is above the maximum of {}", pl.col("value").round(4), high))
    )
    # In one piece, because polars 2.1 panics where it formats a column of several pieces, some of them empty.
    return (
        values.filter(below.fill_null(value=False) | above.fill_null(value=False))
        .rechunk()
        .select(
            "id",
            rule=pl.lit(name),
            measured=pl.col("value"),
            minimum=low,
            maximum=high,
            why=pl.coalesce("why", bound),
            match=pl.lit(None, pl.String),
            cluster=pl.lit(None, pl.String),
            span=pl.lit(None, pl.String),
        )
    )


def _matched(
    name: str, rule: MatchRule | VectorRule, measured: Mapping[str, pl.DataFrame], order: pl.Series, alive: pl.Series
) -> pl.DataFrame:
    """Give the rows that fall because a row they hang together with stays, or because none may."""
    counted = measured[name].filter(pl.col("measured") >= rule.threshold)
    living = pl.col("id").is_in(alive.implode()) & pl.lit(value=rule.keep != "none")
    members = preferred(counted, rule.keep, measured, order).with_columns(may_stay=pl.col("outside") | living)
    found = beside(counted, members.sort(~pl.col("may_stay"), maintain_order=True))
    told = counted.select("measured", "span", one="id", two="other").with_row_index("pair")
    inside = (
        found.join(members.select("id", "place"), on="id")
        .drop_nulls("place")
        .sort("place")
        .with_columns(head=pl.col("id").first().over("cluster"))
        .join(told.cast({"pair": pl.Int64}), on="pair", how="left", maintain_order="left")
        .with_columns(nearest=pl.when(pl.col("one") == pl.col("id")).then("two").otherwise("one"))
    )
    falls = inside.filter(~pl.col("stays") & (pl.col("match").is_not_null() | pl.lit(value=rule.keep == "none")))
    match = pl.coalesce("match", "nearest")
    apart = pl.col("hangs") & (pl.col("nearest") != match)
    hangs = pl.format("matches {}, and hangs together with {}", "nearest", match)
    return falls.rechunk().select(
        "id",
        rule=pl.lit(name),
        measured=pl.col("measured"),
        minimum=pl.lit(None, pl.Float64),
        maximum=pl.lit(rule.threshold),
        why=pl.when(apart).then(hangs).otherwise(pl.format("matches {}", match)),
        match=match,
        cluster=pl.col("head"),
        span=pl.col("span"),
    )


def preferred(counted: pl.DataFrame, keep: str, measured: Mapping[str, pl.DataFrame], order: pl.Series) -> pl.DataFrame:
    """Give each `id` of the pairs that count with its `place` in the order of the samples, what `keep` prefers first.

    Rows that are no samples are `outside`, have no place, and come before all others. Where a measure is preferred,
    rows of the same go by their ids, which no order of files or shards changes.
    """
    ids = pl.concat([counted["id"], counted["other"]]).unique().to_frame()
    places = order.alias("id").to_frame().with_row_index("place")
    members = ids.join(places, on="id", how="left").join(_preference(keep, measured), on="id", how="left")
    return members.with_columns(outside=pl.col("place").is_null()).sort(
        pl.col("outside").not_(),
        pl.col("best").fill_null(float("inf")),
        *(("place", "id") if keep in {"first", "none"} else ("id",)),
    )


def _preference(keep: str, measured: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Give what puts a row before others in its cluster, the lowest `best` first; unmeasured rows are null."""
    which, _, name = keep.partition(" ")
    if which in {"first", "none"}:
        return pl.DataFrame(schema={"id": pl.String, "best": pl.Float64})
    return measured[name].select("id", best=(-1.0 if which == "highest" else 1.0) * pl.col("value"))


def _first(falls: list[pl.DataFrame]) -> pl.DataFrame:
    every = pl.concat([pl.DataFrame(schema=FALLS), *(fall.cast(FALLS) for fall in falls)])
    return every.group_by("id", maintain_order=True).agg(
        pl.all().exclude("rule").first(), rule=pl.first("rule"), also=pl.col("rule").slice(1)
    )


def tables(samples: pl.DataFrame, first: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give the kept and the dropped of a shard of samples; `first` is `Falls.first`."""
    dropped = samples.join(first, on="id", how="inner", maintain_order="left").select(*DROPPED)
    kept = samples.join(first, on="id", how="anti", maintain_order="left")
    return check(kept, SAMPLES, "kept"), check(dropped, DROPPED, "dropped")
