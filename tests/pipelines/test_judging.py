"""LLM judges through the score stage, with simulated models for engines."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from benchmarks.judge_noise import BIASES, expected, measured
from benchmarks.llmbar import DATA, MODELS, SETS, figures_of, recorded_accuracy, rows
from benchmarks.stages import Prompt, judged
from judges.rbr import read_rules
from pipelines import steps
from pipelines.judge_figures import reply_judge_figures
from pipelines.recipe import Recipe
from pipelines.sections import JudgePart
from pipelines.store import read_table
from schemas.engines import Reply, Request
from schemas.errors import RecipeError
from schemas.tables import COMPARISONS, JUDGMENTS, SCORES

RUBRIC = json.dumps({"rubric": [{"criterion": "Says 2.", "weight": 3}, {"criterion": "Is a text.", "weight": 1}]})
PROMPTS = [
    Prompt("p", "What is 1 + 1?", {"p1": "It is 2", "p2": "It is 3", "p3": "It is 2"}, reference="2"),
    Prompt("q", "What is 2 + 3?", {"q1": "It is 5", "q2": "broken"}),
]

RIGHT = {"p1": 1.0, "p2": 0.0, "p3": 1.0, "q1": 1.0, "q2": 0.0}  # p1 and p3 say the same


@dataclass
class Told:
    """An engine that answers by a function of the question, and keeps what it was asked; null is an error."""

    answer: Callable[[str], str | None]
    model: str = "told"
    revision: str = "1"
    asked: list[Request] = field(default_factory=list)

    def __call__(self, requests: Iterable[Request], /) -> Iterator[Reply]:
        """Answer each in turn."""
        for request in requests:
            self.asked.append(request)
            text = self.answer(request.chat[-1]["content"])
            yield Reply(request.key, text, "stop", error="the server said 500" if text is None else None)

    def close(self) -> None:
        """Do nothing."""


def by_reply(**answers: str | None) -> Callable[[str], str | None]:
    return lambda content: next(answer for text, answer in answers.items() if text.replace("_", " ") in content)


def tables(folder: Path, part: dict[str, Any], **engines: Told) -> dict[str, pl.DataFrame]:
    found = judged(folder, PROMPTS, part, engines)
    schemas = {"scores": SCORES, "comparisons": COMPARISONS, "judgments": JUDGMENTS}
    return {name: read_table(found, name, schema) for name, schema in schemas.items()}


def scores(found: dict[str, pl.DataFrame]) -> dict[str, tuple[float | None, str]]:
    told = found["scores"].select("candidate_id", "score", "status").iter_rows()
    return {candidate: (score, status) for candidate, score, status in told}


def test_a_rating_lands_on_each_candidate_by_its_text_and_a_failure_is_no_value(tmp_path: Path) -> None:
    engine = Told(by_reply(It_is_2="5", It_is_3="1", It_is_5="eight", broken=None))
    found = tables(tmp_path, {"use": "judges.pointwise:rubric", "engine": "e"}, e=engine)
    assert scores(found) == {
        "p1": (1.0, "scored"),
        "p2": (0.0, "scored"),
        "p3": (1.0, "scored"),
        "q1": (None, "unparsed"),
        "q2": (None, "error"),
    }
    assert len(engine.asked) == 4  # one text is judged once
    texts = dict(found["judgments"].select("candidate_id", "answers").iter_rows())
    assert texts["q1"] == ["eight"]


def test_a_rubric_is_written_once_a_prompt_and_its_power_is_told(tmp_path: Path) -> None:
    def answer(content: str) -> str:
        if content.startswith("Write"):
            return RUBRIC if "1 + 1" in content else "no rubric"
        return "yes" if "Is a text." in content or "It is 2" in content else "no"

    engine = Told(answer)
    found = tables(tmp_path, {"use": "judges.rubrics:weighted", "engine": "e"}, e=engine)
    assert scores(found) == {
        "p1": (1.0, "scored"),
        "p2": (0.25, "scored"),
        "p3": (1.0, "scored"),
        "q1": (None, "unparsed"),
        "q2": (None, "unparsed"),
    }
    assert sum(one.chat[0]["content"].startswith("Write") for one in engine.asked) == 2
    verified = pl.DataFrame({"candidate_id": ["p1", "p2", "p3"], "score": [1.0, 0.0, 1.0]})
    told = reply_judge_figures(found["scores"], found["judgments"], verified)
    assert (told["criteria"], told["discriminating"]) == (2, 0.5)  # "Is a text." tells no two replies apart
    assert (told["agreement"], told["verified_pairs"], told["told_apart"]) == (1.0, 2, 1.0)
    assert told["without_verdict"] == {"unparsed": 2}


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


def test_a_list_is_judged_without_its_equal_texts(tmp_path: Path) -> None:
    def answer(content: str) -> str:
        lines = content.splitlines()
        best = "It is 2" if "It is 2" in lines else "It is 5"
        return lines[lines.index(best) - 2].removeprefix("Reply ")

    found = tables(tmp_path, {"use": "judges.listwise:best", "engine": "e"}, e=Told(answer))
    assert {row: score for row, (score, _) in scores(found).items()} == RIGHT


def test_a_guided_judge_leaves_prompts_without_a_reference_alone(tmp_path: Path) -> None:
    engine = Told(lambda _: "5")
    found = tables(tmp_path, {"use": "judges.pointwise:guided", "engine": "e"}, e=engine)
    assert scores(found)["q1"] == (None, "no_reference")
    assert len(engine.asked) == 2


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


@pytest.mark.parametrize("bias", BIASES)
def test_noise_of_a_judge_is_what_its_model_says(bias: float) -> None:
    told, wanted = measured(3_000, bias), expected(bias)
    for name, value in wanted.items():
        assert told[name] == pytest.approx(value, abs=0.03)  # five standard errors of 3,000 pairs


def test_the_expected_table_is_the_published_one() -> None:
    published = {0.0: (22.2, 69.8, 10.1, 50.0), 1.0: (25.0, 61.2, 9.2, 64.8), 2.0: (31.7, 42.9, 7.4, 77.5)}
    for bias, row in published.items():
        assert [100 * value for value in expected(bias).values()] == pytest.approx(row, abs=0.15)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"LLMBar is not in {DATA}; name the folder above by GRISTMILL_DATA")
@pytest.mark.parametrize("model", MODELS)
def test_replayed_judgments_have_the_recorded_accuracy(model: str) -> None:
    every = []
    for name in SETS:
        records = rows(name, model)
        every += records
        assert figures_of(records, model)["agreement"] == pytest.approx(recorded_accuracy(records))
    told = figures_of(every, model)
    better_than_chance = told["agreement"] > 0.5
    assert (told["reconciled_agreement"] > told["agreement"]) == better_than_chance


def test_a_rule_based_reward_is_the_reward_models_and_the_weights_of_what_is_so(
    tmp_path: Path, reward_model: str
) -> None:
    (tmp_path / "rules.toml").write_text(
        'order = ["good", "bad"]\n[propositions]\ntwo = "Is it 2?"\n'
        "[classes.sum.good]\ntwo = true\n[classes.sum.bad]\ntwo = false\n"
    )
    weights = {"two": 3.0, "good": 1.0, "bad": -1.0}
    known = {"rules": read_rules(str(tmp_path / "rules.toml")).key, "reward_model": "given"}
    (tmp_path / "weights.json").write_bytes(orjson.dumps(known | {"types": {"sum": {"weights": weights}}}))
    part = {
        "use": "judges.rbr:reward",
        "engine": "e",
        "rules": str(tmp_path / "rules.toml"),
        "weights": str(tmp_path / "weights.json"),
        "response_type": "sum",
        "reward_model": reward_model,
    }
    engine = Told(by_reply(It_is_2="yes", It_is_3="no", It_is_5="no", broken="perhaps"))
    total = scores(tables(tmp_path / "total", part, e=engine))
    base = scores(tables(tmp_path / "base", {"use": "judges.reward:scored", "model": reward_model}))
    rules = scores(tables(tmp_path / "rules", {key: part[key] for key in part if key != "reward_model"}, e=engine))
    assert {row: score for row, (score, _) in rules.items()} == {"p1": 4, "p2": -1, "p3": 4, "q1": -1, "q2": None}
    for row, (score, status) in total.items():
        under, over = base[row][0], rules[row][0]
        assert under is not None
        assert score == (None if over is None else pytest.approx(under + over, abs=1e-4))
        assert status == ("unparsed" if over is None else "scored")
    assert len({score for score, _ in base.values()}) > 1
