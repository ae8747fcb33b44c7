import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.scored import table_of
from pipelines.select import best_and_worst
from schemas.tables import CANDIDATES, COMPARISONS, SCORES

SCORE = st.sampled_from([0.0, 1.0, None])
ROWS = st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from(["x", "y", "z"]), SCORE), min_size=1, max_size=20)


def scored(rows: list[tuple[str, str, float | None]]) -> pl.DataFrame:
    """Give candidates of sample, text and score; equal texts of one sample have the first one's score."""
    first: dict[tuple[str, str], float | None] = {}
    candidates, scores = [], []
    for at, (sample, text, score) in enumerate(rows):
        value = first.setdefault((sample, text), score)
        candidates.append(
            dict.fromkeys(CANDIDATES)
            | {"id": f"c{at}", "sample_id": sample, "text": text, "model": "m", "status": "answered"}
        )
        status = "scored" if value is not None else "error"
        scores.append({"sample_id": sample, "candidate_id": f"c{at}", "judge": "j", "score": value, "status": status})
    return table_of(
        pl.DataFrame(candidates, schema=CANDIDATES),
        pl.DataFrame([dict.fromkeys(SCORES) | row for row in scores], schema=SCORES),
        pl.DataFrame(schema=COMPARISONS),
    )


@given(ROWS)
def test_chosen_passed_rejected_failed_and_both_answer_one_prompt(rows: list[tuple[str, str, float | None]]) -> None:
    table = scored(rows)
    known = {row["id"]: row for row in table.iter_rows(named=True)}
    picked = best_and_worst(table)
    for chosen, rejected in picked.pairs.iter_rows():
        assert known[chosen]["score"] == 1
        assert known[rejected]["score"] == 0
        assert known[chosen]["sample_id"] == known[rejected]["sample_id"]
        assert known[chosen]["text"] != known[rejected]["text"]
    passing = {row["sample_id"] for row in known.values() if row["score"] == 1}
    assert {known[row]["sample_id"] for row in picked.sft["id"]} == passing


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_candidates_changes_nothing(rows: list[tuple[str, str, float | None]], random: object) -> None:
    table = scored(rows)
    shuffled = table.sample(fraction=1, shuffle=True, seed=hash(random) % 1000)
    assert best_and_worst(table).pairs.sort("chosen_id").equals(best_and_worst(shuffled).pairs.sort("chosen_id"))


def test_ties_equal_texts_and_unscored_replies_give_no_pair() -> None:
    assert best_and_worst(scored([("p", "x", 1.0), ("p", "y", 1.0)])).pairs.is_empty()
    assert best_and_worst(scored([("p", "x", 1.0), ("p", "x", 1.0)])).pairs.is_empty()
    assert best_and_worst(scored([("p", "x", 1.0), ("p", "y", None)])).pairs.is_empty()
    assert best_and_worst(scored([("p", "x", None)])).sft.is_empty()


def test_where_no_verifier_speaks_the_comparisons_do_and_a_tie_gives_nothing() -> None:
    candidates = pl.DataFrame(
        [
            dict.fromkeys(CANDIDATES)
            | {"id": f"{sample}{text}", "sample_id": sample, "text": text, "model": "m", "status": "answered"}
            for sample in "pq"
            for text in "xy"
        ],
        schema=CANDIDATES,
    )
    said = [("p", "py", "px", 1.0), ("q", "qx", "qy", 0.0)]
    comparisons = pl.DataFrame(
        [
            dict.fromkeys(COMPARISONS) | {"sample_id": s, "a_id": a, "b_id": b, "score": score, "judge": "j"}
            for s, a, b, score in said
        ],
        schema=COMPARISONS,
    )
    silent = pl.DataFrame(
        [dict.fromkeys(SCORES) | {"sample_id": "p", "candidate_id": "px", "judge": "v", "status": "no_reference"}],
        schema=SCORES,
    )
    picked = best_and_worst(table_of(candidates, silent, comparisons))
    assert picked.pairs.rows() == [("py", "px")]
    assert picked.sft["id"].to_list() == ["py"]


def test_one_verifier_that_fails_a_reply_outweighs_another_that_passes_it() -> None:
    table = scored([("p", "x", 1.0), ("p", "y", 0.0)]).select(list(CANDIDATES))
    both = [("c0", "v", 1.0), ("c0", "w", 0.0), ("c1", "v", 1.0), ("c1", "w", 1.0)]
    rows = [
        dict.fromkeys(SCORES)
        | {"sample_id": "p", "candidate_id": c, "judge": judge, "score": score, "status": "scored"}
        for c, judge, score in both
    ]
    picked = best_and_worst(table_of(table, pl.DataFrame(rows, schema=SCORES), pl.DataFrame(schema=COMPARISONS)))
    assert picked.pairs.rows() == [("c1", "c0")]


def test_a_margin_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no preference in it"):
        best_and_worst(scored([("p", "x", 1.0)]), margin=0.0)


@given(ROWS, st.integers(1, 5))
def test_more_replies_are_the_best_ones_of_each_prompt_as_often_as_they_were_given(
    rows: list[tuple[str, str, float | None]], replies: int
) -> None:
    table = scored(rows)
    picked = best_and_worst(table, replies=replies)
    passing = table.filter(pl.col("score") == 1).group_by("sample_id").len()
    counts = table.join(picked.sft, on="id").group_by("sample_id").len()
    expected = passing.with_columns(pl.col("len").clip(upper_bound=replies))
    assert counts.sort("sample_id").rows() == expected.sort("sample_id").rows()
    assert picked.pairs.equals(best_and_worst(table).pairs)


def test_on_policy_leaves_out_the_replies_that_came_with_the_data() -> None:
    table = scored([("p", "x", 1.0), ("p", "y", 0.0), ("p", "z", 1.0)])
    data = table.with_columns(model=pl.when(pl.col("id") == "c0").then(pl.lit("source")).otherwise("model"))
    picked = best_and_worst(data, replies=3, on_policy=True)
    assert picked.sft["id"].to_list() == ["c2"]
    assert picked.pairs.rows() == [("c2", "c1")]
    assert sorted(best_and_worst(data, replies=3).sft["id"]) == ["c0", "c2"]


def test_no_reply_at_all_can_not_be_asked_for() -> None:
    with pytest.raises(ValueError, match="replies is 0"):
        best_and_worst(scored([("p", "x", 1.0)]), replies=0)


@pytest.mark.parametrize("blank", ["", " \n\t"])
def test_a_blank_reply_is_neither_chosen_nor_rejected(blank: str) -> None:
    assert best_and_worst(scored([("p", "x", 1.0), ("p", blank, 0.0)])).pairs.is_empty()
    assert best_and_worst(scored([("p", blank, 1.0), ("p", "y", 0.0)])).sft.is_empty()
