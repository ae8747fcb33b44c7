"""What each method of a loop learns from: newest policies, capped replies, weak families, higher thresholds."""

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.experiments import Loop
from pipelines.loop import part_of
from pipelines.rounds import agreement, distinct
from pipelines.sections import SelectPart
from pipelines.targeted import families_of
from schemas.parts import load
from schemas.tables import COMPARISONS, SCORES
from tests.pipelines.proofs.looping import ran, table

if TYPE_CHECKING:
    from tests.pipelines.proofs.conftest import Workshop

RULES = (
    "pipelines.select:best_and_worst",
    "pipelines.strategies:best_and_random",
    "pipelines.strategies:within_margin",
)


def test_iterative_dpo_learns_from_its_newest_policy_alone(workshop: "Workshop") -> None:
    workshop.learn = lambda old, _right: old + 0.1
    summary = ran(workshop, 'method = "dpo"\nrounds = 3', method="dpo")
    rounds = summary["loop"]["rounds"][1:]
    assert [one["stale"]["preferences"] for one in rounds] == [{"mean_age": 0, "older": 0}] * 3
    pairs = table("preferences", summary)
    assert set(pairs["chosen_generator"]) == {"checkpoint"} == set(pairs["rejected_generator"])


def test_with_memory_older_replies_are_selected_from_and_told_as_stale(workshop: "Workshop") -> None:
    workshop.learn = lambda old, _right: old + 0.1
    rounds = ran(workshop, 'method = "rest-em"\nrounds = 3\nmemory = 1\nstart = "last"')["loop"]["rounds"]
    stale = [one["stale"]["sft"] for one in rounds[1:]]
    assert stale[0] == {"mean_age": 0, "older": 0}
    assert all(0 < one["older"] < 1 for one in stale[1:])
    assert all(one["mean_age"] <= 1 for one in stale), "no older than memory"


def test_best_of_n_learns_one_reply_a_prompt_whatever_its_score(workshop: "Workshop") -> None:
    summary = ran(workshop, 'method = "best-of-n"\nrounds = 1')
    assert table("sft", summary)["sample_id"].is_unique().all()
    assert table("sft", summary).height == summary["rows"]["kept"]
    assert summary["loop"]["divergence"] == pytest.approx(0.636, abs=0.001)


def test_the_caps_of_a_loop_hold(workshop: "Workshop") -> None:
    summary = ran(workshop, 'method = "rest-em"\nrounds = 1\ncap = 2')
    assert table("sft", summary)["sample_id"].value_counts()["count"].max() == 2


def test_a_loop_never_learns_the_replies_that_came_with_the_data(workshop: "Workshop") -> None:
    assert "source" not in set(table("sft", ran(workshop, 'method = "rejection"\nrounds = 1'))["generator"])


HYBRID = """
rounds = 1
families = { one-digit = "is [0-9] plus", two-digits = "is [0-9]{2} plus" }
[[train]]
method = "grpo"
generations = 4
batch_size = 8
"""


@pytest.mark.parametrize(("weak", "families"), [(1.0, ["one-digit", "two-digits"]), (0.01, [])])
def test_rl_trains_on_weak_families_alone_and_is_left_out_where_none_is(
    workshop: "Workshop", weak: float, families: list[str]
) -> None:
    workshop.learn = lambda old, _right: old + 0.1
    told = ran(workshop, f'method = "hybrid"\nweak = {weak}{HYBRID}')["loop"]["rounds"][1]
    assert told["targeted"]["weak"] == families
    assert told["passes"][0]["jobs"] == (["sft", "grpo"] if families else ["sft"])
    assert set(told["targeted"]["families"]) == {"one-digit", "two-digits"}
    assert told["targeted"]["families"]["two-digits"]["tasks"] == 50


def test_a_family_is_the_first_pattern_found_or_the_verifier() -> None:
    rows = pl.DataFrame(
        {
            "id": ["a", "b", "c"],
            "prompt": [[{"role": "user", "content": text}] for text in ("Add 1 and 2.", "Sort: add", "Spell it.")],
            "check": ['{"use": "judges.math:final_answer"}', None, None],
        }
    )
    named = families_of(rows, {"order": "^sort", "sums": "add"})
    assert named["family"].to_list() == ["sums", "order", "other"]
    assert families_of(rows, {})["family"].to_list() == ["judges.math:final_answer", "reference", "reference"]


@settings(max_examples=40)
@given(
    st.integers(0, 1000),
    st.lists(st.floats(0, 1), min_size=2, max_size=4, unique=True).map(sorted),
    st.integers(1, 5),
    st.sampled_from(RULES),
)
def test_what_a_higher_threshold_learns_is_part_of_what_a_lower_one_does(
    seed: int, thresholds: list[float], cap: int, rule: str
) -> None:
    chance = random.Random(seed)
    rows = [
        {"id": f"{prompt}-{at}", "sample_id": f"s{prompt}", "text": f"{chance.random()}", "wins": 0.0, "model": "m"}
        | {"score": chance.choice([None, 0.0, 0.25, 0.5, 0.75, 1.0]), "spread": None}
        for prompt in range(6)
        for at in range(6)
    ]
    candidates = pl.DataFrame(rows, schema_overrides={"score": pl.Float64, "spread": pl.Float64})
    loop = Loop(method="rest", thresholds=tuple(thresholds), cap=cap)
    parts = [part_of(SelectPart(use=rule, held_out=0.0), loop, threshold) for threshold in loop.passes]
    learned = [set(load(part.use, part.arguments)(candidates).sft["id"]) for part in parts]
    for lower, higher in pairwise(learned):
        assert higher <= lower


def test_replies_that_repeat_are_less_diverse() -> None:
    rows = pl.DataFrame({"sample_id": ["a"] * 4 + ["b"] * 2, "text": ["x", "x", "y", "y", "z", "w"]})
    assert distinct(rows) == pytest.approx((0.5 + 1) / 2)
    assert distinct(rows.clear()) is None


def test_a_judge_that_is_always_with_the_verifiers_agrees_and_its_mirror_image_never() -> None:
    scores = pl.DataFrame({"candidate_id": ["a", "b", "c"], "score": [1.0, 0.0, 0.0]})
    rows = [{"a_id": "a", "b_id": "b", "score": 1.0}, {"a_id": "b", "b_id": "c", "score": 1.0}]
    told = pl.DataFrame(rows)
    assert agreement(told, scores) == 1
    assert agreement(told.with_columns(score=-pl.col("score")), scores) == 0
    assert agreement(told.with_columns(score=pl.lit(0.0)), scores) == 0.5
    assert agreement(pl.DataFrame(schema=COMPARISONS), pl.DataFrame(schema=SCORES)) is None
