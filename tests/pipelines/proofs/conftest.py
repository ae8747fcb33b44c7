"""A model whose skill is a number in a file, and a trainer that sets it: proofs and loops within seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines.store import Stored, once
from pipelines.train import DATASET, training_rows

ENGINE = '''
"""Answers sums; each answer is right with the chance that the file `skill` in the model's folder says."""

import re
from dataclasses import dataclass
from pathlib import Path

from schemas.chats import content_id
from schemas.engines import Reply

ASKED = []


def local(*, model: str):
    return _Model(Path(model).name, Path(model, "skill").read_text())


@dataclass
class _Model:
    model: str
    revision: str

    def __call__(self, requests):
        for request in requests:
            ASKED.append(request.key)
            a, b = map(int, re.findall("[0-9]+", request.chat[-1]["content"]))
            draw = int(content_id(request.key)[:8], 16) / 16**8
            said = a + b if draw < float(self.revision) else a + b + 1 + int(100 * draw) % 3
            yield Reply(request.key, f"It is {said}.", finish_reason="stop", prompt_tokens=9, reply_tokens=3)

    def close(self):
        pass
'''
RECIPE = """
name = "sums"
seed = 5
[[sources]]
path = "{folder}/rows.jsonl"
[benchmarks.held-out]
path = "{folder}/tasks.jsonl"
[[filters]]
use = "filters.length:characters"
[[filters]]
use = "filters.length:words"
part = "prompt"
maximum = 20
[engines.model]
use = "skilled:local"
model = "{folder}/base"
[generate]
engine = "model"
samples = 4
[[judges]]
use = "judges.math:final_answer"
[select]
use = "pipelines.select:best_and_worst"
replies = 4
on_policy = true
[evaluate]
benchmark = "held-out"
judge = {{ use = "judges.math:final_answer" }}
samples = 4
[[train]]
method = "{method}"
learning_rate = 1e-3
"""


@dataclass
class Workshop:
    """Where such a model is trained; `jobs` names what was trained on, `failing` ends the n-th job from now."""

    folder: Path
    jobs: list[str]
    learn: Callable[[float, float], float]
    failing: int | None = None

    def recipe(self, extra: str = "", method: str = "sft") -> Path:
        """Write a recipe and give its file."""
        file = self.folder / "sums.toml"
        file.write_text(RECIPE.format(folder=self.folder, method=method) + extra)
        return file

    def asked(self) -> int:
        """Count the requests that the model has answered."""
        import skilled  # type: ignore[import-not-found]  # written by the fixture

        return len(skilled.ASKED)

    def keys(self) -> list[str]:
        """Give the keys of the requests that the model has answered."""
        import skilled

        return list(skilled.ASKED)

    def train(self, store: Path, selected: Stored, section: Any, *, base: str, **rest: Any) -> Stored:
        """Stand in for `pipelines.train.train`: `learn` gives the new skill, of the old and the share of right rows."""

        def build(folder: Path) -> dict[str, Any]:
            if self.failing is not None:
                self.failing -= 1
                if self.failing < 0:
                    raise KeyboardInterrupt
            files = sorted(training_rows(selected.folder / DATASET[section.method]).glob("*.parquet"))
            data = pl.concat(map(pl.read_parquet, files))
            self.jobs.append(selected.key)
            column = next((name for name in ("completion", "chosen") if name in data.columns), None)
            right = [column is None or _is_right(row["prompt"], row[column]) for row in data.iter_rows(named=True)]
            skill = self.learn(float(Path(base, "skill").read_text()), sum(right) / len(right))
            (folder / "checkpoint").mkdir()
            (folder / "checkpoint" / "skill").write_text(f"{skill:.6f}")
            return {"method": section.method, "rows": data.height, "steps": data.height}

        seen = {"base": rest["revision"], "seed": rest["seed"], "data": selected.key, "section": section.model_dump()}
        return once(store, f"train-{section.method}", seen, build)


def _is_right(prompt: list[dict[str, str]], reply: list[dict[str, str]]) -> bool:
    words = prompt[-1]["content"].strip("?").split()
    said = [word.strip(".") for word in reply[-1]["content"].split()]
    return str(int(words[2]) + int(words[4])) in said


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A raw set of sums of which 40 % have a wrong reply, held-out sums, and a model that is right in half of them."""
    (tmp_path / "skilled.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "skilled", raising=False)
    rows = [
        {
            "prompt": f"What is {a} plus {a * 3 + 1}?",
            "completion": f"{a * 4 + 1 + (a % 5 < 2)}",
            "reference": f"{a * 4 + 1}",
        }
        for a in range(60)
    ]
    tasks = [{"prompt": f"What is {a} plus {a + 2}?", "reference": f"{2 * a + 2}"} for a in range(100, 140)]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    (tmp_path / "tasks.jsonl").write_bytes(b"\n".join(map(orjson.dumps, tasks)))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "skill").write_text("0.500000")
    made = Workshop(tmp_path, [], lambda old, right: 0.3 * old + 0.65 * right)
    for module in ("prove", "loop"):
        monkeypatch.setattr(f"pipelines.{module}.train", made.train)
    monkeypatch.setattr("pipelines.prove.counter", lambda *_: lambda table: pl.Series([20] * table.height))
    return made
