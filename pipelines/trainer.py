"""The fine-tuning job itself: `python -m pipelines.trainer JOB`, the job a file of JSON.

Alone in its process (with `accelerate launch` in several), so that what it takes is given back when it ends. Lines on
its output that start with `gristmill:` are facts in JSON; the rest is the libraries' own talk.
"""

import fcntl
import os
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import orjson
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, set_seed

from pipelines.store import sync
from pipelines.trainer_arguments import WARMUP, arguments_of, kind_of
from pipelines.trainer_faults import in_words
from pipelines.trainer_rows import rows_of
from pipelines.trainer_watch import Tracked, Watch, last_checkpoint, remove_halves, tell, watched
from schemas.errors import TrainingError


def main() -> None:
    """Read the job, train, and leave in its folder `out` the model in `model`, and `metrics.jsonl`."""
    job = orjson.loads(Path(sys.argv[1]).read_bytes())
    out = Path(job["out"])
    threading.Thread(target=_end_with, args=(job["lock"],), daemon=True).start()
    set_seed(job["seed"])
    watch = Watch(job)
    try:
        trainer, tokenizer = _trainer(job, watch)
        if trainer.is_world_process_zero():
            remove_halves(out)
        trainer.train(resume_from_checkpoint=last_checkpoint(out))
        watch.hold_to_numbers(trainer.model, trainer.state)
    except (TrainingError, ArithmeticError, MemoryError, RuntimeError, ValueError) as error:
        told = in_words(error, job, step=watch.step, batch=watch.batch)
        if told is None:
            raise
        tell(failed=told)
        sys.exit(1)
    _save(job, trainer, tokenizer)
    if trainer.is_world_process_zero():
        tell(**watch.facts(trainer.state))


def _trainer(job: dict[str, Any], watch: Watch) -> tuple[Any, Any]:
    """Give TRL's trainer for the job, its dataset prepared, and the tokenizer."""
    configuration, trainer_class = kind_of(job["method"])
    tokenizer = AutoTokenizer.from_pretrained(job["base"])
    data = rows_of(job, tokenizer)
    options: dict[str, Any] = {}
    if job["lora"]:
        options["peft_config"] = lora_of(job)
    if job["method"] in {"grpo", "rloo"}:
        from judges.checks import reward_function

        options["reward_funcs"] = reward_function(default=job["verifier"])
    settings = configuration(**arguments_of(job))
    if job["learning_rate"] is None and "learning_rate" not in job["arguments"]:
        tell(say=[f"learning_rate {settings.learning_rate:g}, TRL's own for this method"])
    if "WORLD_SIZE" not in os.environ and settings.n_gpu > 1:
        settings._n_gpu = 1  # noqa: SLF001 - else transformers puts all of them under one process, which TRL can't use
        told = f"{torch.cuda.device_count()} accelerators are here and one is used"
        tell(say=[f"{told}: accelerate = {{ num_processes = {torch.cuda.device_count()} }} uses all"])
    trainer = watched(trainer_class, watch)(
        model=model_of(job, tokenizer),
        args=settings,
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[watch, *([Tracked(job)] if job["tracker"] else [])],
        **options,
    )
    tell(rows_in_batches=len(trainer.train_dataset))  # packed, or less those that TRL left out
    _fit(trainer, job, watch)
    return trainer, tokenizer


def _fit(trainer: Any, job: dict[str, Any], watch: Watch) -> None:
    """Let the schedule of the learning rate end where a budget of steps does, and log at least ten times."""
    steps = trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1]
    limit = job["limits"].get("steps")
    if not steps:
        raise TrainingError(f"{job['method']}: its rows make no whole batch, so there is no step to take")
    watch.whole = steps
    if limit is not None and limit < steps:
        trainer.args.max_steps = steps = int(limit)
    if "warmup_steps" not in job["arguments"] and steps * WARMUP < 1:
        trainer.args.warmup_steps = 0  # else the first step's rate is 0, and that of a job of one step its only one
    if "logging_steps" not in job["arguments"]:
        trainer.args.logging_steps = max(1, min(10, steps // 10))


def model_of(job: dict[str, Any], tokenizer: Any) -> Any:
    """Give the base to train: as it is, or for a reward model with one output in the place of the words."""
    if job["method"] != "reward":
        return held(AutoModelForCausalLM.from_pretrained(job["base"], dtype=dtype_of(), **attention_of()), job)
    model = AutoModelForSequenceClassification.from_pretrained(
        job["base"], dtype=dtype_of(), num_labels=1, **attention_of()
    )
    model.config.pad_token_id = tokenizer.pad_token_id
    return held(model, job)


def held(model: Any, job: dict[str, Any]) -> Any:
    """Give the model with all weights frozen but those that `trainable` names, and a reward model's new head.

    Raises `TrainingError` where it names none.
    """
    if not job["trainable"]:
        return model
    weights = dict(model.named_parameters())
    learning = {name for name in weights if any(re.search(pattern, name) for pattern in job["trainable"])}
    if not learning:
        names = ", ".join(list(weights)[-3:])
        raise TrainingError(
            f"trainable {job['trainable']}: no weight's name contains any of them; names are ... {names}"
        )
    if job["method"] == "reward":
        learning |= {name for name in weights if name.startswith("score.")}
    for name, weight in weights.items():
        weight.requires_grad_(name in learning)
    counts = (sum(weights[name].numel() for name in some) for some in (learning, weights))
    tell(say=["trained are {:,} of {:,} weights".format(*counts)])
    return model


def lora_of(job: dict[str, Any]) -> Any:
    """Give PEFT's configuration of the adapters; a reward model's new head is trained whole."""
    from peft import LoraConfig

    told, scores = job["lora"], job["method"] == "reward"
    targets = told["targets"][0] if told["targets"] == ["all-linear"] else told["targets"]
    return LoraConfig(
        r=told["rank"],
        lora_alpha=told["alpha"],
        lora_dropout=told["dropout"],
        target_modules=targets,
        task_type="SEQ_CLS" if scores else "CAUSAL_LM",
        modules_to_save=["score"] if scores else None,
    )


def attention_of() -> dict[str, str]:
    """Give the attention that is quickest on this machine: on a CPU the plain one, with products in bfloat16.

    For a model of a million parameters the two halve the time of a step.
    """
    if torch.cuda.is_available():
        return {}
    torch.set_float32_matmul_precision("medium")
    return {"attn_implementation": "eager"}


def dtype_of() -> torch.dtype:
    """Give bfloat16 on an accelerator that has it, else float32."""
    return torch.bfloat16 if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else torch.float32


def _save(job: dict[str, Any], trainer: Any, tokenizer: Any) -> None:
    """Leave the model whole or not at all, adapters merged into it and beside it."""
    out = Path(job["out"])
    work, adapter = out / ".model", out / "adapter"
    for left in (work, adapter):
        shutil.rmtree(left, ignore_errors=True)
    trainer.save_model(str(adapter if job["lora"] else work))  # every process takes part, where they share the weights
    if not trainer.is_world_process_zero():
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    if job["lora"]:
        model = model.merge_and_unload()
        model.save_pretrained(str(work))
    tokenizer.save_pretrained(str(work))
    if job["method"] != "reward" and model.generation_config is not None:
        model.generation_config.save_pretrained(str(work))
    for folder in (work, adapter):
        for left in folder.glob("training_args.bin"):
            left.unlink()  # a pickle, with this machine's paths in it
    if job["method"] == "reward":
        margins_of(job, work)
    shutil.rmtree(out / "model", ignore_errors=True)
    for file in work.rglob("*"):
        sync(file)
    work.rename(out / "model")


def margins_of(job: dict[str, Any], model: Path) -> None:
    """Leave beside the reward model, by id, its score of each chosen reply less that of the rejected one."""
    from datasets import load_dataset

    from judges.reward import Scorer

    data = load_dataset("parquet", data_files=f"{job['data']}/*.parquet", split="train")
    scorer = Scorer(str(model), batch=job["batch_size"], max_length=job["max_length"])
    chosen, rejected = (scorer([row["prompt"] + row[side] for row in data]) for side in ("chosen", "rejected"))
    margins = {
        row["id"]: better - worse
        for row, better, worse in zip(data, chosen, rejected, strict=True)
        if better is not None and worse is not None
    }
    (model / "margins.json").write_bytes(orjson.dumps(margins))


def _end_with(lock: str) -> None:
    """End this process when the one that started it ends, however it does: it holds the lock as long as it lives."""
    with Path(lock).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        os._exit(1)


if __name__ == "__main__":
    main()
