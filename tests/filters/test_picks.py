from collections import Counter
from itertools import combinations
from math import e, inf
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filters import picks
from schemas.errors import InputError
from schemas.rules import PickRule
from schemas.vectors import Vectors

METHODS = ("k_center", "facility_location")
seeds = st.integers(0, 10_000)


def vectors_of(seed: int, rows: int, width: int = 3) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(rows, width))
    unit: Vectors = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return unit


def table(rows: int, source: str = "a") -> pl.DataFrame:
    ids = [f"{source}{at:03}" for at in range(rows)]
    return pl.DataFrame({"id": ids, "source": [source] * rows, "characters": [10] * rows})


def values(rule: PickRule, rows: pl.DataFrame, vectors: Vectors | None = None) -> dict[str, float]:
    return dict(rule.order(rows, vectors).select("id", "value").iter_rows())


def radius(vectors: Vectors, taken: list[int]) -> float:
    """The distance of the row that is farthest from all that are taken."""
    apart = np.linalg.norm(vectors[:, None] - vectors[taken][None], axis=2)
    return float(apart.min(axis=1).max())


def covering(vectors: Vectors, taken: list[int]) -> float:
    """What facility location counts: how near each row is to the nearest taken one."""
    return float(((1 + vectors @ vectors[taken].T) / 2).max(axis=1).sum())


@given(seeds, st.integers(1, 12), st.sampled_from(METHODS))
def test_a_bound_of_k_keeps_k_rows_and_a_stricter_one_keeps_some_of_them(seed: int, rows: int, method: str) -> None:
    vectors = vectors_of(seed, rows)
    measured = [values(picks.diverse(method=method, maximum=k), table(rows), vectors) for k in (1, 5)]  # type: ignore[arg-type]
    assert measured[0] == measured[1]
    assert sorted(measured[0].values()) == list(range(1, rows + 1))


@given(seeds, st.integers(2, 12), st.sampled_from(METHODS), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(seed: int, rows: int, method: str, random: Random) -> None:
    order = list(range(rows))
    random.shuffle(order)
    vectors, rule = vectors_of(seed, rows), picks.diverse(method=method)  # type: ignore[arg-type]
    assert values(rule, table(rows), vectors) == values(rule, table(rows)[order], vectors[order])


@given(seeds, st.integers(1, 8))
def test_k_center_covers_within_twice_the_best_radius(seed: int, rows: int) -> None:
    vectors = vectors_of(seed, rows)
    order = picks.farthest_first(vectors, rows)
    for k in range(1, rows + 1):
        best = min(radius(vectors, list(taken)) for taken in combinations(range(rows), k))
        assert radius(vectors, order[:k]) <= 2 * best + 1e-3  # of a square root of what is rounded to 6 decimals


@given(seeds, st.integers(1, 8))
def test_facility_location_covers_at_least_1_minus_1_over_e_of_the_best(seed: int, rows: int) -> None:
    vectors = vectors_of(seed, rows)
    order = picks.most_covering(vectors, rows)
    for k in range(1, rows + 1):
        best = max(covering(vectors, list(taken)) for taken in combinations(range(rows), k))
        assert covering(vectors, order[:k]) >= (1 - 1 / e) * best - 1e-4


@given(seeds, st.integers(1, 14))
def test_the_lazy_order_is_the_plain_greedy_one(seed: int, rows: int) -> None:
    vectors = vectors_of(seed, rows)
    taken: list[int] = []
    for row in picks.most_covering(vectors, rows):
        others = [other for other in range(rows) if other not in taken]
        gains = {other: covering(vectors, [*taken, other]) for other in others}
        assert gains[row] >= max(gains.values()) - 1e-4
        taken.append(row)


@pytest.mark.parametrize("method", METHODS)
def test_copies_come_last_and_ties_go_to_the_lower_id(method: str) -> None:
    axes = np.eye(4, dtype=np.float32)
    vectors = np.concatenate([axes, axes])
    measured = values(picks.diverse(method=method), table(8), vectors)  # type: ignore[arg-type]
    assert [measured[f"a{at:03}"] for at in range(8)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_rows_beyond_the_ranked_places_are_never_kept() -> None:
    measured = values(picks.diverse(places=2, maximum=2), table(5), vectors_of(0, 5))
    assert sorted(measured.values()) == [1, 2, inf, inf, inf]
    order = picks.diverse(places=2, maximum=1).order(table(5), vectors_of(0, 5)).sort("value")
    none = "only 2 places are given, and it has none"
    assert order["why"].to_list() == [None, "place 2, after the first 1", none, none, none]
    with pytest.raises(ValueError, match="of 2 places"):
        picks.diverse(places=2, maximum=3)


@pytest.mark.parametrize("method", METHODS)
def test_no_rows_are_no_order(method: str) -> None:
    assert values(picks.diverse(method=method), table(0), np.zeros((0, 3), np.float32)) == {}  # type: ignore[arg-type]
    assert values(picks.mixed(weights={}), table(0)) == {}


sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 30), min_size=1)


@settings(max_examples=60)
@given(sizes, st.data())
def test_any_number_of_first_rows_is_mixed_by_weight_as_far_as_rows_and_caps_last(
    rows: dict[str, int], data: st.DataObject
) -> None:
    weights = {source: data.draw(st.sampled_from([0, 0.5, 1, 2, 3.5])) for source in rows}
    caps = data.draw(st.dictionaries(st.sampled_from(list(rows)), st.integers(0, 20)))
    mixture = pl.concat([table(count, source) for source, count in rows.items()])
    measured = values(picks.mixed(weights=weights, caps=caps), mixture)
    last = {source: min(count, caps.get(source, count)) if weights[source] else 0 for source, count in rows.items()}
    places = sorted((place, row) for row, place in measured.items() if place < inf)
    assert [place for place, _ in places] == list(range(1, sum(last.values()) + 1))
    for k in range(len(places) + 1):
        taken = Counter(row[0] for _, row in places[:k])
        for one, other in combinations([source for source in rows if weights[source]], 2):
            for a, b in ((one, other), (other, one)):
                assert taken[a] <= last[a]
                if taken[b] < last[b]:  # it has more to give, so that none runs ahead of it
                    assert (taken[a] - 0.5) / weights[a] <= (taken[b] + 0.5) / weights[b] + 1e-9


def test_the_seed_and_not_the_rows_order_says_which_rows_of_a_source_come_first() -> None:
    rows = table(40)
    first = values(picks.mixed(weights={"a": 1}), rows)
    assert first == values(picks.mixed(weights={"a": 1}), rows.reverse())
    assert first != values(picks.mixed(weights={"a": 1}, seed=1), rows)
    assert first != {row: at for at, row in enumerate(rows["id"], 1)}


def test_a_source_without_a_weight_is_told() -> None:
    with pytest.raises(InputError, match=r"without a weight: \['b'\]"):
        values(picks.mixed(weights={"a": 1}), pl.concat([table(1), table(1, "b")]))


def test_weights_and_caps_below_0_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        picks.mixed(weights={"a": -1})
    with pytest.raises(ValueError, match="0 or more"):
        picks.mixed(weights={"a": 1}, caps={"a": -1})
