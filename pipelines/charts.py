"""Charts of a run: Vega-Lite specs drawn to static SVG, each with the words that state its figures."""

from collections.abc import Iterable
from itertools import pairwise
from math import inf, nextafter
from typing import Any

import polars as pl

from pipelines.bins import is_whole
from pipelines.closing import SEPARATED, measured, number, share, visible

KEPT, BROKEN, INK, LINE = "#4f81a8", "#c8693a", "#767b84", "#8f949c"  # read on white and on near-black alike
WIDTH = 330  # fits a telephone unscaled, so that the letters keep their size
BINS = 36
DISCRETE = 24  # whole numbers in a range of up to so many get a bar each
OUTLIER = 20  # so many times the 99th percentile is far out: such values share the last bar
CONFIG = {
    "aria": False,  # the figure around it states all in one label
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": 11,
        "labelFontSize": 11,
        "gridColor": LINE,
        "gridOpacity": 0.3,
        "domainColor": LINE,
        "tickColor": LINE,
        "labelLimit": 130,
    },
    "axisY": {"titlePadding": 10},
}

Chart = dict[str, str]  # `kind`, `svg` and `label`
Bin = dict[str, Any]  # `start`, `end`, `rows`, `kept`


def drawn(spec: dict[str, Any], label: str, height: int) -> Chart:
    """Draw a spec to SVG."""
    import vl_convert

    whole = {
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": 2,
        "config": CONFIG,
    }
    return {"kind": "chart", "svg": vl_convert.vegalite_to_svg(whole | spec, vl_version="5.20"), "label": label}


def histogram(
    name: str,
    values: pl.Series,
    minimum: float | None = None,
    maximum: float | None = None,
    of_what: str = "samples",
) -> Chart | None:
    """Draw how many samples have which value, on a logarithmic scale, with the bounds; null without a value.

    What is outside the bounds has another colour: bins end at a bound, both bounds inclusive.
    """
    known = values.filter(values.is_finite())
    if known.is_empty():
        return None
    bins = binned(known, minimum, maximum)
    most = max(row["rows"] for row in bins)
    y = {
        "field": "rows",
        "type": "quantitative",
        "title": f"{of_what}, log scale",
        "scale": {"type": "symlog", "constant": 1, "domain": [0, most * 4]},
        "axis": {"values": [0, *(10**power for power in range(len(str(most))))], "format": ",d"},
    }
    tone = {"condition": {"test": "datum.kept", "value": KEPT}, "value": BROKEN}
    shared = {"y": y, "color": tone}
    yes_no = set(known.unique()) <= {0.0, 1.0}
    layers = _answers(bins, shared) if yes_no else _bars(bins, shared, known)
    half = 0.5 if _is_discrete(known) else 0.0  # a whole number's bin reaches so far
    lines = [] if yes_no else _bound_lines(bins, minimum, maximum, half)
    return drawn({"layer": [layers, *lines]}, _told(name, known, bins, of_what), 150)


def _answers(bins: list[Bin], shared: dict[str, Any]) -> dict[str, Any]:
    """Give two bars, no and yes."""
    x: dict[str, Any] = {"field": "answer", "type": "nominal", "scale": {"domain": ["no", "yes"]}, "title": None}
    x["axis"] = {"labelAngle": 0}
    values = [row | {"answer": "yes" if row["end"] > 1 else "no"} for row in bins]
    return {"data": {"values": values}, "mark": {"type": "bar", "width": {"band": 0.5}}, "encoding": {**shared, "x": x}}


def _bars(bins: list[Bin], shared: dict[str, Any], values: pl.Series) -> dict[str, Any]:
    """Give a bar a bin along a scale of numbers."""
    end = bins[-1]["end"]
    axis: dict[str, Any] = {"grid": False, "tickCount": 5, **({"tickMinStep": 1} if _is_discrete(values) else {})}
    if is_whole(values) and _range(values)[1] < SEPARATED:
        axis["format"] = "d"  # 2022 may be a year
    scale = {"domain": [bins[0]["start"], end], "nice": False}
    rest = f"the last bar holds all up to {measured(_range(values)[1])}" if _range(values)[1] > end else None
    x = {"field": "start", "type": "quantitative", "title": rest, "scale": scale, "axis": axis}
    encoding = {**shared, "x": x, "x2": {"field": "end"}, "y2": {"datum": 0}}
    return {"data": {"values": bins}, "mark": "bar", "encoding": encoding}


def binned(values: pl.Series, minimum: float | None, maximum: float | None) -> list[Bin]:
    """Count values into bins that end at the bounds; each tells whether it is inside them.

    Whole numbers of a small range get a bin each. Values far out (over 20 times the 99th percentile) share the last.
    """
    if _is_discrete(values):
        counts = values.value_counts(name="rows").sort(values.name)
        return [
            {"start": value - 0.5, "end": value + 0.5, "rows": rows, "kept": _inside(value, minimum, maximum)}
            for value, rows in counts.iter_rows()
        ]
    low, high = _range(values)
    width = (high - low) / BINS or 1.0
    bounds = [bound for bound in (minimum, maximum) if bound is not None and low <= bound <= high]
    far = OUTLIER * float(values.quantile(0.99) or high) if low >= 0 else high
    first = low - width if maximum == low else low  # so that what is at most the lowest value has a bin
    edges = _edges(first, max(min(high, far), *(bound + width for bound in [low, *bounds])), bounds)
    fences = [
        nextafter(edge, -inf) if edge in {first, minimum} else edge for edge in edges
    ]  # these belong to the right
    places = pl.Series(fences).search_sorted(values.clip(upper_bound=edges[-1]), side="left") - 1
    counted = dict(places.value_counts(name="rows").iter_rows())
    return [
        {"start": start, "end": end, "rows": counted.get(at, 0)}
        | {"kept": _inside(min(max((start + end) / 2, low), high), minimum, maximum)}
        for at, (start, end) in enumerate(pairwise(edges))
    ]


def _edges(low: float, high: float, bounds: list[float]) -> list[float]:
    """Give the ends of about 36 bins, of one width but for what the bounds make of it."""
    top = high if high > low else low + 1
    edges = []
    for start, end in pairwise(sorted({low, *bounds, top})):
        count = max(1, round((end - start) / (top - low) * BINS))
        edges += [start + (end - start) * at / count for at in range(count)]
    return [*edges, top]


def _range(values: pl.Series) -> tuple[float, float]:
    return float(values.min()), float(values.max())  # type: ignore[arg-type]  # numbers, by the table's schema


def _median(values: pl.Series) -> float:
    return float(values.median() or 0)  # type: ignore[arg-type]  # a number, as its values are


def _is_discrete(values: pl.Series) -> bool:
    low, high = _range(values)
    return high - low <= DISCRETE and bool((values == values.round()).all())


def _inside(value: float, minimum: float | None, maximum: float | None) -> bool:
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def _bound_lines(bins: list[Bin], minimum: float | None, maximum: float | None, half: float) -> list[dict[str, Any]]:
    """Give a dashed line with its words for each bound that lies within the bins."""
    lines: list[dict[str, Any]] = []
    once: dict[str, Any] = {"data": {"values": [{}]}}
    for bound, sign, words in ((minimum, -1, "at least"), (maximum, 1, "at most")):
        if bound is None or not bins[0]["start"] <= bound + sign * half <= bins[-1]["end"]:
            continue
        at, right = bound + sign * half, bound > (bins[0]["start"] + bins[-1]["end"]) / 2
        line = {"mark": {"type": "rule", "strokeDash": [4, 3], "stroke": INK, "strokeWidth": 1.5}}
        side = {"align": "right", "dx": -5} if right else {"align": "left", "dx": 5}
        text = {"mark": {"type": "text", "text": f"{words} {measured(bound)}", "fill": INK, "fontSize": 11, **side}}
        lines += [
            line | once | {"encoding": {"x": {"datum": at}}},
            text | once | {"encoding": {"x": {"datum": at}, "y": {"value": 6}}},
        ]
    return lines


def _told(name: str, values: pl.Series, bins: list[Bin], of_what: str) -> str:
    """State a histogram in words."""
    low, high = _range(values)
    broken = sum(row["rows"] for row in bins if not row["kept"])
    outside = f"; {number(broken)} outside the bounds" if broken else ""
    if {low, high} <= {0.0, 1.0} and _is_discrete(values):
        yes = int(values.sum())
        return f"{visible(name)}: {number(len(values) - yes)} {of_what} no, {number(yes)} yes{outside}"
    return (
        f"Histogram of {visible(name)} over {number(len(values))} {of_what}: from {measured(low)} to {measured(high)}, "
        f"median {measured(_median(values))}{outside}"
    )


def lengths(sides: dict[str, pl.Series], tones: tuple[str, str] = (KEPT, BROKEN)) -> list[Chart]:
    """Draw the lengths of two kinds of replies with the same axes, to be set side by side."""
    every = pl.concat(list(sides.values()))
    top = float(every.quantile(0.99) or 1) * 1.05
    edges = _edges(0.0, max(top, 1.0), [])
    counts = {name: _counted(values, edges) for name, values in sides.items()}
    most = max(row["rows"] for rows in counts.values() for row in rows)
    charts = []
    for name, tone in zip(sides, tones, strict=True):
        low, high = _range(sides[name])
        words = (
            f"Characters of {name} replies: from {number(low)} to {number(high)}, median {number(_median(sides[name]))}"
        )
        x: dict[str, Any] = {"field": "start", "type": "quantitative", "title": f"characters, {name}"}
        x["axis"] = {"grid": False, "tickCount": 5}
        y = {"field": "rows", "type": "quantitative", "title": "replies", "scale": {"domain": [0, most]}}
        y["axis"] = {"tickCount": 4}
        spec = {
            "data": {"values": counts[name]},
            "mark": {"type": "bar", "color": tone},
            "encoding": {"x": x, "x2": {"field": "end"}, "y": y, "y2": {"datum": 0}},
        }
        charts.append(drawn(spec, words, 150))
    return charts


def reach(samples: pl.LazyFrame, kept: pl.LazyFrame) -> list[Chart]:
    """Draw the characters of the replies that all samples came with and of those of the kept ones, side by side."""
    sizes = {
        name: table.select(pl.col("reply").str.len_chars()).drop_nulls().collect()["reply"]
        for name, table in (("all", samples), ("kept", kept))
    }
    return lengths(sizes, (INK, KEPT)) if all(len(values) for values in sizes.values()) else []


def _counted(values: pl.Series, edges: list[float]) -> list[Bin]:
    """Count values into bins; what is above the last bin is in it."""
    places = pl.Series(edges[1:-1]).search_sorted(values.cast(pl.Float64), side="right")
    counted = dict(places.value_counts(name="rows").iter_rows())
    return [{"start": start, "end": end, "rows": counted.get(at, 0)} for at, (start, end) in enumerate(pairwise(edges))]


def whiskers(
    title: str, told: Iterable[tuple[str, float | None, list[float] | None]], middle: float | None = None
) -> list[Chart]:
    """Draw a dot with its 95 % interval for each named fraction, from 0 to 100 %; `middle` marks chance.

    A fraction that is null is left out; without any there is no chart.
    """
    rows = [(name, mean, interval) for name, mean, interval in told if mean is not None]
    if not rows:
        return []
    values = [
        {
            "name": visible(name).rpartition(".")[2],
            "mean": mean,
            "low": max((held or [mean])[0], 0.0),
            "high": min((held or [mean])[-1], 1.0),
        }
        for name, mean, held in rows
    ]
    y = {"field": "name", "type": "nominal", "sort": None, "title": None, "axis": {"domain": False, "ticks": False}}
    scale = {"domain": [0, 1]}
    axis = {"format": ".0%", "tickCount": 5}
    x = {"field": "low", "type": "quantitative", "title": title, "scale": scale, "axis": axis}
    rule = {"mark": {"type": "rule", "strokeDash": [4, 3], "stroke": INK}, "encoding": {"x": {"datum": middle}}}
    layers: list[dict[str, Any]] = [
        *([] if middle is None else [rule]),
        {
            "mark": {"type": "rule", "color": KEPT, "strokeWidth": 2},
            "encoding": {"x2": {"field": "high"}, "x": x, "y": y},
        },
        {"mark": {"type": "point", "color": KEPT, "filled": True, "size": 70, "opacity": 1}},
    ]
    layers[-1]["encoding"] = {"x": x | {"field": "mean"}, "y": y}
    words = f"{title}: " + "; ".join(f"{visible(name)} {share(mean, held)}" for name, mean, held in rows)
    return [drawn({"data": {"values": values}, "layer": layers}, words, 50 + 26 * len(rows))]
