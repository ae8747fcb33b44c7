"""How far two arms are apart: laws of the paired bootstrap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.effects import effect, holm


def grid(seed: int, *, mean: float, between: float = 0.0, seeds: int = 3, tasks: int = 100) -> np.ndarray:
    chance = np.random.default_rng(seed)
    difficulty = np.random.default_rng(0).normal(0, 0.2, tasks)
    return mean + difficulty + chance.normal(0, 0.1, (seeds, tasks)) + chance.normal(0, between, (seeds, 1))


def test_swapping_the_arms_negates_the_effect() -> None:
    one, other = grid(1, mean=0.6), grid(2, mean=0.5)
    there, back = effect(one, other), effect(other, one)
    assert there.mean == pytest.approx(-back.mean)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))
    assert there.p == back.p


def test_the_same_grid_has_no_effect() -> None:
    one = grid(1, mean=0.6)
    assert effect(one, one).interval == (0, 0)
    assert effect(one, one).p == 1


def test_a_planted_effect_is_found_and_lies_in_its_interval() -> None:
    told = effect(grid(1, mean=0.6), grid(2, mean=0.5))
    assert told.interval[0] < 0.1 < told.interval[1]
    assert told.interval[0] > 0.05
    assert told.p < 0.001
    assert len(told.by_seed) == 3


def test_difficulty_that_both_arms_share_does_not_widen_the_interval() -> None:
    hard = np.random.default_rng(3).normal(0, 5, (1, 100))
    one, other = grid(1, mean=0.6), grid(2, mean=0.5)
    assert effect(one + hard, other + hard).interval == pytest.approx(effect(one, other).interval)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = effect(grid(1, mean=0.6), grid(2, mean=0.5))
    apart = effect(grid(1, mean=0.6, between=0.1), grid(2, mean=0.5, between=0.1))
    assert apart.interval[1] - apart.interval[0] > 2 * (alike.interval[1] - alike.interval[0])


def test_grids_of_different_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="the same seeds and tasks"):
        effect(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="one or more"):
        effect(np.ones((0, 3)), np.ones((0, 3)))


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), max_size=8))
def test_looking_at_several_never_finds_more_and_the_smallest_goes_first(told: dict[str, float]) -> None:
    stands = holm(told)
    assert list(stands) == list(told)
    assert all(told[name] <= 0.05 for name, yes in stands.items() if yes)
    if any(stands.values()):
        assert stands[min(told, key=lambda name: told[name])]
        bar = max(told[name] for name, yes in stands.items() if yes)
        assert all(stands[name] for name in told if told[name] < bar)


def test_of_twenty_only_what_stands_against_all_twenty_counts() -> None:
    told = {str(at): 0.04 for at in range(19)} | {"planted": 0.001}
    assert [name for name, yes in holm(told).items() if yes] == ["planted"]
