from collections.abc import Callable, Sequence
from functools import partial

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.scored import table_of
from pipelines.select import Selection, best_and_worst
from pipelines.strategies import best_and_random, delta, length_controlled, most_disputed, most_learnable, within_margin
from schemas.tables import CANDIDATES, COMPARISONS, SCORES

Strategy = Callable[[pl.DataFrame], Selection]
STRATEGIES: dict[str, Strategy] = {
    "best and worst": partial(best_and_worst, minimum=0.5, margin=0.25),
    "best and random": partial(best_and_random, minimum=0.5, margin=0.25, pairs=2),
    "within margin": partial(within_margin, minimum=0.0, margin=0.25, maximum=0.5, pairs=3),
    "length-controlled": partial(length_controlled, rho=0.25, minimum=0.5, margin=0.25),
    "delta": partial(delta, strong="m", weak="n", pairs=2),
    "most disputed": partial(most_disputed, share=0.5),
    "most learnable": partial(most_learnable, share=0.5, minimum=0.5, margin=0.25),
}
CAPS = {"best and random": 2, "within margin": 3, "delta": 2}
ROW = st.tuples(
    st.sampled_from("pqr"),
    st.sampled_from(["x", "yy", "zzz", "wwww"]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0, None]),
    st.sampled_from(["m", "n", "source"]),
    st.sampled_from([0.0, 0.5, None]),
)
ROWS = st.lists(ROW, max_size=16)
every = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES)


def candidates(rows: Sequence[tuple[str, str, float | None, str, float | None]]) -> pl.DataFrame:
    """Give candidates of sample, text, score, model and spread."""
    nothing = [pl.DataFrame(schema=one) for one in (CANDIDATES, SCORES, COMPARISONS)]
    schema = table_of(nothing[0], nothing[1], nothing[2]).schema
    made = [
        dict.fromkeys(schema)
        | {"id": f"c{at}", "sample_id": sample, "text": text, "score": score, "model": model, "spread": spread}
        | {"wins": 0.0, "status": "answered"}
        for at, (sample, text, score, model, spread) in enumerate(rows)
    ]
    return pl.DataFrame(made, schema=schema)


def sides(table: pl.DataFrame, picked: Selection) -> list[tuple[dict[str, object], dict[str, object]]]:
    known = {row["id"]: row for row in table.iter_rows(named=True)}
    return [(known[chosen], known[rejected]) for chosen, rejected in picked.pairs.iter_rows()]


@every
@given(rows=ROWS)
def test_a_pair_answers_one_prompt_with_two_texts_the_better_one_chosen(
    strategy: Strategy, rows: list[tuple[str, str, float | None, str, float | None]]
) -> None:
    table = candidates(rows)
    for chosen, rejected in sides(table, strategy(table)):
        assert chosen["sample_id"] == rejected["sample_id"]
        assert chosen["text"] != rejected["text"]
        scores = (chosen["score"], rejected["score"])
        assert None in scores or scores[0] > scores[1]  # type: ignore[operator] # neither is null


@every
@given(rows=ROWS, seed=st.integers(0, 99))
def test_the_order_of_the_candidates_changes_no_strategy(
    strategy: Strategy, rows: list[tuple[str, str, float | None, str, float | None]], seed: int
) -> None:
    table = candidates(rows)
    one, other = strategy(table), strategy(table.sample(fraction=1, shuffle=True, seed=seed))
    assert one.pairs.sort("chosen_id", "rejected_id").equals(other.pairs.sort("chosen_id", "rejected_id"))
    assert set(one.sft["id"]) == set(other.sft["id"])


@every
@given(rows=ROWS)
def test_a_prompt_gives_no_more_pairs_than_the_cap_and_none_twice(
    strategy: Strategy, rows: list[tuple[str, str, float | None, str, float | None]]
) -> None:
    name = next(name for name, known in STRATEGIES.items() if known is strategy)
    table = candidates(rows)
    found = [
        (chosen["sample_id"], chosen["text"], rejected["text"]) for chosen, rejected in sides(table, strategy(table))
    ]
    assert len(found) == len(set(found))
    assert all(sum(one[0] == sample for one in found) <= CAPS.get(name, 1) for sample in "pqr")


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "delta"])
@given(rows=ROWS)
def test_an_unscored_reply_is_in_no_pair(
    name: str, rows: list[tuple[str, str, float | None, str, float | None]]
) -> None:
    table = candidates(rows)
    assert all(one["score"] is not None for pair in sides(table, STRATEGIES[name](table)) for one in pair)


@given(rows=ROWS)
def test_a_draw_keeps_the_best_chosen_and_the_gap_within_its_bounds(
    rows: list[tuple[str, str, float | None, str, float | None]],
) -> None:
    table = candidates(rows)
    top = dict(table.group_by("sample_id").agg(pl.col("score").max()).iter_rows())
    for chosen, rejected in sides(table, STRATEGIES["best and random"](table)):
        assert chosen["score"] == top[chosen["sample_id"]]
        assert chosen["score"] - rejected["score"] >= 0.25  # type: ignore[operator] # both are scored
    for chosen, rejected in sides(table, STRATEGIES["within margin"](table)):
        assert 0.25 <= chosen["score"] - rejected["score"] <= 0.5  # type: ignore[operator] # likewise


@given(rows=ROWS)
def test_a_rho_of_nothing_is_best_and_worst(rows: list[tuple[str, str, float | None, str, float | None]]) -> None:
    table = candidates(rows).unique(["sample_id", "text"], keep="first")  # one text has one score
    plain = sides(table, best_and_worst(table, minimum=0.5, margin=0.25))
    controlled = sides(table, length_controlled(table, rho=0, minimum=0.5, margin=0.25))
    assert {(a["sample_id"], a["score"], b["score"]) for a, b in controlled} >= {
        (a["sample_id"], a["score"], b["score"]) for a, b in plain
    }


def test_of_the_good_the_shortest_is_chosen_and_of_the_bad_the_longest_rejected() -> None:
    rows = [("p", "long and best", 1.0), ("p", "short", 0.9), ("p", "bad", 0.0), ("p", "bad and longer", 0.05)]
    table = candidates([(*row, "m", None) for row in rows])
    assert length_controlled(table, rho=0.1, minimum=0.5, margin=0.5).pairs.rows() == [("c1", "c3")]
    assert length_controlled(table, rho=0.0, minimum=0.5, margin=0.5).pairs.rows() == [("c0", "c2")]


def test_delta_pairs_need_no_score_and_give_way_to_one() -> None:
    rows = [("p", "a", None, "m", None), ("p", "b", None, "n", None), ("q", "a", 0.0, "m", None)]
    table = candidates([*rows, ("q", "b", 1.0, "n", None), ("r", "a", 1.0, "m", None), ("r", "b", 1.0, "n", None)])
    picked = delta(table, strong="m", weak="n")
    assert picked.pairs.rows() == [("c0", "c1")]
    assert set(picked.sft["id"]) == {"c0", "c2", "c4"}


def test_the_prompts_on_which_the_judges_disagree_most_are_taken() -> None:
    rows = [("p", "a", 1.0, 0.5), ("p", "b", 0.0, 0.5), ("q", "a", 1.0, 0.0), ("q", "b", 0.0, 0.0)]
    unknown = [("r", "a", 1.0, None), ("r", "b", 0.0, 1.0)]
    table = candidates([(sample, text, score, "m", spread) for sample, text, score, spread in [*rows, *unknown]])
    assert most_disputed(table, share=0.5).pairs.rows() == [("c0", "c1")]
    assert most_disputed(table, share=1).pairs.rows() == [("c0", "c1"), ("c2", "c3")]


def test_the_prompts_that_are_right_about_half_the_time_are_taken() -> None:
    passes = {"always": "11111111", "mostly": "11111110", "half": "11110000", "seldom": "10000000", "never": "00000000"}
    rows = [
        (name, f"{at} {said}", float(said), "m", None) for name, told in passes.items() for at, said in enumerate(told)
    ]
    table = candidates(rows)
    taken = {
        share: {chosen["sample_id"] for chosen, _ in sides(table, most_learnable(table, share=share))}
        for share in (0.3, 1)
    }
    assert taken == {0.3: {"half"}, 1: {"mostly", "half", "seldom"}}
    assert most_learnable(table, share=0.3).sft.equals(best_and_worst(table).sft)


@pytest.mark.parametrize("strategy", [most_disputed, most_learnable])
@given(rows=ROWS, shares=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)))
def test_a_greater_share_takes_every_pair_of_a_smaller_one(
    strategy: Callable[..., Selection],
    rows: list[tuple[str, str, float | None, str, float | None]],
    shares: tuple[float, float],
) -> None:
    small, great = (set(strategy(candidates(rows), share=share, margin=0.25).pairs.rows()) for share in sorted(shares))
    assert small <= great


def test_on_policy_leaves_out_the_datas_own_replies_in_every_strategy() -> None:
    table = candidates([("p", "a", 1.0, "source", 0.5), ("p", "bb", 0.5, "m", 0.5), ("p", "ccc", 0.0, "m", 0.5)])
    for strategy in (best_and_random, within_margin, length_controlled, most_disputed, most_learnable):
        picked = partial(strategy, minimum=0.5, margin=0.25, on_policy=True)(table)
        assert picked.pairs.rows() == [("c1", "c2")]
        assert picked.sft["id"].to_list() == ["c1"]


def test_a_setting_that_could_pick_nothing_or_contradict_itself_is_refused() -> None:
    table = candidates([("p", "a", 1.0, "m", None)])
    refused: list[tuple[Strategy, str]] = [
        (partial(best_and_random, margin=0.0), "no preference in it"),
        (partial(best_and_random, pairs=0), "pairs is 0"),
        (partial(within_margin, margin=0.5, maximum=0.25), "below the margin"),
        (partial(length_controlled, rho=0.5), "rho is 0.5"),
        (partial(delta, strong="m", weak="m"), "both 'm'"),
        (partial(most_disputed, share=0.0), "share is 0.0"),
        (partial(most_learnable, share=1.5), "share is 1.5"),
        (partial(most_disputed, replies=0), "replies is 0"),
    ]
    for strategy, told in refused:
        with pytest.raises(ValueError, match=told):
            strategy(table)


def test_the_spread_is_how_far_two_verdicts_are_apart_and_unknown_with_one() -> None:
    table = candidates([("p", "a", None, "m", None), ("p", "b", None, "m", None)]).select(*CANDIDATES)
    said = [("c0", "v", 1.0), ("c0", "w", 0.25), ("c1", "v", 1.0)]
    scores = [
        dict.fromkeys(SCORES)
        | {"sample_id": "p", "candidate_id": one, "judge": judge, "score": score, "status": "scored"}
        for one, judge, score in said
    ]
    nothing = pl.DataFrame(schema=COMPARISONS)
    assert table_of(table, pl.DataFrame(scores, schema=SCORES), nothing)["spread"].to_list() == [0.75, None]
    verdicts = [("v", 1.0), ("w", -1.0)]
    rows = [
        dict.fromkeys(COMPARISONS) | {"sample_id": "p", "a_id": "c0", "b_id": "c1", "judge": judge, "score": score}
        for judge, score in verdicts
    ]
    compared = table_of(table, pl.DataFrame(schema=SCORES), pl.DataFrame(rows, schema=COMPARISONS))
    assert compared["spread"].to_list() == [2.0, 2.0]
