"""Loops over the stages, on a model whose skill is a number: rounds, their invariants, and how they end."""

from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from pipelines.increment import data_stages, training_stages
from pipelines.recipe import Recipe
from pipelines.run import stages
from schemas.errors import RecipeError, TrainingError
from tests.pipelines.proofs.looping import ran, rising

if TYPE_CHECKING:
    from tests.pipelines.proofs.conftest import Workshop


def test_rounds_that_improve_go_on_and_the_last_is_the_best(workshop: "Workshop") -> None:
    rising(workshop, 0.65, 0.8, 0.95)
    summary = ran(workshop, 'method = "rest-em"')
    told = summary["loop"]
    assert [one["round"] for one in told["rounds"]] == [0, 1, 2, 3]
    assert told["best"] == 3
    assert told["why_ended"] == "all 3 rounds were run"
    passes = [one["held_out"]["pass"]["1"] for one in told["rounds"]]
    assert passes == sorted(passes)
    assert [one["reward"] for one in told["rounds"][1:]] == pytest.approx([0.5, 0.65, 0.8], abs=0.1)
    assert (Path(summary["folder"]) / "checkpoint" / "skill").read_text() == "0.950000"


def test_rounds_end_when_held_out_tasks_no_longer_improve_and_the_best_is_given(workshop: "Workshop") -> None:
    rising(workshop, 0.8, 0.7, 0.9)
    summary = ran(workshop, 'method = "rest-em"\nrounds = 5')
    assert (summary["loop"]["best"], len(workshop.jobs)) == (1, 2)
    assert summary["loop"]["why_ended"] == "pass@1 on held-out tasks has not risen for 1 round"
    assert (Path(summary["folder"]) / "checkpoint" / "skill").read_text() == "0.800000"
    assert summary["evaluation"]["after"]["pass@1"] == summary["loop"]["rounds"][1]["held_out"]["pass"]["1"]


def test_with_patience_a_bad_round_is_gone_through(workshop: "Workshop") -> None:
    rising(workshop, 0.8, 0.7, 0.9)
    told = ran(workshop, 'method = "rest-em"\nrounds = 3\npatience = 2')["loop"]
    assert (told["best"], len(told["rounds"])) == (3, 4)


def test_a_rise_that_is_not_above_least_is_none(workshop: "Workshop") -> None:
    rising(workshop, 0.6)
    assert ran(workshop, 'method = "rest-em"\nleast = 0.3')["loop"]["best"] == 0


def test_where_no_round_is_better_no_checkpoint_is_given(workshop: "Workshop") -> None:
    rising(workshop, 0.2)
    summary = ran(workshop, 'method = "rest-em"')
    assert summary["loop"]["best"] == 0
    assert not (Path(summary["folder"]) / "checkpoint").exists()


@pytest.mark.parametrize(("start", "bases"), [("base", [0.5, 0.5, 0.5]), ("last", [0.5, 0.6, 0.7])])
def test_a_round_trains_from_the_base_or_from_the_last_checkpoint(
    workshop: "Workshop", start: str, bases: list[float]
) -> None:
    seen: list[float] = []

    def learn(old: float, _right: float) -> float:
        seen.append(old)
        return 0.5 + 0.1 * len(seen)

    workshop.learn = learn
    ran(workshop, f'method = "rest-em"\nstart = "{start}"\nleast = 0.0\npatience = 3')
    assert seen == pytest.approx(bases)


def test_rest_trains_once_a_threshold_each_from_the_one_before(workshop: "Workshop") -> None:
    seen: list[tuple[float, float]] = []

    def learn(old: float, right: float) -> float:
        seen.append((old, right))
        return 0.5 + 0.1 * len(seen)

    workshop.learn = learn
    told = ran(workshop, 'method = "rest"\nrounds = 1\nthresholds = [0.0, 0.5, 1.0]')["loop"]
    assert [old for old, _right in seen] == pytest.approx([0.5, 0.6, 0.7])
    assert [right < 1 for _old, right in seen] == [True, False, False], "from 0 on wrong replies are in"
    rows = [one["sft"] for one in told["rounds"][1]["passes"]]
    assert rows == sorted(rows, reverse=True)


def test_a_threshold_that_nothing_reaches_is_left_out(workshop: "Workshop") -> None:
    told = ran(workshop, 'method = "rest"\nrounds = 1\nthresholds = [1.0, 2.0]')["loop"]
    assert [one["threshold"] for one in told["rounds"][1]["passes"]] == [1.0]
    with pytest.raises(TrainingError, match="no reply of round 1"):
        ran(workshop, 'method = "rest"\nrounds = 1\nthresholds = [2.0]')


def test_a_second_run_asks_nothing_and_trains_nothing(workshop: "Workshop") -> None:
    workshop.learn = lambda old, _right: min(old + 0.15, 1.0)
    first = ran(workshop, 'method = "rest-em"\nstart = "last"')
    jobs, asked = len(workshop.jobs), workshop.asked()
    assert (jobs, asked > 0) == (3, True)
    assert ran(workshop, 'method = "rest-em"\nstart = "last"')["loop"] == first["loop"]
    assert (len(workshop.jobs), workshop.asked()) == (jobs, asked)


@pytest.mark.parametrize("dies_in", [0, 1, 2])
def test_a_loop_broken_off_in_any_round_goes_on_there(workshop: "Workshop", dies_in: int) -> None:
    workshop.learn = lambda old, _right: min(old + 0.15, 1.0)
    workshop.failing = dies_in
    with pytest.raises(KeyboardInterrupt):
        ran(workshop, 'method = "rest-em"\nstart = "last"')
    asked = workshop.asked()
    workshop.failing = None
    summary = ran(workshop, 'method = "rest-em"\nstart = "last"')
    assert len(workshop.jobs) == 3, "no round was trained twice"
    assert summary["loop"]["best"] == 3
    whole = workshop.asked()
    assert whole > asked
    assert len({*workshop.keys()}) == whole, "no question was asked twice"


def test_stages_of_a_loop_are_not_asked_for_one_by_one(workshop: "Workshop") -> None:
    recipe = Recipe.read(workshop.recipe('[loop]\nmethod = "rest-em"\n'))
    assert list(stages(recipe)) == ["ingest", "curate", "rounds"]
    for one_by_one in (data_stages, training_stages):
        with pytest.raises(RecipeError, match="the flow build runs it"):
            one_by_one(recipe)


def test_tasks_to_watch_decide_and_the_others_are_told(workshop: "Workshop") -> None:
    rows = [{"prompt": f"What is {a} plus 1?", "reference": f"{a + 1}"} for a in range(200, 240)]
    (workshop.folder / "watched.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    rising(workshop, 0.9)
    extra = f'rounds = 1\nwatch = "other"\n[benchmarks.other]\npath = "{workshop.folder}/watched.jsonl"'
    told = ran(workshop, f'method = "rest-em"\n{extra}')["loop"]
    assert told["rounds"][1]["watched"]["tasks"] == 40
    assert told["rounds"][1]["watched"]["pass"] != told["rounds"][1]["held_out"]["pass"]


def test_the_rounds_have_a_page_beside_the_report(workshop: "Workshop") -> None:
    summary = ran(workshop, 'method = "best-of-n"\nrounds = 1')
    folder = Path(summary["folder"])
    page = (folder / "rounds.html").read_text()
    assert "<script" not in page
    assert "rounds of best-of-n" in page
    assert "nats" in (folder / "rounds.md").read_text()
    assert orjson.loads((folder / "summary.json").read_bytes())["loop"] == summary["loop"]


@pytest.mark.parametrize(
    ("loop", "told"),
    [
        ('method = "rest"', "rest needs `thresholds`"),
        ('method = "rest"\nthresholds = [1.0, 0.5]', "each must be above the one before"),
        ('method = "dpo"', "dpo needs a [[train]] with method = 'dpo'"),
        ('method = "rest-em"\nwatch = "held-ou"', "did you mean 'held-out'?"),
        ('method = "hybrid"', "loop.weak: hybrid needs it"),
        ('method = "hybrid"\nweak = 0.5', "no [[train]] is one"),
        ('method = "rest-em"\nfamilies = { x = "(" }', "is no pattern"),
        ('method = "rest-em"\nround = 3', "did you mean 'rounds'?"),
        ('method = "rest-em"\nk = [16]', "16 is above evaluate.samples, 4"),
    ],
)
def test_what_is_wrong_with_a_loop_is_told_before_any_work(workshop: "Workshop", loop: str, told: str) -> None:
    with pytest.raises(RecipeError) as caught:
        ran(workshop, loop)
    assert told in str(caught.value)
