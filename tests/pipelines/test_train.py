"""Fine-tuning jobs by real TRL on the tiny model: what they leave and keep to, how they go on and how they fail."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from pipelines import train as stage
from pipelines.store import Stored
from pipelines.train import train
from pipelines.training import Training
from schemas.errors import TrainingError

SFT: dict[str, Any] = {"method": "sft", "learning_rate": 1e-3, "batch_size": 4, "max_length": 64, "epochs": 3}
JOB = """
import sys, orjson
from pathlib import Path
from pipelines.store import Stored
from pipelines.train import train
from pipelines.training import Training
told = orjson.loads(sys.argv[1])
selected = Stored(Path(told["folder"]), told["facts"], False, 0.0)
train(Path(told["store"]), selected, Training(**told["section"]), base=told["base"], revision="tiny", seed=0,
      progress=lambda done, of: None)
"""


def run(store: Path, selected: Stored, tiny: str, **section: Any) -> tuple[Stored, list[str]]:
    said: list[str] = []
    told = Training(**section)
    base: dict[str, Any] = {"base": tiny, "revision": "tiny", "seed": 0}
    made = train(store, selected, told, **base, progress=lambda _done, _of: None, say=said.append)
    return made, said


def metrics(made: Stored) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (made.folder / "metrics.jsonl").read_bytes().splitlines()]


def weights(folder: Path) -> bytes:
    return (folder / "checkpoint" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, selected: Stored, tiny: str) -> Stored:
    return run(tmp_path_factory.mktemp("store"), selected, tiny, **SFT)[0]


@pytest.mark.slow
def test_a_checkpoint_tells_what_it_was_made_from_and_its_metrics_lie_beside_it(
    undisturbed: Stored, selected: Stored
) -> None:
    told = orjson.loads((undisturbed.folder / "checkpoint" / "training.json").read_bytes())
    assert told["dataset"] == {
        "table": "sft",
        "key": selected.key,
        "content": stage.content_of(selected.folder / "sft"),
    }
    assert told["section"]["learning_rate"] == 1e-3
    assert told["libraries"]["trl"] == "1.16.0"
    assert undisturbed.facts["steps"] == 18
    steps = metrics(undisturbed)
    assert steps[-1]["step"] == 18
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert undisturbed.facts["final_loss"] == pytest.approx(sum(one["loss"] for one in steps) / 18, abs=1e-6)
    assert not (undisturbed.folder.parent / ".unfinished" / undisturbed.key).exists()


@pytest.mark.slow
def test_a_killed_job_goes_on_from_its_checkpoint_and_ends_with_the_same_weights(
    undisturbed: Stored, selected: Stored, tiny: str, tmp_path: Path
) -> None:
    section = SFT | {"checkpoint_every": ["2steps"]}
    told = {"folder": str(selected.folder), "facts": selected.facts, "store": str(tmp_path), "base": tiny}
    command = [sys.executable, "-c", JOB, orjson.dumps(told | {"section": section}).decode()]
    killed = subprocess.Popen(command)
    until = time.monotonic() + 120
    while not (marks := [*tmp_path.glob(".unfinished/*/1/checkpoint-*/whole.json")]):
        assert killed.poll() is None, "the job ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)
    trainers = children(killed.pid)
    assert trainers
    killed.kill()
    killed.wait()
    while any(status(pid)[0] != "Z" for pid in trainers):
        assert time.monotonic() < until, "the trainer outlived the process that started it"
        time.sleep(0.05)
    job = marks[0].parent.parent / "job.json"
    made, said = run(tmp_path, selected, tiny, **section)
    assert made.facts["resumed"] >= 2
    assert any("going on from the checkpoint" in line for line in said)
    assert [one["step"] for one in metrics(made)] == list(range(1, 19))
    assert weights(made.folder) == weights(undisturbed.folder)
    assert not job.exists()
    assert run(tmp_path, selected, tiny, **section)[0].reused


def children(pid: int) -> list[int]:
    running = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]
    return [one for one in running if status(one)[1:2] == [str(pid)]]


def status(pid: int) -> list[str]:
    """Give a process's state and its parent; of one that is gone "Z", as of one that only waits to be counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return ["Z"]


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_the_job_at_its_step_and_names_a_good_checkpoint(
    selected: Stored, tiny: str, tmp_path: Path
) -> None:
    with pytest.raises(
        TrainingError, match=r"at step \d+, so training stopped there; the last good checkpoint is"
    ) as told:
        run(tmp_path, selected, tiny, **SFT | {"learning_rate": 1e30, "checkpoint_every": "1steps"})
    assert "Set a lower learning_rate than 1e+30" in str(told.value)
    kept = Path(str(told.value).partition("checkpoint is ")[2].partition(". Set")[0])
    assert all(bool(weights.isfinite().all()) for weights in tensors(kept).values())


@pytest.mark.slow
def test_adapters_are_merged_into_a_whole_model_and_a_budget_ends_the_job_cleanly(
    selected: Stored, tiny: str, tmp_path: Path
) -> None:
    made, said = run(
        tmp_path,
        selected,
        tiny,
        method="dpo",
        loss="robust",
        label_smoothing=0.1,
        lora={"rank": 4},
        learning_rate=1e-3,
        batch_size=4,
        max_length=64,
        budget="1steps",
    )
    assert (made.facts["steps"], made.facts["stopped"]) == (1, "the budget of 1steps")
    assert any("stopped after 1 steps" in line for line in said)
    assert metrics(made)[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # ln 2: the policy is its own reference
    assert (made.folder / "adapter" / "adapter_model.safetensors").is_file()
    before, after = tensors(Path(tiny)), tensors(made.folder / "checkpoint")
    assert before.keys() == after.keys()
    name = "model.layers.0.self_attn.q_proj.weight"
    assert bool((before[name] != after[name]).any()), "one step is enough to learn"


@pytest.mark.slow
def test_only_the_weights_that_are_named_are_trained(selected: Stored, tiny: str, tmp_path: Path) -> None:
    job: dict[str, Any] = {"method": "dpo", "learning_rate": 0.1, "batch_size": 8, "max_length": 64}
    made, said = run(tmp_path, selected, tiny, **job, trainable="model.norm")
    before, after = tensors(Path(tiny)), tensors(made.folder / "checkpoint")
    assert before.keys() == after.keys()
    assert {name for name in before if bool((before[name] != after[name]).any())} == {"model.norm.weight"}
    assert any(f"trained are {before['model.norm.weight'].numel()} of " in line for line in said)
    with pytest.raises(TrainingError, match=r"trainable \['nrom'\]: no weight's name .* model.norm.weight"):
        run(tmp_path, selected, tiny, **job, trainable="nrom")


def tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.slow
def test_kto_weighs_the_rarer_label_more_and_stops_at_its_tokens(selected: Stored, tiny: str, tmp_path: Path) -> None:
    made, said = run(tmp_path, selected, tiny, method="kto", batch_size=4, max_length=12, budget="100tokens")
    assert made.facts["stopped"] == "the budget of 100tokens"
    assert 100 <= made.facts["tokens"] < 200
    assert 0 < made.facts["truncated"]["left_out"] == 48 - made.facts["rows_in_batches"], "what TRL left out was told"
    assert any("for 24 good and 24 bad" in line for line in said)
    assert any("learning_rate 1e-06, TRL's own" in line for line in said)


@pytest.mark.slow
def test_grpo_is_targeted_at_chosen_prompts_and_rewarded_by_their_verifiers(
    selected: Stored, tiny: str, tmp_path: Path
) -> None:
    section = {"method": "grpo", "batch_size": 8, "generations": 4, "max_tokens": 8, "budget": "2steps"}
    only = {"sources": "even", "matching": r"What is \d \+"}
    made, _said = run(tmp_path, selected, tiny, **section, learning_rate=1e-5, only=only)
    assert made.facts["rows"] == 5  # 0, 2, 4, 6, 8
    rewards = [one["rewards/verified/mean"] for one in metrics(made)]
    assert len(rewards) == 2
    assert all(0 <= reward <= 1 for reward in rewards)


@pytest.mark.slow
def test_rloo_runs_by_accelerate_with_the_options_that_are_told(selected: Stored, tiny: str, tmp_path: Path) -> None:
    section = {"method": "rloo", "batch_size": 4, "generations": 4, "max_tokens": 8, "budget": "1steps"}
    options = {"num_processes": 1, "num_machines": 1, "cpu": True, "mixed_precision": "no", "dynamo_backend": "no"}
    made, _said = run(tmp_path, selected, tiny, **section, accelerate=options)
    assert made.facts["steps"] == 1


@pytest.mark.slow
def test_memory_that_runs_out_is_told_with_what_was_tried_and_what_takes_less(
    selected: Stored, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.training_job.sys.executable", limited(tmp_path))
    with pytest.raises(TrainingError, match="out of memory at step 1") as told:
        run(tmp_path / "store", selected, tiny, **SFT | {"batch_size": 24, "arguments": {"pad_to_multiple_of": 30_000}})
    assert "batch_size 24, max_length 64, all weights; the batch held 24 rows of 30,000 tokens" in str(told.value)
    assert "batch_size = 12 with arguments = { gradient_accumulation_steps = 2 }" in str(told.value)


def limited(folder: Path) -> str:
    """Give a Python whose processes have 16 GiB of addresses: what a step asks for beyond is refused at once."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nulimit -v {16 << 20}\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_a_method_without_rows_names_those_that_have_some(selected: Stored, tiny: str, tmp_path: Path) -> None:
    facts = {**selected.facts, "preferences": 0}
    with pytest.raises(TrainingError, match="the table preferences has no row") as told:
        run(tmp_path, Stored(selected.folder, facts, reused=False, seconds=0.0), tiny, method="dpo")
    assert "sft 24" in str(told.value)
    assert "kto 48" in str(told.value)


def test_rows_that_nobody_chose_are_told_by_source(selected: Stored, tiny: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="rows by source: even 12, odd 12"):
        run(tmp_path, selected, tiny, **SFT, only={"sources": "neither"})


def test_one_label_alone_is_nothing_for_kto(selected: Stored, tiny: str, tmp_path: Path) -> None:
    good = pl.read_parquet(selected.folder / "unpaired").filter("label")
    (tmp_path / "unpaired").mkdir()
    good.write_parquet(tmp_path / "unpaired" / "00000.parquet")
    stored = Stored(tmp_path, {"unpaired": good.height, "held_out": {}}, reused=False, seconds=0.0)
    with pytest.raises(TrainingError, match="all 24 rows are good, and it learns by the difference; sft trains"):
        run(tmp_path / "store", stored, tiny, method="kto")


def test_two_runs_do_not_train_the_same_job_at_once(
    selected: Stored, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(stage, "WAIT", 0.0)
    monkeypatch.setattr(stage, "unfinished", lambda *_names: tmp_path)
    with (tmp_path / "lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TrainingError, match="another process trains this very job"):
            run(tmp_path / "store", selected, tiny, **SFT)


def test_a_trainer_that_is_killed_is_told_as_such(
    selected: Stored, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing = [sys.executable, "-c", f"import os; os.kill(os.getpid(), {signal.SIGKILL:d})"]
    monkeypatch.setattr("pipelines.training_job.command", lambda *_told: killing)
    with pytest.raises(TrainingError, match="Run it again to go on from its last checkpoint"):
        run(tmp_path, selected, tiny, **SFT)
