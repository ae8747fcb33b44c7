"""What watches a job while it trains: its figures, its budget, its checkpoints, and a loss that is no number."""

import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import orjson
import torch
from transformers import TrainerCallback

from pipelines.store import write_bytes
from pipelines.trackers import log_facts

METRICS = "metrics.jsonl"
WHOLE = "whole.json"  # in a checkpoint: written last, with the seconds trained until it


def tell(**facts: object) -> None:
    """Print facts for the process that started the job: of several the first's, and any one's failure."""
    if os.environ.get("RANK", "0") != "0" and "failed" not in facts:
        return
    print("gristmill:" + orjson.dumps(facts).decode(), flush=True)  # noqa: T201 - the job's output is its report


def last_checkpoint(out: Path, before: float = math.inf) -> str | None:
    """Give the newest whole checkpoint in `out` of less than `before` steps."""
    steps = {int(folder.name.rpartition("-")[2]): folder for folder in out.glob("checkpoint-*")}
    whole = [step for step, folder in steps.items() if (folder / WHOLE).is_file() and step < before]
    return str(steps[max(whole)]) if whole else None


def remove_halves(out: Path) -> None:
    """Remove the checkpoints that a kill left half written."""
    for folder in out.glob("checkpoint-*"):
        if not (folder / WHOLE).is_file():
            shutil.rmtree(folder)


class Watch(TrainerCallback):  # type: ignore[misc, unused-ignore] # transformers' classes are untyped in places
    """Tells each step's figures, keeps the budget and the checkpoints, and stops where the loss is no number."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job, self.out = job, Path(job["out"])
        self.limits, self.every = job["limits"], job["every"]
        self.step = 0
        self.whole = 0  # steps without a budget
        self.batch = ""  # its size, as words
        self.loss: Any = 0.0  # of the micro-batches since the last step
        self.stopped: str | None = None
        self.before = 0.0  # seconds trained before this process went on
        self.start = self.saved_at = time.monotonic()
        self.saved_step = 0

    @property
    def seconds(self) -> float:
        """The seconds trained, those before a kill that were kept among them."""
        return self.before + time.monotonic() - self.start

    def on_train_begin(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002 - the caller's
        """Go on from what the checkpoint tells."""
        self.step = self.saved_step = state.global_step
        self.start = self.saved_at = time.monotonic()
        if state.global_step:
            mark = self.out / f"checkpoint-{state.global_step}" / WHOLE
            self.before = orjson.loads(mark.read_bytes())["seconds"]
            tell(resumed=state.global_step, say=[f"going on from the checkpoint of step {state.global_step:,}"])
        if state.is_world_process_zero:
            lines = [orjson.dumps(one) for one in state.log_history if one["step"] <= state.global_step]
            (self.out / METRICS).write_bytes(b"".join(line + b"\n" for line in lines))

    def on_log(self, args: Any, state: Any, control: Any, **told: Any) -> None:  # noqa: ARG002 - the caller's names
        """Tell what was logged, and add it to the metrics."""
        if not state.is_world_process_zero or "train_loss" in state.log_history[-1]:
            return  # the last is of the whole job
        one = {name: value for name, value in state.log_history[-1].items() if isinstance(value, int | float)}
        with (self.out / METRICS).open("ab") as file:
            file.write(orjson.dumps(one) + b"\n")
        tell(step=state.global_step, steps=state.max_steps, metrics=one)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        """Stop before a loss that is no number reaches the weights."""
        loss = float(self.loss)
        self.loss = 0.0
        if not math.isfinite(loss):
            raise ArithmeticError(self._no_number(state.global_step + 1, f"the loss is {loss}", state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Count the step; ask for a checkpoint where one is due, and stop where the budget is used up."""
        self.step = state.global_step
        used = {"steps": state.global_step, "tokens": state.num_input_tokens_seen, "seconds": self.seconds}
        reached = [kind for kind, limit in self.limits.items() if used[kind] >= limit]
        since = {"steps": state.global_step - self.saved_step, "tokens": -math.inf}
        since["seconds"] = time.monotonic() - self.saved_at
        due = any(since[kind] >= limit for kind, limit in self.every.items())
        stops, due = _agreed(bool(reached), due)
        if stops and state.global_step < self.whole:
            self.stopped = f"the budget of {' and '.join(self.job['budget'])}"
            control.should_training_stop = True
        if stops or state.global_step >= state.max_steps:
            control.should_log = True
        elif due:
            self.hold_to_numbers(more["model"], state)
            control.should_save = True
        tell(step=state.global_step, steps=state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        """Mark the checkpoint as whole."""
        self.saved_step, self.saved_at = state.global_step, time.monotonic()
        if state.is_world_process_zero:
            mark = self.out / f"checkpoint-{state.global_step}" / WHOLE
            write_bytes(mark, orjson.dumps({"seconds": self.seconds}))

    def hold_to_numbers(self, model: Any, state: Any) -> None:
        """Raise `ArithmeticError` where a weight is no number: such a model is not kept."""
        if not all(bool(torch.isfinite(weights).all()) for weights in model.parameters()):
            raise ArithmeticError(
                self._no_number(state.global_step, "a weight is no number any more", state.global_step)
            )

    def _no_number(self, step: int, what: str, bad: int) -> str:
        """Say where it broke and what is left: a checkpoint of the step `bad` has the weights that broke."""
        last = last_checkpoint(self.out, before=bad)
        kept = f"the last good checkpoint is {last}" if last else "there was no good checkpoint yet"
        rate = "" if self.job["learning_rate"] is None else f" than {self.job['learning_rate']:g}"
        told = f"{self.job['method']}: {what} at step {step}, so training stopped there; {kept}"
        return f"{told}. Set a lower learning_rate{rate}"

    def facts(self, state: Any) -> dict[str, Any]:
        """Give what the finished job has to tell."""
        logs = [one for one in state.log_history if "loss" in one]
        told = {"steps": state.global_step, "seconds": round(self.seconds, 1), "stopped": self.stopped}
        told |= {"tokens": int(state.num_input_tokens_seen), "final_loss": _mean_loss(logs)}
        ends = [{name: value for name, value in one.items() if _telling(name)} for one in (*logs[:1], *logs[-1:])]
        return told | ({"first": ends[0], "last": ends[-1]} if ends else {})


class Tracked(TrainerCallback):  # type: ignore[misc, unused-ignore] # as above
    """Tells the tracker's run, which TRL has begun by then, what the job is made from."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.tracker, self.facts = job["tracker"], job["facts"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_told: Any) -> None:  # noqa: ARG002 - the caller's
        """Tell it once."""
        if state.is_world_process_zero:
            log_facts(self.tracker, self.facts)


def _telling(name: str) -> bool:
    return name.startswith(
        ("loss", "reward", "logps", "kl", "accuracy", "margin", "mean_token_accuracy", "completions")
    )


def _mean_loss(logs: list[dict[str, Any]]) -> float | None:
    """Give the mean loss over all steps, those before a kill among them."""
    steps = [one["step"] for one in logs]
    widths = [step - before for before, step in zip([0, *steps], steps, strict=False)]
    if not sum(widths):
        return None
    losses = [float(one["loss"]) for one in logs]
    return float(sum(width * loss for width, loss in zip(widths, losses, strict=True)) / sum(widths))


def _agreed(*flags: bool) -> tuple[bool, ...]:
    """Give the first process's answers to all: a clock that differs must not leave one waiting for the others."""
    import torch.distributed as group

    if not (group.is_available() and group.is_initialized()):
        return flags
    told: list[Any] = [flags]
    group.broadcast_object_list(told, src=0)
    return tuple(told[0])


def watched(trainer_class: Any, watch: Watch) -> Any:
    """Give the trainer's class with its loss and its batches seen by `watch`."""

    class Watched(trainer_class):  # type: ignore[misc] # the class is a value here
        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            watch.batch = _size(inputs)
            loss = super().training_step(model, inputs, *more, **named)
            watch.loss = watch.loss + loss.detach()
            return loss

    return Watched


def _size(inputs: Any) -> str:
    ids = inputs.get("input_ids") if isinstance(inputs, dict) else None
    return f"{ids.shape[0]:,} rows of {ids.shape[1]:,} tokens" if ids is not None else f"{len(inputs):,} prompts"
