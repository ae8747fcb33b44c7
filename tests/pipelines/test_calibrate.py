import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.calibration import RECIPE, carded
from benchmarks.llmbar import DATA, rows
from judges.pairwise import question
from pipelines.calibrate import Judged, calibrate, card, demand, family_of, judged, words
from pipelines.labels import Labels, read_labels, settled
from pipelines.opened import opened
from pipelines.progress import Progress, shown
from pipelines.recipe import Recipe
from pipelines.run import build
from schemas.errors import InputError, RecipeError
from schemas.verdicts import Pair

PAIRS = 60


@pytest.fixture
def progress() -> Any:
    """What a run tells goes to the terminal."""
    with shown() as one:
        yield one


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Give a recipe on pairs whose first is better, and the record of a judge that is mostly right."""
    chance = random.Random(1)
    pairs, said = [], []
    for at in range(PAIRS):
        prompt, good, bad = f"Name a colour, number {at}.", f"Blue, of course {at}.", f"A dog {at}, a long one."
        pairs.append({"prompt": prompt, "chosen": good, "rejected": bad})
        right = chance.random() < 0.9
        for first, second in ((good, bad), (bad, good)):
            chat = question(Pair([{"role": "user", "content": prompt}], first, second), "correctness")
            said.append({"question": chat[0]["content"], "solution": "A" if (first == good) == right else "B"})
    (tmp_path / "pairs.jsonl").write_bytes(b"\n".join(map(orjson.dumps, pairs)))
    (tmp_path / "said.jsonl").write_bytes(b"\n".join(map(orjson.dumps, said)))
    (tmp_path / "recipe.toml").write_text(RECIPE.format(name="judged", folder=tmp_path))
    return tmp_path / "recipe.toml"


def labelled(out: Path, file: Path, *, of: Callable[[str, str], str]) -> Path:
    """Have a person label what was judged, knowing both texts."""
    latest = out / "judged" / "latest"
    texts = dict(pl.read_parquet(latest / "candidates").select("id", "text").iter_rows())
    compared = pl.read_parquet(latest / "comparisons" / "*" / "*.parquet").select("a_id", "b_id").rows()
    lines = [f"{b},{a},{of(texts[b], texts[a])}" for a, b in compared]  # the other way round than judged
    file.write_text("\n".join(["a_id,b_id,verdict", *lines]))
    return file


def test_a_demand_is_refused_until_the_judge_has_a_card_of_that_agreement(recipe: Path, progress: Progress) -> None:
    out = recipe.parent / "runs"
    build(Recipe.read(recipe), out, progress)
    demanding = recipe.with_name("demanding.toml")
    demanding.write_text(recipe.read_text() + "calibrated = 0.8\n")
    with pytest.raises(RecipeError, match=r"no card.*calibrate judged --human"):
        build(Recipe.read(demanding), out, progress)
    labels = labelled(out, recipe.with_name("labels.csv"), of=lambda a, _b: "A" if a.startswith("Blue") else "B")
    with opened(Recipe.read(recipe), out, progress) as run:
        [found] = calibrate(run, out / "judged" / "latest", labels)
    assert found["labelled"] == PAIRS
    assert 0.8 < found["agreement"]["mean"] < 1
    low, high = found["agreement"]["interval"]
    assert low < found["agreement"]["mean"] < high
    assert found["length_bias"]["mean"] == pytest.approx(1 - found["agreement"]["mean"])  # it errs to the longer
    assert (out / "judged" / "latest" / "cards" / "judges.pairwise.preference.json").is_file()
    assert "kappa" in words([found])
    build(Recipe.read(demanding), out, progress)
    stricter = recipe.with_name("stricter.toml")
    stricter.write_text(recipe.read_text() + "calibrated = 0.99\n")
    with pytest.raises(RecipeError, match="its card says"):
        build(Recipe.read(stricter), out, progress)


def test_another_prompt_to_the_judge_is_another_judge_without_a_card(recipe: Path, progress: Progress) -> None:
    out = recipe.parent / "runs"
    build(Recipe.read(recipe), out, progress)
    labels = labelled(out, recipe.with_name("labels.csv"), of=lambda a, _b: "A" if a.startswith("Blue") else "B")
    with opened(Recipe.read(recipe), out, progress) as run:
        calibrate(run, out / "judged" / "latest", labels)
    recipe.write_text(recipe.read_text() + 'criterion = "wit"\ncalibrated = 0.5\n')
    with opened(Recipe.read(recipe), out, progress) as run, pytest.raises(RecipeError, match="no card"):
        demand(run)


def test_labels_of_nothing_that_was_judged_are_refused(recipe: Path, progress: Progress) -> None:
    out = recipe.parent / "runs"
    build(Recipe.read(recipe), out, progress)
    labels = recipe.with_name("labels.csv")
    labels.write_text("a_id,b_id,verdict\nx,y,A\n")
    with opened(Recipe.read(recipe), out, progress) as run, pytest.raises(InputError, match=r"judges\.pairwise"):
        calibrate(run, out / "judged" / "latest", labels)


def pairs_judged(scores: list[float | None], *, lengths: tuple[int, int] = (10, 20)) -> Judged:
    """Give comparisons of a long second reply, the first of the family `tiny`."""
    rows = {
        "sample_id": [str(at) for at in range(len(scores))],
        "a_id": [f"a{at}" for at in range(len(scores))],
        "b_id": [f"b{at}" for at in range(len(scores))],
        "score": scores,
        "status": ["unparsed" if score is None else "scored" for score in scores],
        "a_first": ["A"] * len(scores),
        "b_first": ["A" if score == 0 else "B" for score in scores],
        "length_a_id": [lengths[0]] * len(scores),
        "length_b_id": [lengths[1]] * len(scores),
        "family_a_id": ["tiny"] * len(scores),
        "family_b_id": ["other"] * len(scores),
    }
    return Judged("judge", pairs=True, rows=pl.DataFrame(rows, schema_overrides={"score": pl.Float64}))


def labels_of(verdicts: list[float]) -> Labels:
    rows = pl.DataFrame(
        {
            "a_id": [f"a{at}" for at in range(len(verdicts))],
            "b_id": [f"b{at}" for at in range(len(verdicts))],
            "verdict": verdicts,
            "person": ["one"] * len(verdicts),
        }
    )
    return Labels(rows, ["a_id", "b_id"], binary=False, people=1)


def test_an_unparsed_verdict_is_no_disagreement_but_a_parse_failure() -> None:
    found = card(pairs_judged([1, 1, None, None]), labels_of([1, 1, 1, 1]), least=1, trusted=0.8, family=None)
    assert found["agreement"]["mean"] == 1
    assert found["parse_failures"]["mean"] == 0.5
    assert found["without_verdict"] == {"unparsed": 2}


def test_a_judge_that_always_prefers_its_own_family_says_so_and_one_that_follows_people_does_not() -> None:
    people = labels_of([1.0, -1.0] * 20)
    own = card(pairs_judged([1.0] * 40), people, least=1, trusted=0.8, family="tiny")
    fair = card(pairs_judged([1.0, -1.0] * 20), people, least=1, trusted=0.8, family="tiny")
    assert own["self_preference"]["mean"] == pytest.approx(0.5)
    assert own["length_bias"]["mean"] == pytest.approx(-0.5)
    assert fair["self_preference"]["mean"] == 0
    assert fair["trusted"]["score"] == 1
    assert own["trusted"]["score"] is None


@given(st.lists(st.tuples(st.sampled_from([1.0, 0.0, -1.0]), st.sampled_from([1.0, 0.0, -1.0])), min_size=2))
def test_swapping_the_sides_of_every_pair_changes_no_agreement(rows: list[tuple[float, float]]) -> None:
    said, people = map(list, zip(*rows, strict=True))
    one = card(pairs_judged(list(said)), labels_of(list(people)), least=1, trusted=0.8, family=None)
    turned = card(
        pairs_judged([-score for score in said]), labels_of([-v for v in people]), least=1, trusted=0.8, family=None
    )
    for key in ("agreement", "kappa", "alpha", "trusted"):
        assert one[key] == turned[key]


def test_several_people_settle_by_majority_and_a_split_is_told(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("candidate_id,person,verdict\nx,1,pass\nx,2,pass\nx,3,fail\ny,1,pass\ny,2,fail\nz,1,\n")
    labels = read_labels(file)
    assert settled(labels).select("candidate_id", "human").rows() == [("x", 1.0), ("y", None)]
    assert (labels.people, labels.binary) == (3, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("candidate_id,verdict\nx,maybe\n", "line 2: the verdict is 'maybe' instead of pass, fail"),
        ("candidate_id,verdict\nx,1\nx,0\n", "line 2: this person labels the same thing"),
        ("a_id,b_id,verdict\nx,y,A\ny,x,B\n", "more than once"),
        ("a_id,b_id,verdict\nx,y,2\n", "instead of a, b or tie"),
        ("id,verdict\nx,1\n", "no column candidate_id"),
        ("candidate_id,verdict\nx,nan\n", "'nan' instead of"),
    ],
)
def test_labels_that_cannot_be_read_are_refused_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=told):
        read_labels(file)


def test_a_verifier_is_calibrated_by_labels_of_replies(recipe: Path, progress: Progress) -> None:
    recipe.write_text(recipe.read_text() + '[[judges]]\nuse = "judges.labels:given"\nleast = 1\n')
    out = recipe.parent / "runs"
    build(Recipe.read(recipe), out, progress)
    latest = out / "judged" / "latest"
    rows = pl.read_parquet(latest / "candidates").select("id", "text").rows()
    labels = recipe.with_name("labels.csv")
    lines = [f"{row},{'good' if text.startswith('Blue') else 'bad'}" for row, text in rows]
    labels.write_text("\n".join(["candidate_id,verdict", *lines]))
    assert {one.pairs for one in judged(latest)} == {True, False}
    with opened(Recipe.read(recipe), out, progress) as run:
        [found] = calibrate(run, latest, labels)
    assert (found["agreement"]["mean"], found["kappa"], found["trusted"]["score"]) == (1, 1, 1)


def test_a_models_family_is_what_its_name_starts_with() -> None:
    assert [family_of(name) for name in ("org/Llama-3-8B", "gpt-4o", "models/tiny/", "7b")] == [
        "llama",
        "gpt",
        "tiny",
        "7b",
    ]


@pytest.mark.skipif(not DATA.is_dir(), reason="LLMBar is not in $GRISTMILL_DATA")
def test_the_command_line_cards_recorded_judgments_with_the_counts_of_the_record(tmp_path: Path) -> None:
    records = rows("Adversarial/Manual", "ChatGPT")
    told = carded(tmp_path, "manual", records)
    orders = [[one["results"][0][swap]["winner"] for swap in ("swap = False", "swap = True")] for one in records]
    right = [{str(one["label"])} == set(both) for one, both in zip(records, orders, strict=True)]
    decided = sum(len(set(both)) == 1 for both in orders)
    assert told["labelled"] == len(records) == 46
    assert told["agreement"]["mean"] == pytest.approx(sum(right) / len(records))
    assert (told["decided_agreement"]["mean"], told["decided_agreement"]["rows"]) == (sum(right) / decided, decided)
    firsts = sum((as_is == "1") + (swapped == "2") for as_is, swapped in orders)
    assert told["position_bias"]["mean"] == firsts / (2 * len(records))
    assert told["kappa"] < 0 < told["agreement"]["interval"][0] < told["agreement"]["mean"] < 0.5
