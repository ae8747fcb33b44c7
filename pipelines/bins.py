"""Bins of a histogram that is read as text: few, at round numbers, and not all of the values in one of them."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import floor, log10
from typing import Any

import polars as pl

BINS = 12
TAIL = 0.995  # of the values lie below where the last bin of equal width begins to hold all others
MIDDLE = (0.05, 0.95)  # the quantiles that bins of equal width lie between where the tails are long
WIDE = 100  # times the lowest value: from here on logarithmic bins may tell more
MARKS = ((1, 2, 5), (1, 3), (1,))  # of a decade where logarithmic bins end

Told = dict[str, Any]
Edges = Sequence[Fraction | float]  # where bins begin, and as the last one the greatest value


def histogram(values: pl.Series) -> list[Told]:
    """Count finite values in up to 12 bins; a value by itself where there are no more than 12 different ones.

    Of whole numbers a bin holds `from` to `to`, both inclusive; of others `to` is in the next bin but for the last.
    Bins are of equal width, the last one holding the greatest 0.5 % too. Where that puts different values, and more
    than half of all, in one bin, they are logarithmic: of values above 0 (whole numbers: from 0) whose greatest is over
    100 times the least; of others they are of equal width between the quantiles of 5 % and 95 %.
    """
    distinct = values.unique().sort()
    if len(distinct) <= BINS:
        return [{"from": value, "to": value, "rows": (values == value).sum()} for value in distinct]
    whole = is_whole(distinct)
    ways = [_counted(values, edges, whole=whole) for edges in _ways(values, distinct, whole=whole)]
    crowded = _fullest(ways[0]) > len(values) / 2 >= _most(values)  # no way parts what is one value
    return min(ways, key=_fullest) if crowded else ways[0]


def is_whole(values: pl.Series) -> bool:
    """Tell whether all values are whole numbers."""
    return bool((values == values.round()).all())


def _most(values: pl.Series) -> int:
    """Count the rows of the most frequent value."""
    return int(values.value_counts(name="rows")["rows"].max() or 0)  # type: ignore[arg-type]  # a number


def _fullest(bins: list[Told]) -> int:
    return int(max(one["rows"] for one in bins))


def _ways(values: pl.Series, distinct: pl.Series, *, whole: bool) -> Iterator[Edges]:
    """Give the edges of each way to cut the values, the plainest first; `distinct` is sorted."""
    low, high = float(distinct[0]), float(distinct[-1])
    tail = _quantile(values, TAIL)
    yield _even(low, low, tail if tail > low else high, high, whole=whole)
    least = float(distinct[1]) if whole and low == 0 else low  # whole numbers: 0 has a bin of its own
    if least > 0 and high / least > WIDE:
        yield [*([low] if least > low else []), *_logarithmic(least, high)]
        return
    first, last = (_quantile(values, at) for at in MIDDLE)
    if first < last:
        yield _even(low, first, last, high, whole=whole)


def _quantile(values: pl.Series, at: float) -> float:
    return float(values.quantile(at, "nearest") or 0.0)


def _even(low: float, first: float, last: float, high: float, *, whole: bool) -> Edges:
    """Give edges a round step apart from `first` to `last`; the outer bins hold all down to `low` and up to `high`."""
    a, b = Fraction(repr(first)), Fraction(repr(last))  # as they are written: 0.7 is no less than 7/10
    rough = floor(log10(last / BINS - first / BINS)) if last / BINS > first / BINS else -300
    steps = (Fraction(10) ** power * mark for power in range(rough, 310) for mark in (1, 2, 5))
    step = next(one for one in steps if floor(b / one) - floor(a / one) < BINS and not (whole and one < 1))
    inner = [step * at for at in range(floor(a / step) + 1, floor(b / step) + 1)]
    begins = low if whole or first > low else step * floor(a / step)
    return [begins, *(edge for edge in inner if edge < high or whole), high]


def _logarithmic(low: float, high: float) -> Edges:
    """Give edges at 1, 2 and 5 of each decade, at 1 and 3, at 1, or at every other, third, … decade."""
    decades = range(floor(log10(low)), floor(log10(high)) + 2)
    for every, marks in [(1, marks) for marks in MARKS] + [(every, (1,)) for every in range(2, len(decades))]:
        edges = [Fraction(10) ** power * mark for power in decades[::every] for mark in marks]
        inner = [edge for edge in edges if low < edge < high]
        if len(inner) < BINS - 1:  # one is left for 0
            break
    return [low, *inner, high]


def _counted(values: pl.Series, edges: Edges, *, whole: bool) -> list[Told]:
    """Count the values between edges, which are told as the nearest floats."""
    starts = sorted({float(edge) for edge in edges[:-1]})
    ends = [start - 1 if whole else start for start in starts[1:]] + [float(edges[-1])]
    places = pl.Series(starts).search_sorted(values, side="right") - 1
    counts = dict(places.value_counts(name="rows").iter_rows())
    return [
        {"from": start, "to": end, "rows": counts.get(at, 0)}
        for at, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
