"""The proof of a dataset, on a model whose skill is a number: what it tells, and that nothing is done twice."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines import proof_page
from pipelines.arms import arms_of, candidates_of, recipe_of, selected
from pipelines.experiments import Arm
from pipelines.opened import opened
from pipelines.progress import lines
from pipelines.prove import prove, shared_out
from pipelines.recipe import Recipe
from schemas.errors import RecipeError

if TYPE_CHECKING:
    from tests.pipelines.proofs.conftest import Workshop

QUIET = lines(lambda _text: None)


def proven(workshop: "Workshop", extra: str = "", **how: Any) -> dict[str, Any]:
    recipe = Recipe.read(workshop.recipe(extra))
    with opened(recipe, workshop.folder / "runs", QUIET) as run:
        return prove(run, **how)


def test_curated_data_beats_raw_and_shuffled_data(workshop: "Workshop") -> None:
    told = proven(workshop)
    assert told["seeds"] == [5, 6, 7]
    assert list(told["arms"]) == ["curated", "raw", "shuffled"]
    passes = {name: arm["pass"]["1"] for name, arm in told["arms"].items()}
    assert told["before"]["1"] == pytest.approx(0.5, abs=0.1)
    assert passes["curated"]["rise"]["interval"][0] > 0.1
    for name in ("raw", "shuffled"):
        assert passes[name]["below_curated"]["interval"][0] > 0
        assert passes[name]["differs"]
    assert passes["shuffled"]["rise"]["interval"][0] < 0.05
    pairs = {(pair["above"], pair["below"]): pair for pair in told["pairs"]}
    assert set(pairs) == {("curated", "raw"), ("curated", "shuffled"), ("raw", "shuffled")}
    assert pairs["curated", "raw"]["mean"] == passes["raw"]["below_curated"]["mean"]


def test_a_second_proof_trains_nothing_asks_nothing_and_says_the_same(workshop: "Workshop") -> None:
    first = proven(workshop)
    jobs, asked = len(workshop.jobs), workshop.asked()
    assert jobs == 9
    assert asked > 0
    assert proven(workshop) == first
    assert (len(workshop.jobs), workshop.asked()) == (jobs, asked)


def test_a_proof_broken_off_goes_on_where_it_was(workshop: "Workshop") -> None:
    workshop.failing = 4
    with pytest.raises(KeyboardInterrupt):
        proven(workshop)
    assert len(workshop.jobs) == 4
    workshop.failing = None
    told = proven(workshop)
    assert len(workshop.jobs) == 9
    assert told["arms"]["curated"]["pass"]["1"]["rise"]["mean"] > 0


def test_a_rule_that_drops_nothing_is_the_same_data_and_trains_nothing_more(workshop: "Workshop") -> None:
    told = proven(workshop, ablate=True)
    same = [name for name, arm in told["arms"].items() if arm["same_data"] and name != "curated"]
    assert same == ["without filters.length:characters", "without filters.length:words"]
    assert told["arms"]["without filters.length:words"]["pass"]["1"]["below_curated"]["mean"] == 0
    assert len(workshop.jobs) == 6, "the curated arm and the one without a judge"


def test_the_ablation_says_in_words_what_each_part_does(workshop: "Workshop") -> None:
    told = proof_page.lines(proven(workshop, ablate=True))
    assert "the rule filters.length:words: the training data is the same without it" in told
    assert any(line.startswith("the judge judges.math:final_answer: +") for line in told)


def test_of_one_seed_it_is_said_what_its_intervals_leave_out(workshop: "Workshop") -> None:
    one, several = (proof_page.lines(proven(workshop, seeds=seeds)) for seeds in ([1], [1, 2]))
    assert one[-1].startswith("one seed alone: these intervals are over the tasks")
    assert len(several) == len(one) - 1


def test_an_arm_with_half_the_prompts_reads_as_many_tokens_as_the_whole(workshop: "Workshop") -> None:
    told = proven(workshop, "[prove]\nseeds = [1]\n[prove.arms.half]\nshare = 0.5\n")
    jobs = {name: arm["jobs"][0] for name, arm in told["arms"].items()}
    assert jobs["half"]["rows"] < 0.7 * jobs["curated"]["rows"]
    assert jobs["half"]["tokens"] == jobs["curated"]["tokens"]
    assert jobs["half"]["passes"] > jobs["curated"]["passes"]


def test_work_scales_what_every_arm_reads(workshop: "Workshop") -> None:
    whole, part = proven(workshop, seeds=[1]), proven(workshop, "[prove]\nwork = 0.5\n", seeds=[1])
    for name, arm in part["arms"].items():
        assert arm["jobs"][0]["tokens"] == pytest.approx(whole["arms"][name]["jobs"][0]["tokens"] / 2, abs=20)


def test_the_pages_hold_every_arm_and_the_same_bytes_each_time(workshop: "Workshop") -> None:
    told = proven(workshop, seeds=[1, 2])
    folder = proof_page.lay_out(told, workshop.folder)
    first = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(first) == {"proof.html", "proof.md", "proof.json"}
    for name in told["arms"]:
        assert name.encode() in first["proof.html"]
        assert name in proof_page.terminal(told)
    assert b"<script" not in first["proof.html"]
    proof_page.lay_out(told, workshop.folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == first


def test_shuffled_verdicts_are_the_same_verdicts_of_other_candidates(workshop: "Workshop") -> None:
    recipe = Recipe.read(workshop.recipe())
    with opened(recipe, workshop.folder / "runs", QUIET) as run:
        plain, shuffled = selected(run, Arm(), 1), selected(run, Arm(shuffled=True), 1)
        other = selected(run, Arm(shuffled=True), 2)
    told = [
        candidates_of(made["generate"], [made[name] for name in made if name.startswith("score ")])
        for made in (plain, shuffled, other)
    ]
    assert told[0]["id"].to_list() == told[1]["id"].to_list()
    assert sorted(told[0]["score"]) == sorted(told[1]["score"])
    assert told[0]["score"].to_list() != told[1]["score"].to_list() != told[2]["score"].to_list()


def test_raw_data_keeps_no_rule_but_those_on_contamination(workshop: "Workshop") -> None:
    extra = '[[filters]]\nuse = "filters.contamination:ngrams"\n'
    recipe = Recipe.read(workshop.recipe(extra))
    raw = recipe_of(recipe, Arm(raw=True))
    assert [part.use for part in raw.filters] == ["filters.contamination:ngrams"]
    assert (raw.judges, raw.generate, raw.edits) == ((), None, ())


def test_an_ablation_leaves_out_each_rule_and_each_judge_once(workshop: "Workshop") -> None:
    recipe = Recipe.read(workshop.recipe('[[filters]]\nuse = "filters.length:words"\n'))
    arms = arms_of(recipe, ablate=True)
    left_out = [arm.without for name, arm in arms.items() if name != "curated"]
    parts = ["filters.length:characters", "filters.length:words", "filters.length:words#2", "judges.math:final_answer"]
    assert left_out == [(part,) for part in parts]
    for arm in arms.values():
        recipe_of(recipe, arm)
    without = recipe_of(recipe, Arm(without=("filters.length:words",)))
    assert [part.arguments.get("part") for part in without.filters] == [None, None], "the first of the two is gone"


def test_a_rule_that_keeps_by_one_left_out_keeps_the_first(workshop: "Workshop") -> None:
    extra = '[[filters]]\nuse = "filters.duplicates:exact"\nkeep = "highest filters.length:words"\n'
    recipe = Recipe.read(workshop.recipe(extra))
    kept = recipe_of(recipe, Arm(without=("filters.length:words",))).filters[-1]
    assert kept.arguments == {"keep": "first"}
    assert recipe_of(recipe, Arm(without=("filters.length:characters",))).filters[-1].arguments != kept.arguments


@pytest.mark.parametrize(
    ("budgets", "rows", "given"),
    [
        ([10, 4], [3, 5], [10, 4]),
        ([10, 4], [3, 0], [14, 0]),
        ([10, 4], [0, 5], [0, 14]),
        ([10, 4, 6], [1, 0, 1], [14, 0, 6]),
        ([10, 4], [0, 0], [0, 0]),
    ],
)
def test_tokens_of_a_job_without_rows_go_to_another(budgets: list[int], rows: list[int], given: list[int]) -> None:
    assert shared_out(budgets, rows) == given


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ('[prove.arms.x]\nwithout = ["filters.length:word"]\n', "did you mean 'filters.length:words'?"),
        ('[prove.arms.x]\nmethods = ["dpo"]\n', "no [[train]] has the method 'dpo'"),
        ("[prove]\nk = [1, 9]\n", "9 is above evaluate.samples, 4"),
        ('[prove.arms.x]\nselect = { use = "pipelines.select:best" }\n', "prove.arms.x.select"),
        ('[prove.arms.x]\njudges = [{ use = "judges.math:final" }]\n', "prove.arms.x.judges.0"),
        ("[prove]\nseed = 1\n", "did you mean 'seeds'?"),
    ],
)
def test_what_is_wrong_with_a_proof_is_told_before_any_work(workshop: "Workshop", extra: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe.read(workshop.recipe(extra))
    assert told in str(caught.value)


def test_a_recipe_that_trains_nothing_proves_nothing(workshop: "Workshop", tmp_path: Path) -> None:
    text = workshop.recipe().read_text()
    file = tmp_path / "bare.toml"
    file.write_text(text[: text.index("[[train]]")])
    with opened(Recipe.read(file), tmp_path / "runs", QUIET) as run, pytest.raises(RecipeError, match="needs"):
        prove(run)
