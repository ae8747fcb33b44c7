"""LLM judges through the score stage, with simulated models for engines."""

import json
from pathlib import Path

import orjson
import polars as pl
import pytest

from benchmarks.judge_noise import BIASES, expected, measured
from benchmarks.llmbar import DATA, MODELS, SETS, figures_of, recorded_accuracy, rows
from judges.rbr import read_rules
from pipelines.judge_figures import reply_judge_figures
from tests.pipelines.told_judges import RIGHT, Told, by_reply, scores, tables

RUBRIC = json.dumps({"rubric": [{"criterion": "Says 2.", "weight": 3}, {"criterion": "Is a text.", "weight": 1}]})


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
