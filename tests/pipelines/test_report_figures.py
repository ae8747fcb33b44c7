"""The figures of the report, held to their definitions."""

from itertools import combinations
from statistics import fmean

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import candidate_figures, changes, figures, pair_figures
from schemas.tables import CANDIDATES, PREFERENCES


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_passing_candidate(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    drawn = [any(one < c for one in draw) for draw in combinations(range(n), k)]
    assert candidate_figures.estimate(n, c, k) == pytest.approx(fmean(drawn))


@given(st.lists(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1))
def test_every_prompt_is_in_one_band_and_pass_at_k_counts_those_with_k_candidates(
    prompts: list[tuple[int, int]],
) -> None:
    table = pl.DataFrame(prompts, schema={"n": pl.Int64, "c": pl.Int64}, orient="row")
    assert sum(one["prompts"] for one in candidate_figures.bands(table)) == len(prompts)
    told = candidate_figures.pass_at_k(table)
    assert [one["prompts"] for one in told] == [sum(n >= one["k"] for n, _c in prompts) for one in told]
    assert told[0]["value"] == pytest.approx(fmean(c / n for n, c in prompts))


def candidates(*texts: str) -> pl.DataFrame:
    rows = [
        {"id": f"c{at}", "sample_id": "s", "model": "m", "status": "answered", "text": text}
        for at, text in enumerate(texts)
    ]
    return pl.DataFrame(rows, schema=CANDIDATES)


def test_diversity_counts_texts_answers_and_pairs_of_words_within_a_prompt() -> None:
    extracted = pl.DataFrame({"candidate_id": ["c0", "c1", "c2"], "extracted": ["5", "5", "6"]})
    told = candidate_figures.diversity(candidates("it is 5", "it is 5", "it is 6"), extracted)
    assert (told["prompts"], told["texts"], told["answers"]) == (1, pytest.approx(2 / 3), 2)
    assert told["words"] == pytest.approx(3 / 6)


def test_equal_scores_are_counted_over_all_pairs_of_a_prompts_candidates() -> None:
    verified = pl.DataFrame({"candidate_id": ["c0", "c1", "c2"], "score": [1.0, 1.0, 0.0]})
    told = candidate_figures.candidate_figures(candidates("a", "b", "c"), verified)
    assert told["equal_pairs"] == {"pairs": 3, "equal": 1}
    assert (told["prompts"], told["mixed"]) == (1, 1)


def pairs(*sides: tuple[str, str]) -> pl.DataFrame:
    rows = [
        {"id": f"p{at}", "chosen": [{"content": chosen}], "rejected": [{"content": rejected}], "margin": 1.0}
        | {"chosen_generator": "m", "rejected_generator": "m" if at else "source"}
        for at, (chosen, rejected) in enumerate(sides)
    ]
    return pl.DataFrame(rows, schema=PREFERENCES)


def test_sides_that_differ_in_case_or_marks_alone_are_near_identical() -> None:
    two = [pairs(("Yes, 5.", "yes 5"), ("It is five.", "No idea"))]
    told = figures.preference_figures(figures.pairs_of(two)) | pair_figures.alike(two)
    assert (told["same_words"], told["near_identical"]) == (1, 1)
    assert (told["same_generator"], told["on_policy"]) == (0.5, 0.5)
    assert pair_figures.near_identical([pairs(("a b", "c d"), ("A b", "a B"))], 5)["id"].to_list() == ["p1"]


def test_a_judge_that_always_prefers_the_longer_reply_is_told_and_equal_lengths_are_left_out() -> None:
    rows = pl.DataFrame(
        {"sample_id": ["s"] * 3, "a_id": ["x", "x", "z"], "b_id": ["y", "z", "y"], "score": [1.0, -1.0, 0.0]}
    )
    lengths = pl.DataFrame({"id": ["x", "y", "z"], "characters": [9, 2, 9]})
    told = figures.length_figures(rows, lengths)
    assert (told["longer"], told["longer_of"]) == (1.0, 1)


def test_a_part_put_before_another_changes_no_other_parts_settings() -> None:
    before = {"name": "x", "filters": [{"use": "a:b", "maximum": 3}]}
    after = {"name": "x", "filters": [{"use": "c:d"}, {"use": "a:b", "maximum": 4}]}
    assert changes.settings(before, after) == [
        {"setting": "filters[a:b].maximum", "was": "3", "is": "4"},
        {"setting": "filters[c:d].use", "was": None, "is": '"c:d"'},
    ]
