"""One fine-tuning job in a process of its own: how it is started, what it tells, how its end is told."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from generators.weights import is_folder
from pipelines.progress import LOG_EVERY
from pipelines.store import write_bytes
from pipelines.trainer_faults import out_of_memory
from schemas.errors import TrainingError

TOLD = "gristmill:"  # the trainer's own lines on its output start so; the libraries' don't
PASSING = {"say", "metrics", "step", "failed"}  # what is told on the way, and is no fact of the finished job
SHOWN = ("loss", "reward", "rewards/margins", "rewards/accuracies", "accuracy", "mean_token_accuracy", "learning_rate")


def run_job(
    job: dict[str, Any],
    accelerate: Mapping[str, str | float | bool],
    work: Path,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run the trainer to its end and give the figures it tells; its other output is the log.

    Raises `TrainingError` with what the trainer says went wrong, or with the end of its log.
    """
    file = Path(job["out"], "job.json")
    write_bytes(file, orjson.dumps(job))
    log: deque[str] = deque(maxlen=30)
    told: dict[str, Any] = {}
    shown = time.monotonic()
    with subprocess.Popen(
        command(str(file), accelerate),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        env=os.environ | environment(job["base"], work),
    ) as process:
        assert process.stdout is not None  # noqa: S101 - for mypy: it is a pipe
        try:
            for line in process.stdout:
                if not line.startswith(TOLD):
                    log.append(line.rstrip())
                    continue
                one = orjson.loads(line.removeprefix(TOLD))
                told |= one
                for text in one.get("say", []):
                    say(f"  {job['method']}: {text}")
                if "step" in one:
                    progress(one["step"], one["steps"])
                if "metrics" in one and time.monotonic() - shown >= LOG_EVERY:
                    shown = time.monotonic()
                    say(f"  {job['method']}: step {one['step']:,} of {one['steps']:,}: {figures(one['metrics'])}")
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise TrainingError(told.get("failed") or _failure(job, process.returncode, list(log), told.get("step", 0)))
    if told.get("stopped"):
        say(f"  {job['method']}: stopped after {told['steps']:,} steps: {told['stopped']} is used up")
    return {name: value for name, value in told.items() if name not in PASSING}


def command(job: str, accelerate: Mapping[str, str | float | bool]) -> list[str]:
    """Give the command that trains: a process, or several by `accelerate launch` with the options that are told."""
    trainer = ["-m", "pipelines.trainer", job]
    if not accelerate:
        return [sys.executable, *trainer]
    return [sys.executable, "-m", "accelerate.commands.launch", *_options(accelerate), *trainer]


def _options(accelerate: Mapping[str, str | float | bool]) -> Iterator[str]:
    for name, value in accelerate.items():
        if value is not False:
            yield f"--{name}"
        if not isinstance(value, bool):
            yield str(value)


def environment(base: str, work: Path) -> dict[str, str]:
    """Give what the job's environment has besides ours; what the libraries cache goes with the job."""
    told = {"TOKENIZERS_PARALLELISM": "false", "HF_DATASETS_CACHE": str(work / "cache")}
    return told | ({"HF_HUB_OFFLINE": "1"} if is_folder(base) else {})


def figures(metrics: Mapping[str, float]) -> str:
    """Give a step's figures for the terminal."""
    return ", ".join(f"{name} {metrics[name]:.4g}" for name in SHOWN if name in metrics)


def _failure(job: dict[str, Any], code: int, log: list[str], step: int) -> str:
    if code == -signal.SIGKILL:
        killed = out_of_memory(job, step, "", "this machine's memory, most likely, as it was killed")
        return f"{killed}. Run it again to go on from its last checkpoint"
    reason = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    return f"the {job['method']} job {reason}. The end of its log:\n" + "\n".join(f"  {line}" for line in log)
