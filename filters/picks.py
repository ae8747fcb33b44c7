"""Rules on which of the rows that are good enough are taken: the most diverse, or a mixture of sources."""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from filters.texts import Part
from schemas.errors import InputError
from schemas.rules import PickRule
from schemas.vectors import Vectors

Places = list[int]
DECIMALS = 6  # of a similarity: beyond them it depends on the machine, and ties must not
NEVER = math.inf  # the place of a row that no bound keeps
ALL = 1_000_000_000  # rows, more than there are


def diverse(
    *,
    part: Part = "question",
    method: Literal["k_center", "facility_location"] = "k_center",
    places: int = 10_000,
    maximum: int = 10_000,
) -> PickRule:
    """The `maximum` rows (inclusive) that cover the others best by the vectors of `part`, told by a greedy order.

    Value: the row's place in the order, from 1, so that another bound keeps the first rows of the same order; rows
    beyond the first `places` have none (an infinite one) and are never kept. "k_center" takes next the row that is
    least like any taken (farthest first; its covering radius is at most twice the best, Gonzalez 1985; Sener and
    Savarese, arXiv 1708.00489), beginning with the most central one; "facility_location" the row that raises most the
    sum over all rows of (1 + cosine) / 2 to the nearest taken one (at least 1 - 1/e of the best, Nemhauser et al.
    1978). Ties go to the lower id. Costs rows times places. Raises `ValueError` where `maximum` is above `places`.
    """
    if not 1 <= maximum <= places:
        raise ValueError(f"maximum is {maximum}; of {places} places it keeps from 1 to {places}")
    greedy = {"k_center": farthest_first, "facility_location": most_covering}[method]
    return PickRule(lambda rows, vectors: _ordered(rows, vectors, greedy, places, maximum), maximum, part)


def mixed(
    *, weights: Mapping[str, float], caps: Mapping[str, int] | None = None, seed: int = 0, maximum: int = ALL
) -> PickRule:
    """The first `maximum` rows (inclusive) of a mixture of the sources by weight, never more of one than its cap.

    Value: the row's place in the mixture, from 1. The first rows, however many, have of each source as many as
    Sainte-Lague's rule gives it: while sources of a and b rows taken have more to give, (a - 1/2) / weight of the one
    is at most (b + 1/2) / weight of the other, so that each is within half a row of a common share. Within a
    source rows come in the order of a hash of `seed` and id. Rows above a cap, and of sources of weight 0, are never
    kept. Raises `InputError` where a row's source has no weight, `ValueError` where a weight or cap is below 0, or a
    cap's source has no weight.
    """
    bounds = caps or {}
    if unknown := sorted(set(bounds) - set(weights)):
        raise ValueError(
            f"caps names {unknown}, which weights doesn't: name each source there; known: {sorted(weights)}"
        )
    if wrong := {name: value for name, value in [*weights.items(), *bounds.items()] if not 0 <= value < math.inf}:
        raise ValueError(f"weights and caps are 0 or more and finite, not {wrong}")

    def order(rows: pl.DataFrame, _vectors: Vectors | None) -> pl.DataFrame:
        if unknown := sorted(set(rows["source"].unique()) - set(weights)):
            raise InputError(f"sources without a weight: {unknown}; name each in weights, with 0 to leave it out")
        turns, never = [], dict[str, str]()
        for (source,), own in rows.group_by("source"):
            weight, ids = weights[str(source)], sorted(own["id"], key=lambda row: _shuffled(seed, row))
            allowed = min(len(ids), bounds.get(str(source), len(ids))) if weight else 0
            turns += [((at + 0.5) / weight, str(source), row) for at, row in enumerate(ids[:allowed])]
            cause = f"gives no more than its cap of {allowed:,} rows" if weight else "has the weight 0"
            never |= dict.fromkeys(ids[allowed:], f"its source {source!r} {cause}")
        place = {row: at for at, (_, _, row) in enumerate(sorted(turns), 1)}
        return _values(rows["id"], place, maximum, never)

    return PickRule(order, maximum)


def farthest_first(vectors: Vectors, places: int) -> Places:
    """Give the greedy k-center order of the rows, the most central one first; ties go to the earlier row."""
    if not len(vectors):
        return []
    order = [int(np.argmax(_rounded(vectors @ vectors.mean(axis=0))))]
    nearest = _rounded(vectors @ vectors[order[0]])
    while len(order) < min(places, len(vectors)):
        nearest[order[-1]] = np.inf  # taken
        order.append(int(np.argmin(nearest)))
        np.maximum(nearest, _rounded(vectors @ vectors[order[-1]]), out=nearest)
    return order


def most_covering(vectors: Vectors, places: int) -> Places:
    """Give the greedy facility-location order of the rows, evaluated lazily; ties go to the earlier row.

    A row's gain only shrinks as others are taken (Minoux 1978), so that an old gain is a bound on the new one.
    """
    covered = np.zeros(len(vectors))
    first = (len(vectors) + vectors @ vectors.sum(axis=0, dtype=np.float64)) / 2
    waiting = [(-float(gain) - 1, row, -1) for row, gain in enumerate(first)]  # 1 more than rounding can take away
    heapq.heapify(waiting)
    order: Places = []
    while waiting and len(order) < places:
        _, row, known = heapq.heappop(waiting)
        if known == len(order):
            order.append(row)
            np.maximum(covered, _cover(vectors, row), out=covered)
        else:
            gain = np.maximum(_cover(vectors, row) - covered, 0).sum()
            heapq.heappush(waiting, (-round(float(gain), DECIMALS), row, len(order)))
    return order


def _cover(vectors: Vectors, row: int) -> npt.NDArray[np.float64]:
    return (1 + _rounded(vectors @ vectors[row]).astype(np.float64)) / 2


def _rounded(similarities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.round(similarities, DECIMALS)


def _ordered(
    rows: pl.DataFrame, vectors: Vectors | None, greedy: Callable[[Vectors, int], Places], places: int, maximum: int
) -> pl.DataFrame:
    assert vectors is not None  # noqa: S101 - for mypy: a rule that names a part is given its vectors
    by_id = rows["id"].arg_sort()  # so that the rows' order says nothing
    ids = rows["id"].gather(by_id)
    place = {ids[row]: at for at, row in enumerate(greedy(vectors[by_id.to_numpy()], places), 1)}
    never = dict.fromkeys(
        (row for row in ids if row not in place), f"only {places:,} places are given, and it has none"
    )
    return _values(rows["id"], place, maximum, never)


def _values(ids: pl.Series, place: Mapping[str, int], maximum: int, never: Mapping[str, str]) -> pl.DataFrame:
    """Give each row's place, and of one that falls `why`: it has none, or it comes after the first `maximum`."""
    values: Sequence[float] = [place.get(row, NEVER) for row in ids]
    after = {row: f"place {at:,}, after the first {maximum:,}" for row, at in place.items() if at > maximum}
    why = pl.Series([never.get(row) or after.get(row) for row in ids], dtype=pl.String)
    return pl.DataFrame({"id": ids, "value": pl.Series(values, dtype=pl.Float64), "why": why})


def _shuffled(seed: int, row: str) -> bytes:
    return blake2b(f"{seed}:{row}".encode(), digest_size=16).digest()
