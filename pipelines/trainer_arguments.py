"""What TRL is told: the class of a method's trainer, and its configuration."""

from importlib import import_module
from typing import Any

import torch

CLASSES = {"sft": "SFT", "dpo": "DPO", "kto": "KTO", "reward": "Reward", "rloo": "RLOO", "grpo": "GRPO"}
REINFORCED = {"rloo", "grpo"}
WARMUP = 0.05  # of the steps


def kind_of(method: str) -> tuple[Any, Any]:
    """Give TRL's configuration and trainer of a method; no other is imported, which takes seconds each."""
    configuration = import_module(f"trl.trainer.{method}_config")
    trainer = import_module(f"trl.trainer.{method}_trainer")
    return getattr(configuration, f"{CLASSES[method]}Config"), getattr(trainer, f"{CLASSES[method]}Trainer")


def arguments_of(job: dict[str, Any]) -> dict[str, Any]:
    """Give TRL's configuration: the job's settings, ours for this machine, and the recipe's own on top."""
    accelerated = torch.cuda.is_available()
    return {
        "output_dir": job["out"],
        "num_train_epochs": job["epochs"],
        **({} if job["learning_rate"] is None else {"learning_rate": job["learning_rate"]}),
        "per_device_train_batch_size": job["batch_size"],
        "seed": job["seed"],
        "data_seed": job["seed"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP,
        "weight_decay": 0.0,
        "use_cpu": not accelerated,
        "bf16": accelerated and torch.cuda.is_bf16_supported(),
        "gradient_checkpointing": False,
        **_tracking(job),
        "save_strategy": "no",  # the watch says when
        "save_total_limit": 2,
        "disable_tqdm": True,
        "dataloader_pin_memory": accelerated,
        **_of_method(job),
        **job["arguments"],
    }


def _of_method(job: dict[str, Any]) -> dict[str, Any]:
    method, own = job["method"], job["arguments"]
    told: dict[str, Any] = {}
    if method in REINFORCED:
        told |= {"num_generations": job["generations"], "max_completion_length": job["max_tokens"]}
        told |= {"temperature": job["temperature"]}
    else:
        told |= {"max_length": job["max_length"], "include_num_input_tokens_seen": "non_padding"}
    if method == "sft":
        told |= {"packing": job["packing"], "assistant_only_loss": job["loss_on"] == "assistant"}
        if cuts_no_row(job):
            told["max_length"] = None
    if job["loss"]:
        told["loss_type"] = job["loss"] if method == "dpo" else job["loss"][0]
    if job["label_smoothing"] is not None:
        told["label_smoothing"] = job["label_smoothing"]
    return told | {key: value for key, value in job["weights"].items() if key not in own}


def _tracking(job: dict[str, Any]) -> dict[str, Any]:
    """Give what a tracker's run is called: by recipe, method and data."""
    if not job["tracker"]:
        return {"report_to": []}
    facts = job["facts"]
    name = " ".join([facts.get("recipe", ""), facts["method"], facts["data"]]).strip()
    return {"report_to": [job["tracker"]], "run_name": name, "project": facts.get("recipe", "gristmill")}


def cuts_no_row(job: dict[str, Any]) -> bool:
    """Say whether TRL leaves rows longer than `max_length` whole: it does where it lays them end to end unpacked."""
    return bool(job["arguments"].get("padding_free")) and not (job["packing"] or job["arguments"].get("packing"))
