"""Bins of a histogram that is read as text."""

from itertools import pairwise

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.bins import histogram


@given(st.lists(st.floats(-1e6, 1e6) | st.floats(0, 1e-6) | st.integers(-5, 90).map(float), max_size=60))
def test_every_value_is_in_one_of_twelve_bins_that_follow_each_other(values: list[float]) -> None:
    told = histogram(pl.Series(values, dtype=pl.Float64))
    assert sum(one["rows"] for one in told) == len(values)
    assert len(told) <= 12
    assert all(one["from"] <= one["to"] for one in told)
    assert all(one["to"] <= after["from"] for one, after in pairwise(told))
    assert not values or (told[0]["from"] <= min(values) and told[-1]["to"] == max(values))


def test_bins_of_whole_numbers_end_at_whole_numbers() -> None:
    told = histogram(pl.Series([float(at) for at in range(1, 1_437)]))
    assert [(one["from"], one["to"]) for one in told[:3]] == [(1, 199), (200, 399), (400, 599)]
    assert (told[-1]["from"], told[-1]["to"]) == (1_400, 1_436)


def test_bins_of_other_numbers_end_at_round_ones() -> None:
    told = histogram(pl.Series([0.7 + at / 1_000 for at in range(300)]))
    assert [one["from"] for one in told] == [0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert all(49 <= one["rows"] <= 51 for one in told)


def test_a_heavy_tail_is_no_reason_to_put_most_values_in_one_bin() -> None:
    told = histogram(pl.Series([1 + at / 20 for at in range(113)] + [900.0, 4_000.0, 7_000.0, 21_000.0, 30_000.0]))
    assert max(one["rows"] for one in told) < 80
    assert [one["from"] for one in told][1:4] == [3, 10, 30]


def test_zero_has_a_bin_of_its_own_beside_logarithmic_ones() -> None:
    told = histogram(pl.Series([0.0] * 3 + [float(at) for at in range(1, 40)] + [8_000.0] * 2))
    assert (told[0]["from"], told[0]["to"], told[0]["rows"]) == (0, 0, 3)
    assert max(one["rows"] for one in told) < 22
