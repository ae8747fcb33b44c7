from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.review.decks import deck, has_rows
from pipelines.review.order import Wanted, drawn_order, first_is_a, telling_order

NUMBER = st.sampled_from([None, 0.0, 0.5, 1.0, 2.0, 7.5])
ROWS = st.lists(st.tuples(st.sampled_from("xyz"), NUMBER, st.sampled_from([None, 0.0, 0.5, 1.0]), NUMBER), max_size=40)


Row = tuple[str, float | None, float | None, float | None]


def table(rows: Sequence[Row]) -> pl.DataFrame:
    """Give a deck of pairs: source, margin, how far judges are apart, how far from the trusted score."""
    told = [
        {
            "key": f"k{at}.l{at}",
            "a_id": f"k{at}",
            "b_id": f"l{at}",
            "source": source,
            "rule": "r",
            "sample_id": f"s{at}",
        }
        | {"score": score, "apart": apart, "far": far}
        for at, (source, score, apart, far) in enumerate(rows)
    ]
    kinds = dict.fromkeys(("key", "a_id", "b_id", "source", "rule", "sample_id"), pl.String)
    return pl.DataFrame(told, {**kinds, "score": pl.Float64, "apart": pl.Float64, "far": pl.Float64})


@given(ROWS, st.integers(0, 3))
def test_everything_is_read_once_and_in_the_same_order_every_time(rows: list[Row], seed: int) -> None:
    known = table(rows)
    for ordered in (telling_order, drawn_order):
        read = ordered(known, seed)
        assert sorted(read["key"]) == sorted(known["key"])
        assert read.equals(ordered(known.reverse(), seed))
        assert read.columns == known.columns


@given(ROWS, st.integers(0, 3))
def test_who_is_farther_apart_is_read_first(rows: list[Row], seed: int) -> None:
    apart = telling_order(table(rows), seed)["apart"].fill_null(0.0).to_list()
    assert apart == sorted(apart, reverse=True)


def test_small_margins_come_before_the_others_and_those_before_what_is_far_from_the_trusted_score() -> None:
    rows = [("x", float(at), None, None) for at in range(1, 21)]
    assert sorted(telling_order(table(rows), 0)["score"].head(2)) == [1.0, 2.0]
    far = [("x", 1.0, None, float(at)) for at in range(20)]  # all margins are the same: they tell nothing
    assert sorted(telling_order(table(far), 0)["far"].head(2)) == [0.0, 1.0]


def test_a_rare_source_is_not_left_for_the_end() -> None:
    rows = [("common", 1.0, None, None)] * 50 + [("rare", 1.0, None, None)] * 2
    assert telling_order(table(rows), 0)["source"].head(4).to_list().count("rare") == 2


@given(st.sampled_from(["anna", "ben", "名"]), st.integers(0, 5))
def test_sides_are_drawn_evenly_and_by_the_person(person: str, seed: int) -> None:
    sides = [first_is_a(seed, person, f"{at}.{at}") for at in range(400)]
    assert 140 < sum(sides) < 260
    assert sides != [first_is_a(seed, person + "'", f"{at}.{at}") for at in range(400)]
    assert sides == [first_is_a(seed, person, f"{at}.{at}") for at in range(400)]


@given(ROWS, NUMBER, NUMBER)
def test_a_narrower_filter_never_lets_more_through(rows: list[Row], least: float | None, most: float | None) -> None:
    known = table(rows)
    wide = set(Wanted(least=least).of(known)["key"])
    assert set(Wanted(least=least, most=most, apart=True, source="x").of(known)["key"]) <= wide
    for row in Wanted(least=least, most=most).of(known).iter_rows(named=True):
        assert least is None or row["score"] >= least
        assert most is None or row["score"] <= most


def test_a_finished_run_is_read_as_pairs_replies_and_dropped_samples(run: Path) -> None:
    pairs = deck(run, "pairs")
    assert pairs.filter(pl.col("apart") == 1).height == 4  # as the recorded judges say the opposite
    assert pairs.filter(pl.col("apart") == 0.5).height == 3
    assert (pairs["a_id"] < pairs["b_id"]).all()
    assert deck(run, "replies").height == pl.read_parquet(run / "sft").height
    assert set(deck(run, "dropped")["rule"]) == {"filters.length:words"}
    assert [has_rows(run, name) for name in ("pairs", "replies", "dropped")] == [True, True, True]


@pytest.mark.parametrize("empty", ["preferences", "comparisons"])
def test_a_run_with_picked_or_with_compared_pairs_alone_has_pairs_to_read(run: Path, empty: str) -> None:
    for file in sorted((run / empty).rglob("*.parquet")):
        file.unlink()
    assert deck(run, "pairs").height > 0


def test_equal_texts_are_one_thing_under_the_id_that_judges_were_asked_about(run: Path) -> None:
    file = next((run / "candidates").rglob("*.parquet"))
    rows = pl.read_parquet(file)
    picked = pl.read_parquet(next((run / "preferences").rglob("*.parquet")))
    again = rows.join(picked.select(id="chosen_id"), on="id", how="semi").with_columns(id=pl.lit("f") + pl.col("id"))
    before = deck(run, "pairs")
    file.unlink()
    pl.concat([rows, again]).write_parquet(file)
    place = next((run / "preferences").rglob("*.parquet"))
    place.unlink()
    picked.with_columns(chosen_id=pl.lit("f") + pl.col("chosen_id")).write_parquet(place)
    assert deck(run, "pairs").equals(before)


def test_near_the_trusted_score_is_what_the_runs_card_says(run: Path) -> None:
    (run / "cards").mkdir()
    card = '{"judge": "judges.pairwise:preference", "kind": "pairs", "trusted": {"score": 0.25}}'
    (run / "cards" / "one.json").write_text(card)
    assert set(deck(run, "pairs")["far"].drop_nulls()) == {0.75}
