"""A job's failures in plain words: what was tried, what happened, what to set."""

from typing import Any

from schemas.errors import TrainingError

NO_MEMORY = ("can't allocate memory", "out of memory", "std::bad_alloc")


def in_words(error: Exception, job: dict[str, Any], *, step: int, batch: str) -> str | None:
    """Say what a failure after `step` steps means and what to do; null of one that the log tells better."""
    import torch

    if isinstance(error, TrainingError | ArithmeticError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
        return out_of_memory(job, step, batch, _device())
    return None


def _device() -> str:
    import torch

    if not torch.cuda.is_available():
        return "this machine's memory"
    card = torch.cuda.get_device_properties(0)
    return f"the {card.total_memory / 2**30:.0f} GiB of {card.name}"


def out_of_memory(job: dict[str, Any], step: int, batch: str, device: str) -> str:
    """Say what did not fit, and what takes less: first what changes no result."""
    own = job["arguments"]
    accumulated = int(own.get("gradient_accumulation_steps", 1))
    tried = f"batch_size {job['batch_size']}, max_length {job['max_length']}"
    tried += f", {'LoRA' if job['lora'] else 'some weights' if job['trainable'] else 'all weights'}" + (
        f"; the batch held {batch}" if batch else ""
    )
    advice = []
    if job["batch_size"] > 1:
        half = job["batch_size"] // 2
        advice.append(
            f"batch_size = {half} with arguments = {{ gradient_accumulation_steps = {2 * accumulated} }}, the same step"
        )
    if not own.get("gradient_checkpointing"):
        advice.append("arguments = { gradient_checkpointing = true } (the same step, slower)")
    if not job["lora"] and not job["trainable"]:
        advice.append("lora = { rank = 16 }")
    if job["method"] in {"grpo", "rloo"}:
        advice.append(f"max_tokens = {max(job['max_tokens'] // 2, 1)}")
    else:
        advice.append(f"max_length = {max(job['max_length'] // 2, 2)} (longer rows are cut)")
    return (
        f"{job['method']}: out of memory at step {step + 1} in {device}. Tried: {tried}. "
        f"What takes less: {'; '.join(advice)}"
    )
