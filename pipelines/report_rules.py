"""The report's section on rules: what each measured, its bound, and rows on both sides of it."""

from math import inf, nextafter
from typing import Any

import polars as pl

from pipelines import charts, page
from pipelines.closing import keeps, number, of
from pipelines.figures import unchecked
from pipelines.page import Block, beside, code, examples, figures, heading, note, words
from pipelines.run_tables import Tables

SIDE = 10  # examples on either side of a bound

Summary = dict[str, Any]


def drops(summary: Summary, tables: Tables) -> list[Block]:
    """Tell of each rule its measurements, its bound, and the rows nearest to it on both sides."""
    if not summary["rules"]:
        return [note("no_rules")]
    return [
        note("drops"),
        *(block for rule in summary["rules"] for block in _rule(rule, summary["rows"]["samples"], tables)),
    ]


def _rule(rule: Summary, samples: int, tables: Tables) -> list[Block]:
    name = rule["rule"]
    facts = [
        ["Kept", keeps(rule)],
        ["First to drop", of(rule["dropped"], samples)],
        ["Broke it at all", of(rule["broken"], samples)],
    ]
    facts += unchecked(rule)
    drawn = None
    if name in tables.values:
        values = tables.values[name]["value"].fill_nan(None)
        facts += _known(rule, values)
        drawn = charts.histogram(name, values, rule["minimum"], rule["maximum"])
    elif name in tables.matches:
        facts += _found(rule["found"])
        drawn = _likeness(name, tables.matches[name].select("measured").collect()["measured"], rule["maximum"])
    return [heading(code(name)), beside(drawn, figures(facts)), *_dropped(rule, tables), *_kept(rule, tables)]


def _known(rule: Summary, values: pl.Series) -> list[list[str]]:
    """Give the lines on what was measured and what was not, as `./mill bounds` counts it."""
    if rule["kind"] == "pick":
        placed = int(values.is_finite().sum())
        return [["Placed", number(placed)], ["Never picked", number(len(values) - placed)]]
    return [["Measured", number(values.count())], ["Not measurable, so kept", number(values.null_count())]]


def _found(found: Summary) -> list[list[str]]:
    """Give the lines on what a rule on matches found."""
    return [
        ["Matches from the bound on", number(found["pairs"])],
        ["Clusters of rows that hang together", number(found["clusters"])],
        ["Rows in the largest", number(found["largest"])],
        ["Rows outside the data that match", number(found["outside"])],
    ]


def _likeness(name: str, measured: pl.Series, threshold: float) -> Block | None:
    """Draw how alike the matches are; nothing where all are equally so."""
    if measured.n_unique() < 2:  # noqa: PLR2004 - one bar tells nothing
        return None
    return charts.histogram(name, measured, None, nextafter(threshold, -inf) if threshold > 0 else -1.0, "matches")


def _dropped(rule: Summary, tables: Tables) -> list[Block]:
    """Show the rows that a rule was the first to drop, those nearest to its bound first."""
    first = tables.rows["dropped"].filter(pl.col("rule") == rule["rule"])
    far = _distance("measured", rule["minimum"], rule["maximum"])
    shown = first.bottom_k(SIDE, by=[far, "id"]).collect().sort(far, "id", nulls_last=True)
    named = _rows(tables, shown["match"].drop_nulls().to_list())
    return _side("dropped", [page.dropped(row, named) for row in shown.iter_rows(named=True)])


def _kept(rule: Summary, tables: Tables) -> list[Block]:
    """Show the rows, or matches, that a rule keeps and that are nearest to its bound."""
    name = rule["rule"]
    if name in tables.matches:
        below = tables.matches[name].filter(pl.col("measured") < rule["maximum"])
        by = [-pl.col("measured"), pl.col("id"), pl.col("other")]
        near = below.bottom_k(SIDE, by=by).collect().sort(by)
        rows = _rows(tables, [*near["id"], *near["other"]])
        return _side("kept, most alike first", [page.match(one, rows) for one in near.iter_rows(named=True)])
    if name not in tables.values:
        return []
    if rule["minimum"] is None and rule["maximum"] is None:
        known = tables.measured[name].select("id", "value").filter(pl.col("value").is_finite())
        lowest, highest = (known.bottom_k(SIDE // 2, by=[sign * pl.col("value"), "id"]).collect() for sign in (1, -1))
        return [
            *_side("lowest first", _measured(tables, lowest.sort("value", "id"))),
            *_side("highest first", _measured(tables, highest.sort(-pl.col("value"), "id"))),
        ]
    near = _nearest(tables.measured[name], rule["minimum"], rule["maximum"])
    return _side("kept by this rule, nearest to the bound first", _measured(tables, near))


def _measured(tables: Tables, values: pl.DataFrame) -> list[Block]:
    """Give the samples of `id` and `value` as examples."""
    rows = _rows(tables, values["id"].to_list())
    return [page.kept(rows[row], value) for row, value in values.iter_rows() if row in rows]


def _nearest(values: pl.LazyFrame, minimum: float | None, maximum: float | None) -> pl.DataFrame:
    """Give the `id` and `value` of what lies inside the bounds and nearest to one; the id decides among equals."""
    known = values.select("id", "value").filter(pl.col("value").is_finite())
    inside = [pl.lit(value=True)]
    for bound, sign in ((minimum, 1), (maximum, -1)):
        if bound is not None:
            inside.append(sign * (pl.col("value") - bound) >= 0)
    by = _distance("value", minimum, maximum)
    return known.filter(pl.all_horizontal(inside)).bottom_k(SIDE, by=[by, "id"]).collect().sort(by, "id")


def _distance(column: str, minimum: float | None, maximum: float | None) -> pl.Expr:
    """Give how far each value is from the nearer bound, 0 where there is none."""
    bounds = [bound for bound in (minimum, maximum) if bound is not None]
    return pl.min_horizontal((pl.col(column) - bound).abs() for bound in bounds) if bounds else 0.0 * pl.col(column)


def _rows(tables: Tables, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Give the samples of these ids; names of rows outside the data are not among them."""
    columns = ("id", "prompt", "reply", "origin")
    found = tables.rows["samples"].filter(pl.col("id").is_in(ids)).select(columns).collect()
    return {row["id"]: row for row in found.iter_rows(named=True)}


def _side(name: str, shown: list[Block]) -> list[Block]:
    return [words(f"{name[:1].upper()}{name[1:]}:"), *examples(shown)] if shown else []
