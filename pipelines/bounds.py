"""What other bounds would keep, from the measures that a finished run stored: nothing is measured again."""

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from math import ceil, floor
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from filters.split import fall
from pipelines.bins import histogram, is_whole
from pipelines.bounds_examples import nearest_pairs, nearest_rows, with_texts
from pipelines.curate import values_by_shard
from pipelines.finished import stages_of
from pipelines.store import opened, shards
from schemas.errors import GristmillError
from schemas.parts import nearest
from schemas.rules import MatchRule
from schemas.tables import SAMPLES

QUANTILES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
OPEN = {"minimum": (0.01, 0.05, 0.25, 0.5), "maximum": (0.5, 0.75, 0.95, 0.99)}  # where a rule has another bound alone
FREE = {"minimum": (0.001, 0.01, 0.05, 0.1, 0.25, 0.5), "maximum": (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)}  # without any
FEW = 6  # different values: each is a bound worth a look
DIGITS = {"minimum": Context(4, ROUND_FLOOR), "maximum": Context(4, ROUND_CEILING)}  # so that the value itself is kept
STEPS = (1, 2, 5, 10, 20)  # hundredths between thresholds
THRESHOLDS = 7  # at most, and the recipe's own

Told = dict[str, Any]


def explore(folder: Path, only: str | None = None) -> list[Told]:
    """Give for each rule of the finished run in `folder` its histogram, what other bounds keep, and examples.

    `only` names one rule. What a bound keeps or loses is counted by that rule alone, over all samples that came to it:
    kept is what the run would keep, also what can't be measured. Examples are the samples, or pairs, nearest to the
    bound on either side; of a rule without a bound the lowest and the highest. Raises `GristmillError` for a rule that
    the run does not have, `StoreError` where the run's stages are gone.
    """
    summary = orjson.loads((folder / "summary.json").read_bytes())
    stages, keys = stages_of(folder), summary["stages"]
    curated = opened(stages / keys["curate"], reused=True)
    came = opened(stages / next(keys[name] for name in ("grow", "edit", "ingest") if name in keys), reused=True)
    rules = {rule["rule"]: rule for rule in summary["rules"]}
    if only is not None and only not in rules:
        raise GristmillError(f"the run {folder} has no rule {only!r}{nearest(only, rules)}")
    wanted = {name: rule for name, rule in rules.items() if only in {None, name}}
    named = {rule["keep"].partition(" ")[2] for rule in wanted.values() if "keep" in rule}
    measured = {name: pl.concat(one) for name, one in values_by_shard(curated).items() if name in {*wanted, *named}}
    ids = pl.concat(shards(came, "samples", SAMPLES, ("id",)))
    explored = [
        _matches(rule, measured, ids) if rule["kind"] == "match" else _values(rule, measured[name])
        for name, rule in wanted.items()
    ]
    return with_texts(explored, curated, came)


def _about(rule: Told) -> Told:
    return {key: rule[key] for key in ("rule", "kind", "minimum", "maximum", "dropped", "broken")}


def _values(rule: Told, measured: pl.DataFrame) -> Told:
    rows = measured.with_columns(pl.col("value").fill_nan(None))
    values = rows["value"]
    finite = values.filter(values.is_finite())
    sides = ("maximum",) if rule["kind"] == "pick" else ("minimum", "maximum")
    return {
        **_about(rule),
        "samples": rows.height,
        **_known(rule, values, finite),
        "histogram": histogram(finite),
        **{f"other_{side}": _others(rule, side, values, finite) if side in sides else [] for side in DIGITS},
        "examples": nearest_rows(rows.drop_nulls("value"), rule["minimum"], rule["maximum"]),
    }


def _known(rule: Told, values: pl.Series, finite: pl.Series) -> Told:
    """Count what was measured, and what was not: it is kept, but for a pick, which never takes it."""
    if rule["kind"] == "pick":
        return {"measured": len(finite), "never_picked": len(values) - len(finite)}
    return {"measured": values.count(), "not_measurable": values.null_count()}


def kept(values: pl.Series, minimum: float | None, maximum: float | None) -> Told:
    """Count the values inside bounds, both inclusive; a null bound is none, and a null value is kept."""
    outside = pl.Series([False]).new_from_index(0, len(values))
    if minimum is not None:
        outside |= (values < minimum).fill_null(value=False)
    if maximum is not None:
        outside |= (values > maximum).fill_null(value=False)
    lost = int(outside.sum())
    return {"minimum": minimum, "maximum": maximum, "kept": len(values) - lost, "lost": lost}


def _others(rule: Told, side: str, values: pl.Series, finite: pl.Series) -> list[Told]:
    """Count what other bounds on one side keep, the other side's as it is.

    Where the rule has no bound on this side, those of which something falls that the rule keeps.
    """
    own = {"minimum": rule["minimum"], "maximum": rule["maximum"]}
    other = own["minimum" if side == "maximum" else "maximum"]
    if own[side] is not None:
        return [kept(values, **own | {side: at}) for at in worth(finite, side, QUANTILES, own[side])]
    inside = finite if other is None else finite.filter(finite <= other if side == "minimum" else finite >= other)
    quantiles = (FREE if other is None else OPEN)[side]
    counted = [kept(values, **own | {side: at}) for at in worth(inside, side, quantiles)]
    return [one for one in counted if one["lost"] > kept(values, **own)["lost"]]


def worth(values: pl.Series, side: str, quantiles: Iterable[float], bound: float | None = None) -> list[float]:
    """Give the bounds worth a look: the values' quantiles, each of up to 6 different values, and the bound itself.

    What is no whole number has 4 significant digits, rounded so that a bound keeps the value that it was made of.
    """
    found = {value for at in quantiles if (value := values.quantile(at, "nearest")) is not None}
    if values.n_unique() <= FEW:
        found |= set(values)
    if not is_whole(values):
        found = {float(DIGITS[side].create_decimal_from_float(value)) for value in found}
    return sorted(found if bound is None else found | {float(bound)})


def _matches(rule: Told, measured: Mapping[str, pl.DataFrame], ids: pl.DataFrame) -> Told:
    found, bound = measured[rule["rule"]], rule["maximum"]
    return {
        **_about(rule),
        "keep": rule["keep"],
        "samples": ids.height,
        "pairs": found.height,
        "histogram": histogram(found["measured"]),
        "other_minimum": [],
        "other_maximum": [fallen(rule, at, measured, ids) for at in thresholds(found["measured"], bound)],
        "examples": nearest_pairs(found, bound),
    }


def fallen(rule: Told, threshold: float, measured: Mapping[str, pl.DataFrame], ids: pl.DataFrame) -> Told:
    """Count the samples that stay and fall at a threshold, as the rule's `keep` chooses among those that match."""
    alone = MatchRule(lambda _samples, _benchmarks: measured[rule["rule"]], threshold, rule["keep"])
    lost = fall(ids, {rule["rule"]: alone}, measured, {}).first.height
    return {"minimum": None, "maximum": threshold, "kept": ids.height - lost, "lost": lost}


def thresholds(measured: pl.Series, bound: float) -> list[float]:
    """Give the thresholds worth a look: up to 7 from the least likeness measured to above the greatest, and `bound`."""
    if measured.is_empty():
        return [bound]
    least, most = (round(100 * float(at), 9) for at in (measured.min(), measured.max()))  # type: ignore[arg-type]
    for step in STEPS:
        found = {floor(least), *range(step * ceil(least / step), min(step * floor(most / step + 1), 100) + 1, step)}
        if len(found) <= THRESHOLDS:
            break
    return sorted({bound, *(at / 100 for at in found)})
