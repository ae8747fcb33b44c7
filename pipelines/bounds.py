"""What other bounds would keep, from the measures that a finished run stored: nothing is measured again."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from filters.split import preferred
from filters.standing import beside
from filters.texts import text
from pipelines.closing import keeps, number, percent, visible
from pipelines.curate import values_of
from pipelines.store import Stored, opened, read_table
from schemas.errors import GristmillError
from schemas.parts import nearest
from schemas.tables import SAMPLES

QUANTILES = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
BINS = 12
EXAMPLES = 3
THRESHOLDS = tuple(at / 100 for at in range(70, 101, 5))
SHOWN = 100  # characters of an example

Told = dict[str, Any]


def explore(folder: Path, only: str | None = None) -> list[Told]:
    """Give for each rule of the finished run in `folder` its histogram, what other bounds keep, and examples.

    `only` names one rule. What a bound keeps or loses is counted by that rule alone, over all samples that came to the
    rules. Examples are the samples, or pairs, nearest to the bound on either side. Raises `GristmillError` for a rule
    that the run does not have.
    """
    summary = orjson.loads((folder / "summary.json").read_bytes())
    stages = folder.resolve().parent / "stages"
    curated = opened(stages / summary["stages"]["curate"], reused=True)
    came = opened(stages / summary["stages"].get("edit", summary["stages"]["ingest"]), reused=True)
    rules = {rule["rule"]: rule for rule in summary["rules"]}
    if only is not None and only not in rules:
        raise GristmillError(f"the run {folder} has no rule {only!r}{nearest(only, rules)}")
    texts = _texts(came)
    values = values_of(curated)
    return [_rule(rule, values[name], texts) for name, rule in rules.items() if only in {None, name}]


def _texts(came: Stored) -> pl.DataFrame:
    shown = text("conversation").str.slice(0, 4 * SHOWN)
    return read_table(came, "samples", SAMPLES).select("id", text=shown)


def _rule(rule: Told, values: pl.DataFrame, texts: pl.DataFrame) -> Told:
    told = {key: rule[key] for key in ("rule", "kind", "minimum", "maximum")}
    return told | (_matches(rule, values, texts) if rule["kind"] == "match" else _values(rule, values, texts))


def _values(rule: Told, values: pl.DataFrame, texts: pl.DataFrame) -> Told:
    known = values.drop_nulls("value").select("id", "value")
    low, high = rule["minimum"], rule["maximum"]
    return {
        "measured": known.height,
        "not_measurable": values.height - known.height,
        "histogram": histogram(known["value"]),
        "other_minimum": [] if low is None else [kept(known["value"], at, high) for at in others(known["value"], low)],
        "other_maximum": [] if high is None else [kept(known["value"], low, at) for at in others(known["value"], high)],
        "examples": {"lost": _nearest(known, rule, texts, lost=True), "kept": _nearest(known, rule, texts, lost=False)},
    }


def kept(values: pl.Series, minimum: float | None, maximum: float | None) -> Told:
    """Count the values inside bounds, both inclusive; null is no bound."""
    inside = values.filter(
        (values >= (float("-inf") if minimum is None else minimum))
        & (values <= (float("inf") if maximum is None else maximum))
    )
    return {"minimum": minimum, "maximum": maximum, "kept": len(inside), "lost": len(values) - len(inside)}


def others(values: pl.Series, bound: float) -> list[float]:
    """Give the bounds worth a look: the values' quantiles, each as a value that occurs, and the bound itself."""
    found = {value for at in QUANTILES if (value := values.quantile(at, "nearest")) is not None}
    return sorted(found | {bound})


def histogram(values: pl.Series) -> list[Told]:
    """Count the values in up to 12 bins of equal width, the last one closed; whole numbers of a small range apart."""
    if values.is_empty():
        return []
    distinct = values.unique().sort()
    if len(distinct) <= BINS:
        return [{"from": value, "to": value, "rows": (values == value).sum()} for value in distinct]
    low, high = float(distinct[0]), float(values.quantile(0.995) or distinct[-1])
    high = high if high > low else float(distinct[-1])
    edges = [low + (high - low) * step / BINS for step in range(BINS)] + [float(distinct[-1])]
    counts = [int(values.is_between(start, end, closed="left").sum()) for start, end in pairwise(edges)]
    counts[-1] += int((values == edges[-1]).sum())
    return [
        {"from": start, "to": end, "rows": rows} for (start, end), rows in zip(pairwise(edges), counts, strict=True)
    ]


def _nearest(known: pl.DataFrame, rule: Told, texts: pl.DataFrame, *, lost: bool) -> list[Told]:
    """Give the samples nearest to a bound on one side of it."""
    low, high = rule["minimum"], rule["maximum"]
    bounds = [bound for bound in (low, high) if bound is not None]
    if not bounds:
        return []
    outside = (pl.col("value") < (float("-inf") if low is None else low)) | (
        pl.col("value") > (float("inf") if high is None else high)
    )
    distance = pl.min_horizontal((pl.col("value") - bound).abs() for bound in bounds)
    near = known.filter(outside if lost else ~outside).sort(distance, "id").head(EXAMPLES)
    return near.join(texts, on="id", maintain_order="left").to_dicts()


def _matches(rule: Told, matches: pl.DataFrame, texts: pl.DataFrame) -> Told:
    bound, stay = rule["maximum"], rule["keep"] != "none"
    return {
        "measured": texts.height,
        "not_measurable": 0,
        "histogram": histogram(matches["measured"]),
        "other_maximum": [
            fallen(matches, at, texts["id"], stay=stay) for at in _thresholds(matches["measured"], bound)
        ],
        "other_minimum": [],
        "examples": {
            "lost": _pairs(matches.filter(pl.col("measured") >= bound), texts, descending=False),
            "kept": _pairs(matches.filter(pl.col("measured") < bound), texts, descending=True),
        },
    }


def _thresholds(measured: pl.Series, bound: float) -> list[float]:
    """Give the thresholds worth a look: every twentieth from the lowest likeness that is known, and the bound."""
    lowest = measured.min()
    return sorted({bound, *(at for at in THRESHOLDS if isinstance(lowest, float) and lowest < at)})


def fallen(matches: pl.DataFrame, threshold: float, own: pl.Series, *, stay: bool) -> Told:
    """Count the samples that stay and fall at a threshold: of those that match the first ones stay, or none."""
    counted = matches.filter(pl.col("measured") >= threshold)
    members = preferred(counted, "first", {}, own).with_columns(may_stay=pl.col("outside") | pl.lit(value=stay))
    lost = beside(counted, members)["stays"].not_().sum()
    return {"minimum": None, "maximum": threshold, "kept": len(own) - lost, "lost": lost}


def _pairs(matches: pl.DataFrame, texts: pl.DataFrame, *, descending: bool) -> list[Told]:
    near = matches.sort("measured", "id", "other", descending=[descending, False, False]).head(EXAMPLES)
    both = near.join(texts, on="id", how="left", maintain_order="left").join(
        texts.rename({"id": "other", "text": "other_text"}), on="other", how="left", maintain_order="left"
    )
    return both.select("id", "other", "text", "other_text", "span", value="measured").to_dicts()


def words(explored: list[Told]) -> str:
    """Say it for a terminal."""
    return "\n\n".join("\n".join(_lines(told)) for told in explored)


def _lines(told: Told) -> Iterator[str]:
    yield told["rule"]
    counts = f"measured {number(told['measured'])}, not measurable {number(told['not_measurable'])}"
    yield f"  kept: {keeps(told)}; {counts}"
    most = max((one["rows"] for one in told["histogram"]), default=0)
    for one in told["histogram"]:
        span = number(one["from"]) if one["from"] == one["to"] else f"{number(one['from'])} to {number(one['to'])}"
        bar = "▇" * max(round(30 * one["rows"] / most), 1 if one["rows"] else 0)
        yield f"  {span:>22}  {number(one['rows']):>9}  {bar}".rstrip()
    for side in ("minimum", "maximum"):
        found = told[f"other_{side}"]
        if found:
            name = "likeness below" if told["kind"] == "match" else {"minimum": "at least", "maximum": "at most"}[side]
            yield f"  {name:>22}  {'kept':>9}  {'lost':>9}"
        for one in found:
            here = " <- the recipe's" if one[side] == told[side] else ""
            share = percent(one["lost"] / max(one["kept"] + one["lost"], 1))
            yield f"  {number(one[side]):>22}  {number(one['kept']):>9}  {number(one['lost']):>9}  {share}{here}"
    for which, found in told["examples"].items():
        for one in found:
            yield f"  {which} at {number(one['value'])}: {_excerpt(one)}"


def _excerpt(one: Told) -> str:
    first = visible(" ".join((one.get("text") or one["id"]).split()))[:SHOWN]
    if "other" not in one:
        return first
    second = one.get("other_text") or one.get("span") or one["other"]
    return f"{first}\n      beside: {visible(' '.join(second.split()))[:SHOWN]}"
