"""The fine-tuning stage: TRL jobs one after the other, each in a process of its own."""

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.score import judging_code
from pipelines.store import Stored, once, sha256, unfinished, write_bytes
from pipelines.trackers import demand_trackers
from pipelines.training import REINFORCED, Only, Training, limits_of
from pipelines.training_job import run_job
from pipelines.versions import code_version
from schemas.chats import content_id
from schemas.errors import TrainingError

DATASET = {
    "sft": "sft",
    "dpo": "preferences",
    "reward": "preferences",
    "kto": "unpaired",
    "rloo": "grpo",
    "grpo": "grpo",
}
CODE = ("train", "trainer", "trainer_arguments", "trainer_rows", "trainer_watch", "training_job")
LIBRARIES = ("torch", "transformers", "trl", "accelerate", "peft", "datasets")
DONE = "done.json"
WAIT = 5.0  # seconds for the trainer of a killed run to end


def silent(_told: str) -> None:
    """Say nothing."""


def train(
    store: Path,
    selected: Stored,
    section: Training,
    *,
    base: str,
    revision: str,
    seed: int,
    progress: Callable[[int, int], None],
    say: Callable[[str], None] = silent,
    reasons: Sequence[str] = (),
    recipe: Mapping[str, str] | None = None,
) -> Stored:
    """Train the checkpoint `base` on the selected data; the output's `checkpoint` folder is a model like `base`.

    `revision` names the base's weights; `say` is told what a person should know, `reasons` are why the section is as it
    is, `recipe` its name and hash: what the checkpoint's `training.json` and a tracker tell. A job that was killed goes
    on from its last checkpoint. Raises `TrainingError` in plain words when the job fails, for a dataset without rows,
    and for a tracker that is not installed.
    """
    name = DATASET[section.method]
    question = {
        "data": selected.key,
        "section": section.model_dump(exclude={"checkpoint_every", "tracker"}),
        "base": revision,
        "seed": seed,
        "code": code_version(*(f"pipelines.{module}" for module in CODE)),
    }
    if section.method in REINFORCED:
        question["reward"] = [judging_code("judges.checks:own"), judging_code(section.verifier)]
    demand_trackers([section.tracker])
    facts = {**(recipe or {}), "data": selected.key, "base": revision, "method": section.method, "seed": seed}

    def build(folder: Path) -> dict[str, Any]:
        _has_rows(selected, section, name)
        work = unfinished(store, f"train-{section.method}", question)
        with _held(work / "lock"):
            data = _data(selected.folder / name, section.only, work)
            job = {
                **section.model_dump(exclude={"ensemble", "accelerate", "checkpoint_every", "only"}),
                "base": base,
                "data": str(data),
                "seed": seed,
                "facts": facts,
                "lock": str(work / "lock"),
                "limits": limits_of(section.budget),
                "every": limits_of(section.checkpoint_every),
                "weights": _label_weights(data, section, say) if section.method == "kto" else {},
            }
            told = _members(job, section, work, folder, progress=progress, say=say)
        made_from = {
            "dataset": {"table": name, "key": selected.key, "content": content_of(selected.folder / name)},
            "base": {"model": base, "revision": revision},
            "section": section.model_dump(exclude_defaults=True) | {"method": section.method},
            "seed": seed,
            **(recipe or {}),
            "code": question["code"],
            "libraries": {library: version(library) for library in LIBRARIES},
        }
        for checkpoint in folder.glob("checkpoint*"):
            write_bytes(checkpoint / "training.json", orjson.dumps(made_from, option=orjson.OPT_INDENT_2))
        return {**told, "method": section.method, "reasons": list(reasons), "made_from": made_from}

    stored = once(store, f"train-{section.method}", question, build)
    shutil.rmtree(unfinished(store, f"train-{section.method}", question))
    return stored


def training_rows(dataset: Path) -> Path:
    """Give the folder of a dataset's rows to train on: of its split "train", where it has splits."""
    return dataset / "train" if (dataset / "train").is_dir() else dataset


def rows_in(selected: Stored, name: str) -> int:
    """Give the rows of a dataset that are not held out."""
    return int(selected.facts.get(name, 0)) - int(selected.facts["held_out"].get(name, 0))


def _has_rows(selected: Stored, section: Training, name: str) -> None:
    if rows_in(selected, name) > 0:
        return
    others = {method: rows_in(selected, table) for method, table in DATASET.items() if method != section.method}
    there = ", ".join(f"{method} {rows:,}" for method, rows in others.items() if rows > 0) or "none"
    raise TrainingError(
        f"{section.method}: the table {name} has no row to train on; the report says where they went. "
        f"Rows that other methods could train on: {there}"
    )


def _data(dataset: Path, only: Only, work: Path) -> Path:
    """Give the folder of the rows to train on: those that `only` lets through lie in a file of their own."""
    rows = training_rows(dataset)
    if only == Only():
        return rows
    table = pl.scan_parquet(rows / "*.parquet")
    turn = pl.col("prompt").list.last().struct.field("content")
    use = pl.col("check").str.json_path_match("$.use").fill_null("reference")
    wanted: list[pl.Expr] = []
    if only.sources:
        wanted.append(pl.col("source").is_in(list(only.sources)))
    if only.checks:
        wanted.append(use.is_in(list(only.checks)))
    if only.matching:
        wanted.append(pl.any_horizontal(turn.str.contains(pattern) for pattern in only.matching))
    target = work / "data"
    target.mkdir(exist_ok=True)
    kept = table.filter(*wanted).collect()
    if kept.is_empty():
        known = table.select(pl.col("source").value_counts()).collect()["source"].struct.unnest()
        counts = ", ".join(f"{source} {count:,}" for source, count in known.sort("source").iter_rows())
        raise TrainingError(f"{dataset.name}: no row is one of `only`, {only.model_dump()}; rows by source: {counts}")
    kept.write_parquet(target / "00000.parquet")
    return target


def _label_weights(data: Path, section: Training, say: Callable[[str], None]) -> dict[str, float]:
    """Give KTO's weights, so that good and bad rows count alike: the rarer ones count more.

    Source: arXiv 2402.01306 and TRL's documentation of KTO, on unequal numbers of the two.
    """
    good, all_rows = pl.scan_parquet(data / "*.parquet").select(pl.col("label").sum(), rows=pl.len()).collect().row(0)
    bad = all_rows - good
    if not good or not bad:
        which = "good" if good else "bad"
        instead = "; sft trains on good rows alone" if good else ""
        raise TrainingError(f"kto: all {all_rows:,} rows are {which}, and it learns by the difference{instead}")
    if section.arguments.keys() & {"desirable_weight", "undesirable_weight"}:
        return {}
    weights = {"desirable_weight": max(bad / good, 1.0), "undesirable_weight": max(good / bad, 1.0)}
    told = " and ".join(f"{name} {value:.3g}" for name, value in weights.items())
    say(f"  kto: {told}, for {good:,} good and {bad:,} bad")
    return weights


def _members(
    job: dict[str, Any],
    section: Training,
    work: Path,
    folder: Path,
    *,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train the job, or reward models each by a seed of its own, into `checkpoint`, `checkpoint-2` and so on.

    Gives the first one's figures.
    """
    told: list[dict[str, Any]] = []
    for member in range(section.ensemble):
        out, mark = work / f"{member + 1}", f"-{member + 1}" if member else ""
        own = job | {"seed": job["seed"] + member, "out": str(out)}
        out.mkdir(exist_ok=True)
        if not (out / DONE).is_file():
            facts = run_job(own, section.accelerate, work, progress, say)
            write_bytes(out / DONE, orjson.dumps(facts))
        told.append(orjson.loads((out / DONE).read_bytes()))
        shutil.copytree(out / "model", folder / f"checkpoint{mark}")
        if section.lora:
            shutil.copytree(out / "adapter", folder / f"adapter{mark}")
        for file in (out / "metrics.jsonl", out / "truncated.json"):
            if file.is_file():
                shutil.copyfile(file, folder / f"{file.stem}{mark}{file.suffix}")
    return told[0] | (_seen(folder, section.ensemble) if section.method == "reward" else {})


def _seen(folder: Path, members: int) -> dict[str, Any]:
    """Tell how reward models see the pairs they learned from: the fraction each has in order, and their disagreement.

    That is the mean deviation of the probabilities they give the chosen replies.
    """
    from judges.reward import disagreement

    margins = [orjson.loads(file.read_bytes()) for file in sorted(folder.glob("checkpoint*/margins.json"))]
    pairs = sorted(margins[0])  # by id
    seen = [[one[pair] for pair in pairs] for one in margins]
    return {
        "members": members,
        "in_order": [sum(margin > 0 for margin in one) / len(one) for one in seen],
        "disagreement": float(disagreement(seen).mean()) if members > 1 else None,
    }


def content_of(dataset: Path) -> str:
    """Name the rows of a dataset by their bytes."""
    return content_id(*((str(file.relative_to(dataset)), sha256(file)) for file in sorted(dataset.rglob("*.parquet"))))


@contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Hold the job for this process: a trainer waits for the lock and ends when it is free."""
    with lock.open("ab") as file:
        until = time.monotonic() + WAIT
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise TrainingError("another process trains this very job: wait for it, or end it") from None
                time.sleep(0.1)
        yield
