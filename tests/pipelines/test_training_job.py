"""How a job is started, what is said when it has no memory left, and from where it goes on."""

import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.trainer_faults import in_words, out_of_memory
from pipelines.trainer_watch import WHOLE, last_checkpoint, remove_halves
from pipelines.training import Training
from pipelines.training_job import command, environment, figures

SFT: dict[str, Any] = Training(method="sft", batch_size=8, max_length=64).model_dump()


def test_accelerates_options_are_passed_as_they_are_told() -> None:
    options: dict[str, str | int | float | bool] = {
        "num_processes": 4,
        "multi_gpu": True,
        "cpu": False,
        "mixed_precision": "bf16",
    }
    told = command("job.json", options)
    assert told[:3] == [sys.executable, "-m", "accelerate.commands.launch"]
    assert told[3:-3] == ["--num_processes", "4", "--multi_gpu", "--mixed_precision", "bf16"]
    assert told[-3:] == ["-m", "pipelines.trainer", "job.json"]
    assert command("job.json", {}) == [sys.executable, "-m", "pipelines.trainer", "job.json"]


def test_a_model_in_a_folder_asks_no_hub(tmp_path: Path) -> None:
    assert "HF_HUB_OFFLINE" in environment(str(tmp_path), tmp_path)
    assert "HF_HUB_OFFLINE" not in environment("org/model", tmp_path)


def test_the_figures_of_a_step_are_those_that_a_person_follows() -> None:
    assert figures({"loss": 0.51234, "epoch": 1.0, "rewards/margins": 0.25}) == "loss 0.5123, rewards/margins 0.25"


def test_what_takes_less_memory_changes_no_result_first() -> None:
    told = out_of_memory(SFT, 3, "8 rows of 60 tokens", "the 80 GiB of a card")
    assert told.startswith("sft: out of memory at step 4 in the 80 GiB of a card. Tried: batch_size 8, max_length 64")
    ways = told.partition("What takes less: ")[2].split("; ")
    assert [way.partition(" = ")[0] for way in ways] == ["batch_size", "arguments", "lora", "max_length"]


def test_what_was_set_already_is_not_advised_again() -> None:
    tight = SFT | {"batch_size": 1, "lora": {"rank": 4}, "arguments": {"gradient_checkpointing": True}}
    assert out_of_memory(tight, 0, "", "memory").endswith("What takes less: max_length = 32 (longer rows are cut)")
    replies = SFT | {"method": "grpo"}
    assert "max_tokens = 128" in out_of_memory(replies, 0, "", "memory")


def test_a_fault_that_the_log_tells_better_has_no_words() -> None:
    assert in_words(ValueError("what"), SFT, step=0, batch="") is None
    assert in_words(MemoryError(), SFT, step=0, batch="") is not None
    import torch

    with pytest.raises(RuntimeError) as told:
        torch.empty(2**60)
    assert "out of memory" in str(in_words(told.value, SFT, step=0, batch=""))


def test_a_checkpoint_that_was_half_written_is_not_gone_on_from(tmp_path: Path) -> None:
    for step in (8, 16, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    for step in (8, 16):
        (tmp_path / f"checkpoint-{step}" / WHOLE).write_text("{}")
    assert last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-16")
    assert last_checkpoint(tmp_path, before=16) == str(tmp_path / "checkpoint-8")
    assert last_checkpoint(tmp_path, before=8) is None
    remove_halves(tmp_path)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["checkpoint-16", "checkpoint-8"]
