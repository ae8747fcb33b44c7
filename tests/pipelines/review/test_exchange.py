from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.calibrate import calibrate
from pipelines.labels import read_labels
from pipelines.opened import opened
from pipelines.progress import shown
from pipelines.recipe import Recipe
from pipelines.review import argilla, labels
from pipelines.review.order import Wanted
from pipelines.review.reading import Review
from pipelines.review.verdicts import Said
from schemas.errors import InputError


def judge_all(review: Review, person: str, verdicts: tuple[str, ...], deck: str = "pairs") -> None:
    """Judge a deck from its start, the verdicts in turn."""
    count = 0
    while (item := review.next(deck, person, Wanted())[0]) is not None:
        review.judge(deck, item["key"], person, verdicts[count % len(verdicts)], f"note {count}" if count < 2 else "")
        count += 1


def told(review: Review, deck: str = "pairs") -> dict[tuple[str, ...], tuple[str | None, str]]:
    """Give what holds, by thing and person."""
    review.verdicts.refresh()
    rows: list[Said] = review.verdicts.said(deck)
    return {(*one["ids"], one["person"]): (one["verdict"], one["note"]) for one in rows if one["verdict"] != "skip"}


def test_exported_labels_are_what_calibration_reads_and_come_back_as_they_were(run: Path, tmp_path: Path) -> None:
    review = Review(run)
    judge_all(review, "anna", ("first", "tie", "skip"))
    judge_all(review, "=ben", ("second", "both_bad"))
    file = tmp_path / "labels.csv"
    assert labels.export(review, "pairs", file) == 48
    read = read_labels(file)
    assert read.people == 2
    assert read.rows.height == 48 - 8  # what was skipped is not labelled yet
    before = told(review)
    assert labels.take(review, "pairs", file)[2] == 0
    assert {place: one for place, one in told(review).items() if place[2] != "'=ben"} == before
    other = Review(run)
    other.verdicts.file.unlink()
    other = Review(run)
    added, known, strange = labels.take(other, "pairs", file)
    assert (added, known, strange) == (40, 0, 0)
    assert labels.take(other, "pairs", file) == (0, 40, 0)


@pytest.mark.parametrize("deck", ["pairs", "replies", "dropped"])
def test_what_goes_to_argilla_comes_back_as_it_was(run: Path, tmp_path: Path, deck: str) -> None:
    review = Review(run)
    words = {
        "pairs": ("first", "second", "tie", "both_bad", "skip"),
        "replies": ("pass", "fail"),
        "dropped": ("keep", "drop"),
    }
    judge_all(review, "anna", words[deck], deck)
    judge_all(review, "ben", words[deck][1:], deck)
    before = told(review, deck)
    assert argilla.export(review, deck, tmp_path / "out") == review.deck(deck).height
    review.verdicts.file.unlink()
    fresh = Review(run)
    assert argilla.take(fresh, deck, tmp_path / "out")[0] == len(before)
    assert told(fresh, deck) == before
    assert argilla.take(fresh, deck, tmp_path / "out" / "records.json")[:2] == (0, len(before))


def test_the_folder_has_argillas_form_and_tells_no_annotator_which_was_chosen(run: Path, tmp_path: Path) -> None:
    review = Review(run)
    judge_all(review, "anna", ("first", "tie"))
    argilla.export(review, "pairs", tmp_path / "out", count=5)
    settings = orjson.loads((tmp_path / "out" / ".argilla" / "settings.json").read_bytes())
    keys = {
        "guidelines",
        "questions",
        "fields",
        "vectors",
        "metadata",
        "allow_extra_metadata",
        "distribution",
        "mapping",
    }
    assert set(settings) == keys
    assert [one["name"] for one in settings["fields"]] == ["prompt", "first", "second"]
    assert {one["visible_for_annotators"] for one in settings["metadata"]} == {False}
    records = orjson.loads((tmp_path / "out" / "records.json").read_bytes())
    assert len(records) == 5
    keys = {"id", "fields", "metadata", "suggestions", "responses", "vectors", "status", "_server_id"}
    assert {frozenset(record) for record in records} == {frozenset(keys)}
    pairs = pl.read_parquet(next((run / "preferences").rglob("*.parquet")))
    first = {record["metadata"]["first_id"] for record in records}
    texts = dict(pl.read_parquet(next((run / "candidates").rglob("*.parquet"))).select("id", "text").iter_rows())
    assert all(texts[record["metadata"]["first_id"]] == record["fields"]["first"] for record in records)
    assert not first <= set(pairs["chosen_id"]) or not first <= set(pairs["rejected_id"])
    with pytest.raises(InputError, match="something already"):
        argilla.export(review, "pairs", tmp_path / "out")


def records_file(review: Review, folder: Path, change: Any) -> Path:
    argilla.export(review, "pairs", folder, count=3)
    records = orjson.loads((folder / "records.json").read_bytes())
    change(records[0])
    (folder / "records.json").write_bytes(orjson.dumps(records))
    return folder


def test_users_are_named_as_told_and_drafts_and_strangers_records_are_left_out(run: Path, tmp_path: Path) -> None:
    review = Review(run)

    def answer(record: dict[str, Any]) -> None:
        record["responses"] = {
            "verdict": [
                {"value": "tie", "user_id": "u-1", "status": "submitted"},
                {"value": "first", "user_id": "u-2"},
                {"value": "first", "user_id": "u-3", "status": "draft"},
            ]
        }

    folder = records_file(review, tmp_path / "out", answer)
    users = tmp_path / "users.json"
    users.write_text('{"u-1": "zoe"}')
    assert argilla.take(review, "pairs", folder, users) == (2, 0, 0)
    assert sorted({place[2] for place in told(review)}) == ["u-2", "zoe"]
    records = orjson.loads((folder / "records.json").read_bytes())
    records[0]["id"] = "x.y"
    records[0]["metadata"]["first_id"] = "x"
    (folder / "records.json").write_bytes(orjson.dumps(records))
    assert argilla.take(review, "pairs", folder, users) == (0, 0, 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("responses"),
        lambda record: record.update(responses={"verdict": [{"value": "best", "user_id": "u"}]}),
        lambda record: record.update(responses={"verdict": ["tie"]}),
        lambda record: record.update(metadata={}, responses={"verdict": [{"value": "first", "user_id": "u"}]}),
    ],
)
def test_records_of_another_form_are_told_with_their_place(run: Path, tmp_path: Path, change: Any) -> None:
    review = Review(run)
    with pytest.raises(InputError, match=r"records\.json, record 0"):
        argilla.take(review, "pairs", records_file(review, tmp_path / "out", change))
    assert not review.verdicts.file.exists()


def test_what_people_said_on_the_page_calibrates_the_judges(folder: Path, run: Path) -> None:
    review = Review(run, order="drawn")
    while (item := review.next("pairs", "anna", Wanted())[0]) is not None:
        review.judge("pairs", item["key"], "anna", "first" if item["replies"][0].startswith("Blue") else "second")
    with shown() as progress, opened(Recipe.read(folder / "recipe.toml"), folder / "runs", progress) as whole:
        cards = {card["judge"]: card for card in calibrate(whole, run, Path("review"))}
    assert cards["judges.pairwise:preference"]["agreement"]["mean"] == 1.0
    assert cards["judges.pairwise:preference#2"]["agreement"]["mean"] == 17 / 24
    assert cards["judges.pairwise:preference"]["labelled"] == 24


def test_without_a_review_calibration_says_how_to_make_one(folder: Path, run: Path) -> None:
    with (
        shown() as progress,
        opened(Recipe.read(folder / "recipe.toml"), folder / "runs", progress) as whole,
        pytest.raises(InputError, match="mill review"),
    ):
        calibrate(whole, run, Path("review"))
