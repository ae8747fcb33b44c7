"""Juries of engines and of prompts through the score stage, and in a recipe."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import steps
from pipelines.judge_figures import reply_judge_figures
from pipelines.recipe import Recipe
from pipelines.sections import JudgePart
from schemas.errors import RecipeError
from schemas.tables import SCORES
from tests.pipelines.told_judges import RIGHT, Told, by_reply, scores, tables


def test_a_jury_of_engines_gives_one_score_and_keeps_each_members(tmp_path: Path) -> None:
    likes = by_reply(It_is_2="5", It_is_3="1", It_is_5="5", broken="1")
    part = {"use": "judges.jury:of", "judges": [{"use": "judges.pointwise:rubric"}], "engines": ["a", "b", "c"]}
    engines = {
        "a": Told(by_reply(It_is_2="1", It_is_3="1", It_is_5="?", broken=None), "a"),
        "b": Told(likes, "b"),
        "c": Told(likes, "c"),
    }
    found = tables(tmp_path, part, **engines)
    assert {row: score for row, (score, _) in scores(found).items()} == RIGHT
    assert found["judgments"].height == 12
    told = reply_judge_figures(found["scores"], found["judgments"], pl.DataFrame(schema=SCORES))
    assert told["members_agree"] == {"0, 1": 0.5, "0, 2": 0.5, "1, 2": 1.0}
    assert (told["members"], told["unanimous"]) == (3, 0.75)
    assert told["agreement"] is None


def test_each_engine_of_a_jury_hears_every_sample_before_the_next_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SAMPLES_AT_ONCE", 1)
    order: list[str] = []

    def engine(name: str) -> Told:
        def answer(_content: str) -> str:
            order.append(name)
            return "5"

        return Told(answer, name)

    part = {"use": "judges.jury:of", "judges": [{"use": "judges.pointwise:rubric"}], "engines": ["a", "b"]}
    found = tables(tmp_path, part, a=engine("a"), b=engine("b"))
    assert order == ["a"] * 4 + ["b"] * 4
    assert found["judgments"]["member"].to_list() == [0, 1] * 4
    assert found["judgments"]["candidate_id"].n_unique() == 4


def test_a_jury_of_prompts_compares_pairs(tmp_path: Path) -> None:
    def answer(content: str) -> str:
        lines = content.splitlines()
        first = lines[lines.index(next(line for line in lines if line.startswith("Reply A"))) + 1]
        if "brevity" in content:
            return "A"  # always the first place
        return "A" if first in {"It is 2", "It is 5"} else "B"

    members = [{"use": "judges.pairwise:preference", "criterion": of} for of in ("truth", "sense", "brevity")]
    part = {"use": "judges.jury:of", "judges": members, "engine": "e"}
    found = tables(tmp_path, part, e=Told(answer))
    won = [a if score > 0 else b for a, b, score in found["comparisons"].select("a_id", "b_id", "score").iter_rows()]
    assert set(won) == {"p1", "q1"}
    assert found["judgments"].filter(member=2)["score"].to_list() == [0.0, 0.0]
    assert found["judgments"]["answers"].list.len().to_list() == [2] * 6


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"use": "judges.pointwise:rubric"}, "give it `engine`"),
        ({"use": "judges.pointwise:rubric", "engines": ["a", "b"]}, "one judge can't ask 2 engines"),
        (
            {"use": "judges.jury:of", "judges": [{"use": "judges.pointwise:rubric"}] * 3, "engines": ["a", "b"]},
            "3 judges and 2 engines",
        ),
    ],
)
def test_members_and_engines_that_do_not_fit_are_refused(tmp_path: Path, part: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tables(tmp_path, part, a=Told(lambda _: "5"), b=Told(lambda _: "5"))


RECIPE = """
name = "judged"
[[sources]]
path = "{folder}/rows.jsonl"
license = "MIT"
[generate]
engine = "good"
samples = 2
[engines.good]
use = "a_jurys:engine"
name = "good"
[engines.other]
use = "a_jurys:engine"
name = "other"
[[judges]]
use = "judges.answers:exact"
[[judges]]
use = "judges.jury:of"
judges = [{{ use = "judges.rubrics:weighted" }}]
engines = ["good", "other"]
verdict = "mean"
"""
MODULE = """
import json
from schemas.engines import Reply

class Engine:
    revision = "1"
    def __init__(self, name):
        self.model = name
    def __call__(self, requests):
        for request in requests:
            content = request.chat[-1]["content"]
            text = str(2 + request.sample)
            if content.startswith("Write"):
                lines = [{"criterion": "Says 2.", "weight": 3}, {"criterion": "Is a text.", "weight": 1}]
                text = json.dumps({"rubric": lines})
            elif content.startswith("Does"):
                good = "Is a text." in content or "Reply\\n===\\n2\\n" in content or self.model == "other"
                text = "yes" if good else "no"
            yield Reply(request.key, text, "stop")
    def close(self):
        pass

def engine(*, name: str):
    return Engine(name)
"""


def test_a_recipes_jury_is_in_the_summary_and_the_report(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"instruction": "What is 1 + 1?", "output": "2", "reference": "2"}))
    (tmp_path / "a_jurys.py").write_text(MODULE)
    (tmp_path / "judged.toml").write_text(RECIPE.format(folder=tmp_path))
    command = [sys.executable, "-m", "pipelines", "run", f"{tmp_path}/judged.toml", "--out", f"{tmp_path}/runs"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([*command, "--json"], check=False, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)["judges"]["judges.jury:of"]
    assert (told["members"], told["unanimous"], told["members_agree"]) == (2, 0.5, {"0, 1": 0.5})
    assert (told["criteria"], told["discriminating"]) == (4, 0.25)
    assert (told["agreement"], told["verified_pairs"]) == (1.0, 2)
    latest = tmp_path / "runs" / "judged" / "latest"
    assert "Members agree" in (latest / "report.md").read_text()
    assert pl.read_parquet(latest / "judgments").height == 4


def test_a_recipe_whose_jury_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    told = RECIPE.format(folder=tmp_path).replace('engines = ["good", "other"]', 'engines = ["good", "othr"]')
    (tmp_path / "a.toml").write_text(told.replace("a_jurys:engine", 'generators.replay:recorded"\npath = "x'))
    with pytest.raises(RecipeError) as fault:
        Recipe.read(tmp_path / "a.toml")
    assert "judges.1.engines: no engine 'othr'; did you mean 'other'?" in str(fault.value)
    (tmp_path / "b.toml").write_text(RECIPE.format(folder=tmp_path).replace('engines = ["good", "other"]', ""))
    with pytest.raises(RecipeError) as fault:
        Recipe.read(tmp_path / "b.toml")
    assert "judges.1: it asks a model: give it `engine`" in str(fault.value)


def test_a_part_names_one_engine_or_several() -> None:
    with pytest.raises(ValueError, match="either `engine`"):
        JudgePart.model_validate({"use": "judges.jury:of", "engine": "a", "engines": ["a"]})
