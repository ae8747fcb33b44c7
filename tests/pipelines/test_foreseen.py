"""A plan of new prompts, and of judges that ask because of an answer, beside what a run then asks."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines.forecast import words
from pipelines.grow import TRIES
from pipelines.plan import plan
from pipelines.progress import Progress
from pipelines.recipe import Recipe
from pipelines.run import build

QUIET = Progress(lambda _text: None, lambda _work, _done, _total: None)
RECIPE = """
name = "foreseen"
[[sources]]
path = "{folder}/rows.jsonl"
[engines.one]
use = "foreseen_engines:engine"
[[filters]]
use = "filters.length:words"
part = "prompt"
minimum = 3
[generate]
engine = "one"
samples = 2
max_tokens = 20
"""
EVOLVED = '[[prompts]]\nuse = "generators.evolve:evolved"\nengine = "one"\ncount = 6\nmax_tokens = 40\nrounds = 2\n'
TASKS = '[[prompts]]\nuse = "generators.instruct:self_instruct"\nengine = "one"\ncount = 8\nmax_tokens = 100\n'
PERSONAS = '[[prompts]]\nuse = "generators.personas:personas"\nengine = "one"\ncount = 3\n'
COMPOSED = '[[prompts]]\nuse = "generators.constraints:verifiable"\ncount = 2\n'
WEIGHTED = '[[judges]]\nuse = "judges.rubrics:weighted"\nengine = "one"\nmost = 3\n'
META = (
    '[[judges]]\nuse = "judges.meta:best_judgment"\nengine = "one"\njudgments = 3\n'
    'judge = { use = "judges.pointwise:rubric" }\n'
)
MODULE = """
import json
import re
from schemas.engines import Reply

class Engine:
    model = "one"
    revision = "1"
    asked = []
    readable = True
    def __call__(self, requests):
        for request in requests:
            type(self).asked.append(request.key)
            content = request.chat[-1]["content"]
            tags = re.findall(r"<(\\\\w+)> and </", content) if self.readable else []
            text = f"a word of {request.key}"
            if tags:
                text = "".join(f"<{tags[-1]}>{at} {text}</{tags[-1]}>" for at in range(1 + 3 * (tags[-1] == "task")))
            elif content.startswith("Write the criteria"):
                lines = [{"criterion": f"It is {at}.", "weight": 1} for at in range(3)]
                text = json.dumps({"rubric": lines})
            elif content.startswith("Judge how"):
                text = str(1 + request.sample)
            yield Reply(request.key, text, "stop", 30, 10)
    def close(self):
        pass

def engine():
    return Engine()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = [{"instruction": f"Name {at} rivers of the world."} for at in range(12)]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (tmp_path / "foreseen_engines.py").write_text(MODULE.replace("\\\\", "\\"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "foreseen_engines", raising=False)
    return tmp_path


def recipe(folder: Path, *more: str) -> Recipe:
    file = folder / "foreseen.toml"
    file.write_text("".join([RECIPE.format(folder=folder), *more]))
    return Recipe.read(file)


def planned(folder: Path, *more: str) -> dict[str, Any]:
    return plan(recipe(folder, *more), folder / "runs", QUIET)


def stages(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["stage"]: stage for stage in told["stages"]}


def test_new_prompts_are_planned_method_by_method_as_a_run_asks_where_each_can_be_read(folder: Path) -> None:
    parts = (EVOLVED, TASKS, PERSONAS, COMPOSED)
    before = planned(folder, *parts)
    summary = build(recipe(folder, *parts), folder / "runs", QUIET)
    foreseen = stages(before)
    for told in summary["prompts"]:
        stage = foreseen[f"grow {told['use']}"]
        assert (stage["to_ask"], stage["held"], stage["rows"]) == (told["asked"], 0, told["new"]), told["use"]
    assert foreseen["grow generators.evolve:evolved"]["reply_tokens"] == 6 * 40
    assert foreseen["grow generators.evolve:evolved"]["prompt_tokens"] > 0
    assert not foreseen["curate"]["rows_exact"]
    assert foreseen["generate"]["to_ask"] == summary["requests"]["stages"]["generate"]["asked"]
    assert f"else up to {TRIES} times" in words(before)
    after = planned(folder, *parts)
    assert (after["to_ask"], after["held"]) == (0, summary["requests"]["asked"])
    assert "nothing will be asked" in words(after)


def test_a_plan_of_more_new_prompts_finds_those_that_are_held(folder: Path) -> None:
    few = EVOLVED.replace("rounds = 2\n", "")
    build(recipe(folder, few), folder / "runs", QUIET)
    told = stages(planned(folder, few.replace("count = 6", "count = 9")))["grow generators.evolve:evolved"]
    assert (told["requests"], told["held"], told["to_ask"]) == (9, 6, 3)


def test_a_rule_that_asks_a_model_is_not_counted_twice_for_the_samples_that_prompts_start_from(folder: Path) -> None:
    rows = [{"instruction": f"Name {at} rivers.", "output": f"Here are {at} of them."} for at in range(12)]
    (folder / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    rated = '[[filters]]\nuse = "judges.rating:rating"\nengine = "one"\nminimum = 0.0\n'
    back = '[[prompts]]\nuse = "generators.backtranslate:backtranslated"\nengine = "one"\ncount = 4\n'
    before = stages(planned(folder, rated, back))
    assert (before["curate seeds"]["to_ask"], before["curate"]["to_ask"]) == (12, 4)
    assert before["generate"]["to_ask"] == 2 * (12 + 4)


@pytest.mark.parametrize(("judge", "each"), [(WEIGHTED, 3), (META, 3 + 6)])
def test_what_a_judge_asks_because_of_an_answer_is_planned_at_its_most(folder: Path, judge: str, each: int) -> None:
    name = judge.split('"')[1]
    before = planned(folder, judge)
    summary = build(recipe(folder, judge), folder / "runs", QUIET)
    asked = summary["requests"]["stages"][f"score {name}"]["asked"]
    assert stages(before)[f"score {name}"]["to_ask"] == asked == 12 * (2 * each + (judge == WEIGHTED))
    assert "is counted at its most" in words(before)
