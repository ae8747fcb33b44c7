"""The fine-tuning job itself: `python -m pipelines.trainer` with the job as JSON on its standard input.

Alone in its process, so that what it takes is given back when it ends. Lines on its output that start with `gristmill:`
are facts in JSON; the rest is the libraries' own talk.
"""

import math
import sys
from pathlib import Path
from typing import Any

import orjson
import torch
from datasets import Dataset, load_dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
    set_seed,
)
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.reward_config import RewardConfig
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from judges.reward import Scorer
from pipelines.trackers import log_facts

KINDS = {"sft": (SFTConfig, SFTTrainer), "dpo": (DPOConfig, DPOTrainer), "reward": (RewardConfig, RewardTrainer)}
COLUMNS = {"sft": ["prompt", "completion"], "dpo": ["prompt", "chosen", "rejected"]}
COLUMNS["reward"] = COLUMNS["dpo"]


def tell(**facts: object) -> None:
    """Print facts for the process that started the job."""
    print("gristmill:" + orjson.dumps(facts).decode(), flush=True)  # noqa: T201 - the job's output is its report


class Teller(TrainerCallback):
    """Tells each step, and stops the job where the loss is no number."""

    def on_log(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002 - the caller's names
        """Tell the step and its loss."""
        loss = (told.get("logs") or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            raise ArithmeticError(f"the loss is {loss} at step {state.global_step}: lower the learning_rate")
        tell(step=state.global_step, steps=state.max_steps, **({} if loss is None else {"loss": round(loss, 5)}))


class Tracked(TrainerCallback):
    """Tells the tracker's run, which TRL has begun by then, what the job is made from."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.tracker, self.facts = job["tracker"], job["facts"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_told: Any) -> None:  # noqa: ARG002 - the caller's
        """Tell it once."""
        log_facts(self.tracker, self.facts)


def main() -> None:
    """Read the job, train, and leave the checkpoint in its folder `out`."""
    job = orjson.loads(sys.stdin.buffer.read())
    configuration, trainer_class = KINDS[job["method"]]
    set_seed(job["seed"])
    data = rows_of(job)
    tokenizer = AutoTokenizer.from_pretrained(job["base"])
    model = model_of(job, tokenizer)
    trainer = trainer_class(
        model=model,
        args=configuration(**arguments_of(job)),
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[Teller(), *([Tracked(job)] if job["tracker"] else [])],
    )
    result = trainer.train()
    trainer.save_model(job["out"])
    if job["method"] == "reward":
        tokenizer.save_pretrained(job["out"])
        margins_of(job)
    elif model.generation_config is not None:
        model.generation_config.save_pretrained(job["out"])
    for left in Path(job["out"]).glob("training_args.bin"):
        left.unlink()  # a pickle, with this machine's paths in it
    tell(final_loss=result.training_loss, seconds=round(result.metrics["train_runtime"], 1))


def rows_of(job: dict[str, Any]) -> Dataset:
    """Give the dataset with the columns that TRL reads."""
    data = load_dataset("parquet", data_files=f"{job['data']}/*.parquet", split="train")
    return data.select_columns(COLUMNS[job["method"]])


def model_of(job: dict[str, Any], tokenizer: Any) -> Any:
    """Give the base to train: as it is, or for a reward model with one output in the place of the words."""
    if job["method"] != "reward":
        return AutoModelForCausalLM.from_pretrained(job["base"], dtype=dtype_of(), **attention_of())
    model = AutoModelForSequenceClassification.from_pretrained(
        job["base"], dtype=dtype_of(), num_labels=1, **attention_of()
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    return model


def margins_of(job: dict[str, Any]) -> None:
    """Leave beside the reward model, by id, its score of each chosen reply less that of the rejected one."""
    data = load_dataset("parquet", data_files=f"{job['data']}/*.parquet", split="train")
    scorer = Scorer(job["out"], batch=job["batch_size"], max_length=job["max_length"])
    chosen, rejected = (scorer([row["prompt"] + row[side] for row in data]) for side in ("chosen", "rejected"))
    margins = {
        row["id"]: better - worse
        for row, better, worse in zip(data, chosen, rejected, strict=True)
        if better is not None and worse is not None
    }
    Path(job["out"], "margins.json").write_bytes(orjson.dumps(margins))


def attention_of() -> dict[str, str]:
    """Give the attention that is quickest on this machine: on a CPU the plain one, with products in bfloat16.

    For a model of a million parameters the two halve the time of a step.
    """
    if torch.cuda.is_available():
        return {}
    torch.set_float32_matmul_precision("medium")
    return {"attn_implementation": "eager"}


def name_of(job: dict[str, Any]) -> str:
    """Give the name of the tracker's run: recipe, method and data."""
    facts = job["facts"]
    return " ".join([facts.get("recipe", ""), facts["method"], facts["data"]]).strip()


def dtype_of() -> torch.dtype:
    """Give bfloat16 on an accelerator that has it, else float32."""
    return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32


def arguments_of(job: dict[str, Any]) -> dict[str, Any]:
    """Give TRL's configuration: the job's settings, ours for this machine, and the recipe's own on top."""
    accelerated = torch.cuda.is_available()
    own = job["arguments"]
    whole = {"max_length": None} if own.get("padding_free") and not own.get("packing") else {}  # TRL cuts no row then
    return {
        "output_dir": job["out"],
        "num_train_epochs": job["epochs"],
        "learning_rate": job["learning_rate"],
        "per_device_train_batch_size": job["batch_size"],
        "max_length": job["max_length"],
        "seed": job["seed"],
        "data_seed": job["seed"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": 0.05,
        "weight_decay": 0.0,
        "use_cpu": not accelerated,
        "bf16": accelerated and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": False,
        "report_to": [job["tracker"]] if job["tracker"] else [],
        **({"run_name": name_of(job), "project": job["facts"].get("recipe", "gristmill")} if job["tracker"] else {}),
        "save_strategy": "no",
        "logging_steps": 10,
        "disable_tqdm": True,
        "dataloader_pin_memory": accelerated,
        **whole,
        **own,
    }


if __name__ == "__main__":
    main()
