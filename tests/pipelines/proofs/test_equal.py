"""Datasets of equal tokens."""

from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.equal import content, counter, equalised, filled

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def table(count: int, first: int = 0) -> pl.DataFrame:
    rows = [
        {"id": f"row{at}", "prompt": [_turn("user", f"p{at}")], "completion": [_turn("assistant", f"c{at}")]}
        for at in range(first, first + count)
    ]
    return pl.DataFrame(rows)


def _turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


@given(sizes, st.integers(40, 2_000), st.integers(0, 9))
def test_any_rows_hold_the_budget_within_one_row(tokens: list[int], budget: int, seed: int) -> None:
    read = filled(table(len(tokens)).with_columns(tokens=pl.Series(tokens)), tokens, budget, seed)
    assert budget - max(tokens) < read["tokens"].sum() <= budget


@given(sizes, st.integers(40, 2_000), st.integers(0, 9))
def test_no_row_is_read_again_before_all_others_were(tokens: list[int], budget: int, seed: int) -> None:
    counts = filled(table(len(tokens)), tokens, budget, seed)["id"].value_counts()["count"]
    assert counts.max() - (counts.min() if len(counts) == len(tokens) else 0) <= 1  # type: ignore[operator]


@given(st.integers(2, 20), st.integers(0, 9), st.data())
def test_arms_that_share_rows_read_them_in_the_same_order(count: int, seed: int, data: st.DataObject) -> None:
    whole = table(count)
    some = whole[sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))]
    order = filled(whole, [1] * count, count, seed)["id"].to_list()
    assert filled(some, [1] * some.height, some.height, seed)["id"].to_list() == [
        one for one in order if one in set(some["id"])
    ]


def test_another_seed_reads_in_another_order() -> None:
    assert filled(table(20), [1] * 20, 20, 1)["id"].to_list() != filled(table(20), [1] * 20, 20, 2)["id"].to_list()


def test_what_is_learned_names_a_table_not_its_ids_nor_its_order() -> None:
    rows = table(6)
    assert content(rows) == content(rows[[5, 3, 1, 0, 2, 4]].with_columns(id=pl.lit("other")))
    assert content(rows) != content(rows.head(5))
    labelled = [rows.with_columns(label=pl.lit(value)) for value in (True, False)]
    assert content(labelled[0]) != content(labelled[1])


def test_equal_rows_have_one_place(tmp_path: Path) -> None:
    def made(rows: pl.DataFrame, budget: int = 9) -> tuple[str, bool]:
        stored = equalised(
            tmp_path,
            rows,
            "sft",
            budget=budget,
            seed=1,
            count=lambda some: pl.Series([3] * some.height),
            counted_by="threes",
        )
        return stored.key, stored.reused

    first = made(table(4))
    assert made(table(4)[[3, 2, 1, 0]]) == (first[0], True)
    assert made(table(4), budget=12)[0] != first[0]
    assert made(table(5))[0] != first[0]


def test_a_row_counts_up_to_the_length_that_training_reads_of_it(tiny: str) -> None:
    rows = table(1)
    long = rows.with_columns(completion=pl.Series([[_turn("assistant", "word " * 300)]]))
    pair = rows.rename({"completion": "chosen"}).with_columns(rejected=pl.col("chosen"))
    short = counter(tiny, 128)(rows)[0]
    assert 4 < short < 20
    assert counter(tiny, 128)(long)[0] == 128
    assert counter(tiny, 128)(pair)[0] == 2 * short
