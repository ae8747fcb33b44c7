"""The shipped recipes of the proof and of ReST, cut to what takes a minute or two: real answers, real TRL."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROWS, TASKS = 240, 60
ENGINE = """[engines.tiny]
use = "generators.huggingface:local"
model = "models/tiny"
batch = 64

"""


def cut(name: str, folder: Path, changes: dict[str, str]) -> str:
    """Write a shipped recipe with few rows and tasks, transformers in this process, and `changes` made; give its file.

    Raises `AssertionError` where the recipe no longer holds what is to be changed.
    """
    text = Path(f"recipes/{name}.toml").read_text()
    for file, source, count in (("rows", "sharegpt.jsonl", ROWS), ("tasks", "held_out.jsonl", TASKS)):
        lines = Path("recipes/demo", source).read_bytes().splitlines(keepends=True)
        step = len(lines) // count
        (folder / f"{file}.jsonl").write_bytes(b"".join(lines[::step][:count]))
    first, held_out = text.index("[[sources]]"), text.index("# Never trained on")
    engine, generate = text.index("[engines.tiny]"), text.index("[generate]")
    own = f'[[sources]]\npath = "{folder}/rows.jsonl"\n\n'
    text = text[:first] + own + text[held_out:engine] + ENGINE + text[generate:]
    for old, new in {"recipes/demo/held_out.jsonl": f"{folder}/tasks.jsonl", **changes}.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / f"{name}.toml").write_text(text)
    return str(folder / f"{name}.toml")


def mill(*command: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "pipelines", *command, "--json"], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    told: dict[str, Any] = orjson.loads(done.stdout)
    return told


def test_the_data_is_proven_with_equal_tokens_and_a_second_proof_costs_nothing(tmp_path: Path) -> None:
    judge = '[[judges]] # which of two replies is better, in both orders\nuse = "judges.pairwise:preference"\n'
    judged = """[prove.arms.judged] # by the tiny model's own judgment, in the place of the verifier's
without = ["judges.checks:own"]
"""
    changes = {
        judge + 'engine = "tiny"\npairs = 1\n': "",
        "samples = 8": "samples = 4",
        "epochs = 0.3 ": "epochs = 0.8 ",
        "gradient_accumulation_steps = 4": "gradient_accumulation_steps = 1",
        "seeds = [7, 8, 9]": "seeds = [7, 8]",
        judged: "",
    }
    command = ["prove", cut("prove", tmp_path, changes), "--out", str(tmp_path / "runs")]
    told = mill(*command)
    assert list(told["arms"]) == ["curated", "raw", "shuffled"]
    budgets = {job["method"]: job["tokens"] for job in told["tokens"]}
    assert list(budgets) == ["sft", "dpo"]
    for name, arm in told["arms"].items():
        due = {"sft": sum(budgets.values())} if name == "raw" else budgets  # raw data has no pairs
        assert [job["method"] for job in arm["jobs"]] == list(due), name
        assert all(due[job["method"]] - 256 < job["tokens"] <= due[job["method"]] for job in arm["jobs"]), name
        assert all(job["steps"] > 1 for job in arm["jobs"]), name
        assert len(arm["pass"]["1"]["rise"]["by_seed"]) == 2
    assert told["arms"]["curated"]["pass"]["1"]["tasks"] == TASKS
    made = {file.name for file in (tmp_path / "runs" / "prove" / "stages").iterdir()}
    assert mill(*command) == told
    assert {file.name for file in (tmp_path / "runs" / "prove" / "stages").iterdir()} == made
    page = (tmp_path / "runs" / "prove" / "proof" / "proof.html").read_text()
    assert "<script" not in page
    assert "shuffled" in page


def test_a_round_of_rest_gives_a_checkpoint_or_says_that_none_is_better(tmp_path: Path) -> None:
    changes = {"samples = 32": "samples = 4", "k = [1, 8]": "k = [1, 4]"}
    changes |= {"epochs = 0.25 ": "epochs = 1 ", "rounds = 3": "rounds = 1"}
    command = ["run", cut("rest", tmp_path, changes), "--out", str(tmp_path / "runs")]
    told = mill(*command)
    rounds = told["loop"]["rounds"]
    assert [one["round"] for one in rounds] == [0, 1]
    assert rounds[1]["passes"][0]["sft"] == told["rows"]["sft"] > ROWS // 2
    assert rounds[1]["stale"]["sft"] == {"mean_age": 0, "older": 0}
    assert (Path(told["folder"]) / "checkpoint").exists() == bool(told["loop"]["best"])
    assert mill(*command)["loop"] == told["loop"]
    assert (Path(told["folder"]) / "rounds.html").stat().st_size > 1000
