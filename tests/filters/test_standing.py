"""Which rows stay beside others that match them."""

import itertools

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from filters.forest import strongest
from filters.standing import MANY, beside, clusters

Pair = tuple[int, int, float]
NUMBERS = st.integers(0, 11)
MEASURES = st.sampled_from([0.8, 0.85, 0.9])
PAIRS = st.lists(
    st.tuples(NUMBERS, NUMBERS, MEASURES).filter(lambda pair: pair[0] < pair[1]), unique_by=lambda p: p[:2]
)


def said(pairs: list[Pair], *, outside: int = 0, may_stay: int = 99) -> dict[int, tuple[bool, int | None, int, bool]]:
    """Give whether each row stays, its match, its pair and whether it hangs; the first rows are outside."""
    table = pl.DataFrame([(str(a), str(b), m) for a, b, m in pairs], schema=SCHEMA, orient="row")
    rows = sorted({row for a, b, _ in pairs for row in (a, b)})
    rows.sort(key=lambda row: row >= may_stay)
    order = pl.DataFrame(
        {"id": [str(row) for row in rows], "outside": [row < outside for row in rows]},
        schema={"id": pl.String, "outside": pl.Boolean},
    ).with_columns(may_stay=pl.Series([row < may_stay for row in rows], dtype=pl.Boolean))
    told = beside(table, order)
    return {
        int(row): (stays, None if match is None else int(match), pair, hangs)
        for row, stays, match, pair, hangs in told.select("id", "stays", "match", "pair", "hangs").iter_rows()
    }


SCHEMA = {"id": pl.String, "other": pl.String, "measured": pl.Float64}


@given(PAIRS)
def test_what_falls_was_compared_with_what_stays_and_no_two_that_stay_are_alike(pairs: list[Pair]) -> None:
    told = said(pairs)
    assert not any(told[a][0] and told[b][0] for a, b, _ in pairs)
    for row, (stays, match, pair, hangs) in told.items():
        if not stays:
            assert not hangs
            assert match is not None
            assert told[match][0]
            assert {row, match} == set(pairs[pair][:2])
            assert pairs[pair][2] == max(m for a, b, m in pairs if row in {a, b} and (told[a][0] or told[b][0]))


@given(PAIRS, st.integers(0, 12), st.integers(0, 12))
def test_outside_rows_stay_and_rows_that_may_not_do_not(pairs: list[Pair], outside: int, living: int) -> None:
    told = said(pairs, outside=outside, may_stay=max(outside, living))
    for row, (stays, match, _pair, _hangs) in told.items():
        assert stays or row >= outside
        assert not stays or row < max(outside, living)
        near = {b if a == row else a for a, b, _ in pairs if row in {a, b}}
        assert stays or (match is not None) == any(told[other][0] for other in near)


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(pairs: list[Pair], random: np.random.Generator) -> None:
    turned = [(b, a, m) for a, b, m in pairs]
    random.shuffle(turned)
    assert {row: told[:2] for row, told in said(turned).items()} == {row: told[:2] for row, told in said(pairs).items()}


def test_two_families_that_a_single_pair_joins_keep_a_row_each() -> None:
    told = said([(0, 2, 0.9), (2, 3, 0.81), (1, 3, 0.9)])
    assert {row for row, (stays, *_) in told.items() if stays} == {0, 1}


def test_of_rows_that_are_the_same_one_stays_and_all_have_the_pairs_of_each() -> None:
    told = said([(3, 2, 1.0), (2, 1, 1.0), (3, 0, 0.9)])
    assert told[0][0]
    assert {row: told[row][:2] for row in (1, 2, 3)} == {1: (False, 0), 2: (False, 0), 3: (False, 0)}
    alone = said([(3, 2, 1.0), (2, 1, 1.0)])
    assert [alone[row] for row in (1, 2, 3)] == [(True, None, None, False), (False, 1, 1, False), (False, 1, 0, True)]


def test_a_row_in_many_pairs_falls_beside_what_it_hangs_together_with() -> None:
    chain = [(0, 1, 0.9), *((1, other, 0.9) for other in range(2, MANY + 1)), (MANY, 99, 0.9)]
    crowd = [(99, other, 0.9) for other in range(100, 100 + MANY)]
    told = said([*chain, *crowd], may_stay=1000)
    assert told[0][0]
    assert told[1][:2] == (False, 0)
    assert all(told[other][0] for other in range(2, MANY))  # in a single pair, with a row that falls
    assert told[99][0] is False
    few = said([*chain, *crowd[:-2]], may_stay=1000)
    assert (few[MANY][0], few[99][0]) == (True, False)
    assert few[99][1] == MANY


@given(st.integers(0, 5000), st.integers(2, 60), st.integers(1, 9))
def test_of_many_pairs_enough_are_left_whatever_comes_first(seed: int, rows: int, parts: int) -> None:
    random = np.random.default_rng(seed)
    every = [(a, b, float(random.choice([0.7, 0.8, 0.9]))) for a, b in itertools.combinations(range(rows), 2)]
    every = [pair for pair in every if random.random() < random.choice([0.1, 0.9])]
    random.shuffle(every)
    held = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for part in range(parts):
        some = every[part::parts]
        left, right = (np.array([pair[side] for pair in some], np.int64) for side in (0, 1))
        measured = np.array([pair[2] for pair in some], np.float64)
        a, b, c = held
        held = strongest(np.append(a, left), np.append(b, right), np.append(c, measured), rows)
    found = set(zip(*(column.tolist() for column in held), strict=True))
    assert len(found) == held[0].size
    assert found <= set(every)
    for least in (0.7, 0.8, 0.9):
        mine, all_of = ([pair for pair in some if pair[2] >= least] for some in (found, every))
        assert grouped(mine) == grouped(all_of)
        for row in range(rows):
            own = {pair for pair in mine if row in pair[:2]}
            assert len(own) >= MANY or own == {pair for pair in all_of if row in pair[:2]}


def grouped(pairs: list[Pair]) -> set[frozenset[str]]:
    table = pl.DataFrame([(str(a), str(b), m) for a, b, m in pairs], schema=SCHEMA, orient="row")
    return set(map(frozenset, clusters(table).group_by("cluster").agg("id")["id"].to_list()))
