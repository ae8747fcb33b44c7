import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.agreement import alpha, kappa, majority, mean, trusted_from, wilson

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60)
KRIPPENDORFF = [  # his example with four observers and missing values, by unit
    [1, 1, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [5, 5, 5],
    [1, 1],
    [3],
]


def test_kappa_of_the_textbook_table() -> None:
    one = ["y"] * 25 + ["n"] * 25
    other = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa(one, other) == pytest.approx(0.4)


@given(LABELS)
def test_kappa_is_that_of_the_confusion_matrix_and_symmetric(rows: list[tuple[int, int]]) -> None:
    one, other = map(list, zip(*rows, strict=True))
    found = kappa(one, other)
    assert found == kappa(other, one)
    if len({*one, *other}) == 1:
        assert found is None
    else:
        table = np.zeros((4, 4))
        np.add.at(table, (one, other), 1 / len(rows))
        missed, by_chance = 1 - np.trace(table), 1 - table.sum(0) @ table.sum(1)
        assert found == pytest.approx(1 - missed / by_chance)


def test_alpha_of_krippendorffs_own_example() -> None:
    assert alpha(KRIPPENDORFF) == pytest.approx(0.743, abs=5e-4)
    assert alpha(KRIPPENDORFF, scale="interval") == pytest.approx(0.849, abs=5e-4)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), max_size=20), st.randoms())
def test_alpha_does_not_depend_on_the_order_of_units_or_raters(units: list[list[int]], chance: random.Random) -> None:
    found = alpha(units)
    mixed = [chance.sample(unit, len(unit)) for unit in chance.sample(units, len(units))]
    assert alpha(mixed) == (None if found is None else pytest.approx(found))
    assert found is None or found <= 1


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_raters_that_always_agree_have_alpha_1_unless_there_is_one_label(labels: list[int]) -> None:
    found = alpha([[label, label] for label in labels])
    assert found == (None if len(set(labels)) == 1 else 1)


def test_raters_that_guess_have_kappa_and_alpha_near_0() -> None:
    chance = np.random.default_rng(0)
    one, other = (chance.integers(0, 3, 20_000).tolist() for _ in range(2))
    assert kappa(one, other) == pytest.approx(0, abs=0.02)
    assert alpha(list(zip(one, other, strict=True))) == pytest.approx(0, abs=0.02)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        hits = np.random.default_rng(seed).random(200) < 0.7
        interval = mean(hits.tolist(), range(200), draws=500, seed=seed).interval
        assert interval is not None
        held += interval[0] <= 0.7 <= interval[1]
    assert 0.90 <= held / 300 <= 0.99


def test_rows_of_one_prompt_do_not_narrow_the_interval() -> None:
    hits = (np.random.default_rng(1).random(50) < 0.6).astype(float).tolist()
    once = mean(hits, range(50))
    copied = mean(hits * 10, [*range(50)] * 10)
    assert once.interval is not None
    assert once.interval == pytest.approx(copied.interval)


def test_nothing_to_tell_is_null() -> None:
    assert mean([], []).mean is None
    assert mean([1.0], ["a prompt"]).interval is None
    assert kappa([], []) is None
    assert alpha([[1], [2]]) is None


@given(st.floats(0.5, 0.9), st.floats(0, 0.1))
def test_a_stricter_demand_never_trusts_earlier(least: float, more: float) -> None:
    chance = np.random.default_rng(2)
    sure = (chance.integers(1, 6, 400) / 5).tolist()
    right = (chance.random(400) < np.array(sure)).astype(float).tolist()
    lax = trusted_from(sure, right, range(400), least=least, draws=200)
    strict = trusted_from(sure, right, range(400), least=least + more, draws=200)
    assert strict is None or (lax is not None and lax <= strict)


def test_a_judge_that_guesses_is_trusted_nowhere() -> None:
    chance = np.random.default_rng(3)
    sure, right = chance.random(200).round(1).tolist(), (chance.random(200) < 0.5).astype(float).tolist()
    assert trusted_from(sure, right, range(200), least=0.8) is None


def test_people_who_are_split_settle_nothing() -> None:
    assert majority([1, 1, -1]) == 1
    assert majority([1, -1]) is None
    assert majority([]) is None


@given(st.integers(1, 10_000), st.data())
def test_the_interval_of_a_share_holds_it_and_has_its_mirror(rows: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, rows))
    low, high = wilson(hits, rows) or (2.0, 2.0)
    assert 0 <= low <= hits / rows + 1e-9
    assert hits / rows - 1e-9 <= high <= 1
    assert wilson(rows - hits, rows) == pytest.approx((1 - high, 1 - low))


def test_none_of_fifty_is_not_surely_none() -> None:
    assert wilson(0, 50) == pytest.approx((0, 0.0713), abs=1e-4)  # z² / (50 + z²)
    assert wilson(0, 0) is None
