"""TRL's own trainers on the layouts as they are written, each a step or two of the tiny model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from judges.checks import reward_function
from pipelines.scored import table_of
from pipelines.select import Selection
from pipelines.training_layouts import Datasets
from schemas.tables import CANDIDATES, COMPARISONS, SAMPLES, SCORES

STEPS = """
import json, sys
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer, KTOConfig, KTOTrainer, RewardConfig, RewardTrainer
from judges.checks import reward_function
kind, tiny, data, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(tiny)
rows = load_dataset(data, split="train", cache_dir=out)
told = dict(output_dir=out, max_steps=2, per_device_train_batch_size=4, use_cpu=True, bf16=False, report_to=[],
            save_strategy="no", logging_steps=1, disable_tqdm=True, dataloader_pin_memory=False, seed=0)
if kind == "kto":
    trainer = KTOTrainer(AutoModelForCausalLM.from_pretrained(tiny), args=KTOConfig(max_length=64, **told),
                         train_dataset=rows, processing_class=tokenizer)
elif kind == "grpo":
    told |= dict(num_generations=4, max_completion_length=8)
    trainer = GRPOTrainer(AutoModelForCausalLM.from_pretrained(tiny), reward_funcs=reward_function(),
                          args=GRPOConfig(**told), train_dataset=rows, processing_class=tokenizer)
else:
    model = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    trainer = RewardTrainer(model, args=RewardConfig(max_length=64, **told), train_dataset=rows,
                            processing_class=tokenizer)
trainer.train()
print("told:" + json.dumps([one for one in trainer.state.log_history if "train_runtime" not in one]))
"""


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with all layouts of 24 sums, each with a right and a wrong reply, a third with a check."""
    folder = tmp_path_factory.mktemp("layouts")
    check = orjson.dumps({"use": "judges.math:final_answer"}).decode()
    samples = [
        dict.fromkeys(SAMPLES)
        | {"id": f"s{at}", "prompt": [{"role": "user", "content": f"What is {at} + 2?", "tool_calls": None}]}
        | {"reference": str(at + 2), "check": None if at % 3 else check, "source": "t"}
        for at in range(24)
    ]
    replies = [(at, right, str(at + 2 + (not right))) for at in range(24) for right in (True, False)]
    candidates = [
        dict.fromkeys(CANDIDATES)
        | {"id": f"c{at}{right}", "sample_id": f"s{at}", "text": text, "model": "m", "sample": 0, "status": "answered"}
        for at, right, text in replies
    ]
    scores = [
        dict.fromkeys(SCORES)
        | {"sample_id": f"s{at}", "candidate_id": f"c{at}{right}", "judge": "j", "score": right, "status": "scored"}
        for at, right, _text in replies
    ]
    table = table_of(
        pl.DataFrame(candidates, schema=CANDIDATES),
        pl.DataFrame(scores, schema=SCORES),
        pl.DataFrame(schema=COMPARISONS),
    )
    ids = [(f"c{at}True", f"c{at}False") for at in range(24)]
    picked = Selection(
        pl.DataFrame({"id": [good for good, _bad in ids]}),
        pl.DataFrame(ids, schema=["chosen_id", "rejected_id"], orient="row"),
    )
    with Datasets(folder, rule="r", held_out=0.0) as out:
        out.write(picked, table, pl.DataFrame(samples, schema=SAMPLES))
    return folder


def trained(kind: str, data: Path, tiny: str, out: Path) -> list[dict[str, Any]]:
    """Run TRL's trainer in a process of its own, where its warnings are its own; gives what it logged of each step."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-W", "ignore", "-c", STEPS, kind, tiny, str(data), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    [told] = [line for line in done.stdout.splitlines() if line.startswith("told:")]
    steps: list[dict[str, Any]] = json.loads(told.removeprefix("told:"))
    return steps


@pytest.mark.slow
def test_kto_reads_both_labels_of_unpaired_rows(layouts: Path, tiny: str, tmp_path: Path) -> None:
    steps = trained("kto", layouts / "unpaired", tiny, tmp_path)
    assert len(steps) == 2
    assert all(step["loss"] > 0 for step in steps)
    for label in ("chosen", "rejected"):
        assert any(step.get(f"logps/{label}", 0) < 0 for step in steps)


@pytest.mark.slow
def test_grpo_is_rewarded_by_the_verifier_of_each_row(layouts: Path, tiny: str, tmp_path: Path) -> None:
    steps = trained("grpo", layouts / "grpo", tiny, tmp_path)
    assert len(steps) == 2
    rewards = [step["rewards/verified/mean"] for step in steps]
    assert all(0 <= reward <= 1 for reward in rewards)
    assert max(rewards) > 0  # the tiny model can add


@pytest.mark.slow
def test_the_reward_trainer_reads_preferences_as_they_are(layouts: Path, tiny: str, tmp_path: Path) -> None:
    steps = trained("reward", layouts / "preferences", tiny, tmp_path)
    assert [0 <= step["accuracy"] <= 1 and step["loss"] > 0 for step in steps] == [True, True]


def test_a_trainers_reward_is_the_rows_own_verifiers_and_no_verdict_is_no_zero() -> None:
    json_only = orjson.dumps({"use": "judges.forms:json_schema", "schema": {"type": "array"}}).decode()
    said = [[{"role": "assistant", "content": text}] for text in ("[5]", "It is 5.", "It is 6.", "5", "5")]
    checks = [json_only, None, None, "{", None]
    told = reward_function()(said, checks, [None, "5", "5", "5", None], prompts=[None] * 5, trainer_state=None)
    assert told == [1.0, 1.0, 0.0, None, None]
    assert reward_function()(["5"], check=[None], reference=["5"]) == [1.0]
