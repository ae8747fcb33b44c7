"""The figures of the report, held to their definitions."""

from collections import Counter
from itertools import combinations
from pathlib import Path
from statistics import fmean

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import candidate_figures, changes, counted, figures, pair_figures
from pipelines.judge_figures import jury_figures
from pipelines.store import Stored
from schemas.tables import CANDIDATES, COMPARISONS, JUDGMENTS, PREFERENCES, SCORES


@given(st.integers(1, 8), st.data())
def test_pass_at_k_is_the_share_of_draws_that_hold_a_passing_candidate(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    drawn = [any(one < c for one in draw) for draw in combinations(range(n), k)]
    assert candidate_figures.estimate(n, c, k) == pytest.approx(fmean(drawn))


@given(st.lists(st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1))
def test_every_prompt_is_in_one_band_and_pass_at_k_counts_those_with_k_candidates(
    prompts: list[tuple[int, int]],
) -> None:
    counts = Counter(prompts)
    assert sum(one["prompts"] for one in candidate_figures.bands(counts)) == len(prompts)
    told = candidate_figures.pass_at_k(counts)
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
    made = candidates("it is 5", "it is 5", "it is 6")
    told = candidate_figures.diversity(
        candidate_figures.reply_counts(made, extracted), candidate_figures.words(made, {})
    )
    assert (told["prompts"], told["texts"], told["answers"]) == (1, pytest.approx(2 / 3), 2)
    assert told["words"] == pytest.approx(3 / 6)


def test_equal_scores_are_counted_over_all_pairs_of_a_prompts_candidates() -> None:
    verified = pl.DataFrame({"candidate_id": ["c0", "c1", "c2"], "score": [1.0, 1.0, 0.0]})
    told = candidate_figures.candidate_figures(candidate_figures.passing_counts(candidates("a", "b", "c"), verified))
    assert told["equal_pairs"] == {"pairs": 3, "equal": 1}
    assert (told["prompts"], told["mixed"]) == (1, 1)


def test_the_words_of_the_prompts_with_the_lowest_ids_are_read_in_whatever_order_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidate_figures, "PROMPTS_READ", 2)
    some = {name: candidates(f"{name} and {name}", "and so on").with_columns(sample_id=pl.lit(name)) for name in "dbca"}
    read: candidate_figures.Words = {}
    for one in some.values():
        read = candidate_figures.words(one, read)
    assert read == candidate_figures.words(pl.concat(some.values()), {})
    assert sorted(read) == ["a", "b"]


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
    rows = pl.DataFrame({"a_id": ["x", "x", "z"], "b_id": ["y", "z", "y"], "score": [1.0, -1.0, 0.0]})
    texts = pl.DataFrame({"id": ["x", "y", "z"], "text": ["x" * 9, "no", "z" * 9]})
    told = figures.length_figures(figures.length_counts(rows, texts))
    assert (told["longer"], told["longer_of"]) == (1.0, 1)


def test_a_part_put_before_another_changes_no_other_parts_settings() -> None:
    before = {"name": "x", "filters": [{"use": "a:b", "maximum": 3}]}
    after = {"name": "x", "filters": [{"use": "c:d"}, {"use": "a:b", "maximum": 4}]}
    assert changes.settings(before, after) == [
        {"setting": "filters[a:b].maximum", "was": "3", "is": "4"},
        {"setting": "filters[c:d].use", "was": None, "is": '"c:d"'},
    ]


def test_members_of_a_jury_of_pairs_that_never_agree_are_told_as_such() -> None:
    sides = {"sample_id": "s", "a_id": "c0", "b_id": "c1", "score": 0.0, "status": "judged"}
    said = {"sample_id": "s", "candidate_id": "c0", "other_id": "c1"}
    judgments = [said | {"member": at, "score": score} for at, score in enumerate((1.0, -1.0))]
    counts = counted.judge_counts(
        Stored(Path("jury"), {"comparisons": 1, "judgments": 2}, reused=True, seconds=0.0),
        candidates("yes", "no"),
        pl.DataFrame(schema=SCORES),
        pl.DataFrame([sides], schema=COMPARISONS),
        pl.DataFrame(judgments, schema=JUDGMENTS),
        pl.DataFrame(schema={"candidate_id": pl.String, "score": pl.Float64}),
    )
    assert jury_figures(counts)["members_agree"] == {"0, 1": 0.0}
