"""The one function that splits kept from dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from schemas.rules import AskRule, MatchRule, PickRule, Rule, VectorRule, Vectors
from schemas.tables import DROPPED, SAMPLES, check

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
    return frame.cast(VALUES)


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
    match rule drops; a pick is made from what then lives, pick after pick.
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
            orders[name] = order.select("id", pl.col("value").cast(pl.Float64), why=pl.lit(None, pl.String))
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
    places = order.alias("id").to_frame().with_row_index("place")
    members = (
        clusters(counted)
        .join(places, on="id", how="left", maintain_order="left")
        .join(_preference(rule.keep, measured), on="id", how="left", maintain_order="left")
        .with_columns(outside=pl.col("place").is_null(), living=pl.col("id").is_in(alive.implode()))
        .sort("cluster", pl.col("outside").not_(), pl.col("best").fill_null(float("inf")), "place", "id")
    )
    may_stay = pl.col("outside") if rule.keep == "none" else pl.col("outside") | pl.col("living")
    stays = members.filter(may_stay).group_by("cluster").agg(match=pl.col("id").first())
    heads = members.sort("place").filter(~pl.col("outside")).group_by("cluster").agg(head=pl.col("id").first())
    inside = members.filter(~pl.col("outside")).join(stays, on="cluster", how="left").join(heads, on="cluster")
    falls = (
        pl.lit(value=True) if rule.keep == "none" else pl.col("match").is_not_null() & (pl.col("match") != pl.col("id"))
    )
    table = inside.filter(falls).sort("place").select("id", "match", cluster="head")
    joined = table.join(_nearest(counted), on="id", how="left", maintain_order="left")
    match = pl.coalesce("match", "nearest")
    hangs = pl.format("matches {}, and hangs together with {}", "nearest", match)
    return joined.rechunk().select(
        "id",
        rule=pl.lit(name),
        measured=pl.col("measured"),
        minimum=pl.lit(None, pl.Float64),
        maximum=pl.lit(rule.threshold),
        why=pl.when(pl.col("nearest") == match).then(pl.format("matches {}", match)).otherwise(hangs),
        match=match,
        cluster=pl.col("cluster"),
        span=pl.col("span"),
    )


def _nearest(counted: pl.DataFrame) -> pl.DataFrame:
    """Give for each row of the pairs the one it is most like."""
    best = counted.sort("measured", descending=True, maintain_order=True)
    there = best.select("id", "measured", "span", nearest="other")
    back = best.select("measured", "span", id="other", nearest="id").select(there.columns)
    return pl.concat([there, back]).unique("id", keep="first", maintain_order=True)


def _preference(keep: str, measured: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Give what puts a row before others in its cluster, the lowest `best` first; unmeasured rows are null."""
    which, _, name = keep.partition(" ")
    if which in {"first", "none"}:
        return pl.DataFrame(schema={"id": pl.String, "best": pl.Float64})
    return measured[name].select("id", best=(-1.0 if which == "highest" else 1.0) * pl.col("value"))


def clusters(pairs: pl.DataFrame) -> pl.DataFrame:
    """Give each `id` of the pairs (`id`, `other`) with its `cluster`, a number: what hangs together has the same."""
    names = pl.concat([pairs["id"], pairs["other"]]).unique(maintain_order=True)
    number = dict(zip(names, range(names.len()), strict=True))
    parent = list(range(names.len()))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = row = parent[parent[row]]
        return row

    for a, b in pairs.select("id", "other").iter_rows():
        parent[root(number[a])] = root(number[b])
    roots = [root(row) for row in parent]
    return pl.DataFrame({"id": names, "cluster": roots}, schema={"id": pl.String, "cluster": pl.Int64})


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
