"""The fine-tuning stage: TRL jobs one after the other, each in a process of its own."""

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from pipelines.sections import Training
from pipelines.store import Stored, code_version, once
from pipelines.trackers import demand_trackers
from schemas.errors import TrainingError

DATASET = {"sft": "sft", "dpo": "preferences", "reward": "preferences"}
TOLD = "gristmill:"  # the trainer's own lines on its output start so; the libraries' don't


def train(
    store: Path,
    selected: Stored,
    section: Training,
    *,
    base: str,
    revision: str,
    seed: int,
    progress: Callable[[int, int], None],
    recipe: Mapping[str, str] | None = None,
) -> Stored:
    """Train the checkpoint `base` on the selected data; the output's `checkpoint` folder is a model like `base`.

    `revision` names the base's weights, `recipe` is what a tracker is told of the recipe. Raises
    `TrainingError` with the end of the job's log when the job fails, for a dataset without rows, and for a tracker that
    is not installed.
    """
    name = DATASET[section.method]
    question = {
        "data": selected.key,
        "section": section.model_dump(exclude={"tracker"}),
        "base": revision,
        "seed": seed,
        "code": code_version("pipelines.train", "pipelines.trainer"),
    }

    demand_trackers([section.tracker])
    facts = {**(recipe or {}), "data": selected.key, "base": revision, "method": section.method, "seed": seed}

    def build(folder: Path) -> dict[str, Any]:
        if selected.facts[name] == selected.facts["held_out"].get(name, 0):
            raise TrainingError(
                f"{section.method}: the table {name} has no row to train on; the report says where they went"
            )
        job = {
            "method": section.method,
            "base": base,
            "data": str(training_rows(selected.folder / name)),
            "out": str(folder / "checkpoint"),
            "seed": seed,
            "facts": facts,
            **section.model_dump(exclude={"method", "ensemble"}),
        }
        rows = selected.facts[name] - selected.facts["held_out"].get(name, 0)
        if section.method == "reward":
            return _ensemble(job, section.ensemble, progress) | {"method": "reward", "rows": rows}
        return _run(job, progress) | {"method": section.method, "rows": rows}

    return once(store, f"train-{section.method}", question, build)


def training_rows(dataset: Path) -> Path:
    """Give the folder of a dataset's rows to train on: of its split "train", where it has splits."""
    return dataset / "train" if (dataset / "train").is_dir() else dataset


def _ensemble(job: dict[str, Any], members: int, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Train reward models, each by a seed of its own, into `checkpoint`, `checkpoint-2` and so on.

    Gives the first one's figures and how the members see the pairs they learned from: the fraction each has in order,
    and their disagreement, the mean deviation of the probabilities they give the chosen replies.
    """
    from judges.reward import disagreement

    told, margins = [], []
    for member in range(members):
        out = f"{job['out']}-{member + 1}" if member else job["out"]
        told.append(_run(job | {"seed": job["seed"] + member, "out": out}, progress))
        margins.append(orjson.loads(Path(out, "margins.json").read_bytes()))
    pairs = sorted(margins[0])  # by id
    seen = [[one[pair] for pair in pairs] for one in margins]
    return told[0] | {
        "members": members,
        "in_order": [sum(margin > 0 for margin in one) / len(one) for one in seen],
        "disagreement": float(disagreement(seen).mean()) if members > 1 else None,
    }


def _run(job: dict[str, Any], progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Run the trainer to its end and give the figures it tells; its other output is the log."""
    command = [sys.executable, "-m", "pipelines.trainer"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    log: deque[str] = deque(maxlen=30)
    told: dict[str, Any] = {}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdin is not None  # noqa: S101 - for mypy: both are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(orjson.dumps(job).decode())
            process.stdin.close()
            for line in process.stdout:
                if line.startswith(TOLD):
                    told |= orjson.loads(line.removeprefix(TOLD))
                    progress(told.get("step", 0), told.get("steps", 0))
                else:
                    log.append(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise TrainingError(_failure(job["method"], process.returncode, list(log)))
    return told


def _failure(method: str, code: int, log: list[str]) -> str:
    reason = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    if code == -signal.SIGKILL:
        reason += " (out of memory, most often: a smaller batch_size or max_length needs less)"
    return f"the {method} job {reason}. The end of its log:\n" + "\n".join(f"  {line}" for line in log)
