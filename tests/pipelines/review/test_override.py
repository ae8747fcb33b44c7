from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.checking import check_dataset
from pipelines.progress import shown
from pipelines.recipe import Recipe
from pipelines.review.order import Wanted
from pipelines.review.override import Vote, counts, digest, overrule, settled, votes_in
from pipelines.review.reading import Review
from pipelines.run import build
from pipelines.select import Selection
from schemas.errors import InputError, RecipeError
from schemas.tables import CANDIDATES, OVERRIDDEN

PAIRS = [("p1", "p0"), ("q0", "q1"), ("r0", "r1")]
VERDICTS = st.sampled_from(["a", "b", "tie", "both_bad"])
VOTES = st.lists(
    st.tuples(st.sampled_from("pqr"), st.sampled_from(["anna", "ben", "carla"]), VERDICTS), unique_by=lambda v: v[:2]
)


def candidates() -> pl.DataFrame:
    """Give two candidates a sample, each of its own text."""
    rows = [
        dict.fromkeys(CANDIDATES)
        | {"id": f"{sample}{at}", "sample_id": sample, "text": f"text {at}", "status": "answered", "model": "m"}
        for sample in "pqr"
        for at in range(2)
    ]
    frame = pl.DataFrame(rows, CANDIDATES)
    return frame.with_columns(score=pl.lit(1.0), judge=pl.lit("j"))


def votes(told: list[tuple[str, str, str]]) -> list[Vote]:
    return [Vote((f"{sample}0", f"{sample}1"), person, verdict, "") for sample, person, verdict in told]


def after(told: list[Vote]) -> Any:
    picked = pl.DataFrame(PAIRS, ["chosen_id", "rejected_id"], orient="row")
    sft = pl.DataFrame({"id": [chosen for chosen, _ in PAIRS]})
    return overrule(Selection(sft, picked), candidates(), settled(told), "rule")


@given(VOTES)
def test_every_pair_stays_is_turned_or_is_in_the_table_that_says_why(told: list[tuple[str, str, str]]) -> None:
    found = after(votes(told))
    left = {frozenset(pair) for pair in found.pairs.iter_rows()}
    removed = found.changed.filter(pl.col("done") == "removed")
    gone = {frozenset(pair) for pair in removed.select("candidate_id", "rejected_id").iter_rows()}
    assert left | gone == {frozenset(pair) for pair in PAIRS}
    assert not left & gone
    flipped = set(found.changed.filter(pl.col("done") == "flipped").select("rejected_id", "candidate_id").iter_rows())
    assert flipped == set(found.pairs.iter_rows()) - set(PAIRS)
    assert found.changed.schema == OVERRIDDEN


@given(VOTES)
def test_saying_the_opposite_turns_what_was_confirmed(told: list[tuple[str, str, str]]) -> None:
    other = {"a": "b", "b": "a"}
    turned = [(sample, person, other.get(verdict, verdict)) for sample, person, verdict in told]
    one, two = (dict(after(votes(way)).outcomes.iter_rows()) for way in (told, turned))
    opposite = {"confirmed": "flipped", "flipped": "confirmed"}
    assert {key: opposite.get(outcome, outcome) for key, outcome in one.items()} == two


@given(VOTES)
def test_every_vote_is_counted_once_and_the_order_of_votes_is_nothing(told: list[tuple[str, str, str]]) -> None:
    said = settled(votes(told))
    found = counts(after(votes(told)).outcomes, said)
    assert found["judged"] == len({sample for sample, _person, _verdict in told})
    assert found["confirmed"] + found["flipped"] + found["removed"] + found["split"] == found["judged"]
    assert found["people"] == sorted({person for _sample, person, _verdict in told})
    assert digest(votes(told)) == digest(votes(told[::-1]))
    assert said.equals(settled(votes(told[::-1])))


def test_nothing_said_changes_nothing() -> None:
    found = after([])
    assert found.pairs.rows() == PAIRS
    assert found.changed.is_empty()
    assert counts(found.outcomes, settled([]))["people"] == []


def test_two_against_one_settle_and_one_against_one_do_not() -> None:
    three = [("p", "anna", "a"), ("p", "ben", "a"), ("p", "carla", "b")]
    assert after(votes(three)).pairs.rows()[0] == ("p0", "p1")
    assert after(votes(three[1:])).pairs.rows()[0] == ("p1", "p0")
    assert dict(after(votes(three[1:])).outcomes.iter_rows()) == {"p0.p1": "split"}


def test_a_reply_that_people_call_bad_leaves_sft_and_no_pair() -> None:
    found = after([Vote(("q0",), "anna", "fail", "wrong"), Vote(("p1",), "anna", "pass", "")])
    assert found.sft["id"].to_list() == ["p1", "r0"]
    assert found.pairs.rows() == PAIRS
    row = found.changed.row(0, named=True)
    assert (row["done"], row["verdict"], row["people"], row["notes"]) == ("removed", "bad", ["anna"], ["wrong"])


def rerun(folder: Path, more: str) -> dict[str, Any]:
    """Run the recipe again with more in it."""
    recipe = folder / "more.toml"
    recipe.write_text((folder / "recipe.toml").read_text() + more)
    with shown() as progress:
        return build(Recipe.read(recipe), folder / "runs", progress)


def test_a_run_applies_its_reviews_names_their_authors_tells_it_and_passes_its_own_check(
    folder: Path, run: Path
) -> None:
    review = Review(run)
    picked = pl.read_parquet(next((run / "preferences").rglob("*.parquet")))
    texts = dict(pl.read_parquet(next((run / "candidates").rglob("*.parquet"))).select("id", "text").iter_rows())
    said = {"anna": "second", "ben": "second"}
    for person in said:
        for _ in range(24):
            item, _left = review.next("pairs", person, Wanted(rule="pipelines.select:best_and_worst"))
            if item is None:
                break
            worse = "first" if item["replies"][0].startswith("A dog") else "second"
            review.judge("pairs", item["key"], person, worse, "dogs are colours")
    reply, _left = review.next("replies", "anna", Wanted())
    assert reply is not None
    review.judge("replies", reply["key"], "anna", "fail")
    summary = rerun(folder, f'[select]\nuse = "pipelines.select:best_and_worst"\nreviews = "{review.verdicts.file}"\n')
    new = Path(summary["folder"])
    rows = pl.read_parquet(next((new / "preferences").rglob("*.parquet")))
    assert rows.height == picked.height
    assert set(rows["judge"]) == {"review:anna, review:ben"}
    assert {texts[one].startswith("A dog") for one in rows["chosen_id"]} == {True}
    assert set(rows["margin"]) == {2.0}
    assert summary["reviews"]["flipped"] == picked.height
    assert summary["reviews"]["sft_removed"] == 1
    assert summary["rows"]["overridden"] == picked.height + 1
    overridden = pl.read_parquet(next((new / "overridden").rglob("*.parquet")))
    assert overridden["notes"].to_list()[0] == ["dogs are colours"] * 2
    unpaired = pl.read_parquet(next((new / "unpaired").rglob("*.parquet")))
    liked = unpaired.filter(pl.col("label") & pl.col("judge").str.starts_with("review:"))
    assert set(liked["candidate_id"]) == set(rows["chosen_id"])
    for report in ("report.html", "report.md"):
        told = (new / report).read_text()
        assert f"{picked.height} pairs flipped and 0 removed, 1 SFT rows removed" in told
        assert "anna" in told
    assert check_dataset(str(new))["errors"] == 0


def test_a_row_that_names_people_who_never_said_so_is_found_out(folder: Path, run: Path) -> None:
    review = Review(run)
    for _ in range(3):
        item, _left = review.next("pairs", "anna", Wanted(rule="pipelines.select:best_and_worst"))
        assert item is not None
        review.judge("pairs", item["key"], "anna", "first" if item["replies"][0].startswith("A dog") else "second")
    more = f'[select]\nuse = "pipelines.select:best_and_worst"\nreviews = "{review.verdicts.file}"\n'
    new = Path(rerun(folder, more)["folder"])
    assert check_dataset(str(new))["errors"] == 0
    file = next((new / "preferences").rglob("*.parquet"))
    rows = pl.read_parquet(file)
    file.unlink()
    rows.with_columns(judge=pl.lit("review:mallory"), chosen_score=1.0, rejected_score=-1.0).write_parquet(file)
    told = [one["told"] for one in check_dataset(str(new))["findings"] if one["severity"] == "error"]
    assert [one for one in told if "people as their judge" in one]


def test_the_same_reviews_find_the_same_selection_and_others_another(folder: Path, run: Path) -> None:
    review = Review(run)
    item, _left = review.next("pairs", "anna", Wanted())
    assert item is not None
    review.judge("pairs", item["key"], "anna", "tie")
    more = f'[select]\nuse = "pipelines.select:best_and_worst"\nreviews = "{review.verdicts.file}"\n'
    first = rerun(folder, more)
    review.undo("anna")
    assert rerun(folder, more)["stages"]["select"] != first["stages"]["select"]
    review.judge("pairs", item["key"], "anna", "tie")
    assert rerun(folder, more)["version"] == first["version"]


def test_labels_from_a_csv_file_overrule_too(folder: Path, run: Path) -> None:
    row = pl.read_parquet(next((run / "preferences").rglob("*.parquet"))).row(0, named=True)
    labels = folder / "labels.csv"
    labels.write_text(f"a_id,b_id,verdict,person\n{row['chosen_id']},{row['rejected_id']},b,zoe\n")
    summary = rerun(folder, f'[select]\nuse = "pipelines.select:best_and_worst"\nreviews = "{labels}"\n')
    assert summary["reviews"]["flipped"] == 1
    rows = pl.read_parquet(next((Path(summary["folder"]) / "preferences").rglob("*.parquet")))
    assert rows.filter(pl.col("judge") == "review:zoe")["chosen_id"].to_list() == [row["rejected_id"]]


def test_a_file_that_is_not_there_is_told_before_any_work(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"select\.reviews: no file"):
        rerun(folder, '[select]\nuse = "pipelines.select:best_and_worst"\nreviews = "nowhere.jsonl"\n')


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.jsonl"
    file.write_bytes(orjson.dumps({"deck": "pairs"}) + b"\n")
    with pytest.raises(InputError, match="line 1"):
        votes_in(file)
