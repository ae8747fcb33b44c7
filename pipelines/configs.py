"""The configs of a published dataset: a run's tables as Parquet files under `data/CONFIG/SPLIT/`.

A config is what `datasets.load_dataset(name, config)` takes; its splits are those that the run's selection made.
"""

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.folder import link_file
from pipelines.held_out import held_out_ids
from pipelines.scan import scanned
from pipelines.store import Stored, once, sha256, sync
from pipelines.versions import code_version
from schemas.errors import PublishError

SPLITS = ("train", "test")
DERIVED = ("candidates", "comparisons")  # published with what their rows are about, which a run keeps apart
CONFIGS = {
    "sft": "a prompt and a completion to learn",
    "preferences": "a prompt with a chosen and a rejected reply",
    "unpaired": "a prompt and one reply, labelled as wanted or not",
    "plain": "of sft what is one turn: prompt and completion as plain texts",
    "grpo": "a prompt that a verifier can score, with the check",
    "candidates": "every reply that there was to choose from, with all its scores",
    "comparisons": "every verdict on two candidates, with the judge's answers in both orders",
}
PRIVATE = ("filters.private", "filters.phones", "filters.credentials", "filters.inside")
CODE = ("pipelines.configs", "pipelines.scan", "pipelines.held_out", *PRIVATE)
Rows = Counter[tuple[str, str | None]]  # by source and licence


@dataclass
class Counts:
    """What is counted while the files are written."""

    rows: dict[str, dict[str, int]]
    licences: dict[str, Rows]
    found: list[dict[str, Any]]
    left_out: Counter[str]
    faults: list[str]


def staged(folder: Path, *, leave_out: bool = False) -> Stored:
    """Write the configs of the run in `folder` into its store, once, and give them with what was counted.

    The facts are `rows` by config and split; `licences`, rows by config, source and licence; `found`, what is private
    in which row; `left_out`, rows by config (those with something private, where `leave_out` says so); `faults`, ids
    that stand twice and samples on both sides of the split. Candidates that give a benchmark away are in no config.
    """
    tables = {name: files for name in CONFIGS if (files := sorted((folder / name).rglob("*.parquet")))}
    if not tables:
        raise PublishError(f"{folder}: no dataset is there; expected one of {', '.join(CONFIGS)}")
    needed = [file for files in tables.values() for file in files]
    needed += sorted(file for name in ("kept", "leaked", "scores") for file in (folder / name).rglob("*.parquet"))
    question = {
        "files": {str(file.relative_to(folder)): sha256(file) for file in needed},
        "leave_out": leave_out,
        "held_out": _share(folder),
        "code": code_version(*CODE),
    }

    def build(work: Path) -> dict[str, Any]:
        counts = Counts({}, {}, [], Counter(), [])
        for name, files in tables.items():
            _write(work, folder, name, files, counts, leave_out=leave_out)
        return {
            "rows": counts.rows,
            "licences": [[name, *key, n] for name, rows in counts.licences.items() for key, n in rows.items()],
            "found": counts.found,
            "left_out": dict(counts.left_out),
            "leaked": _leaked(folder).len(),
            "faults": counts.faults,
        }

    return once(folder.resolve().parent / "stages", "publish", question, build)


def files_of(stored: Stored) -> dict[str, Path]:
    """Give the data files of a staged publication, by their path in the dataset."""
    found = sorted((stored.folder / "data").rglob("*.parquet"))
    return {str(file.relative_to(stored.folder)): file for file in found}


def _share(folder: Path) -> float:
    """Give the share of prompts that the recipe holds out."""
    recipe: Mapping[str, Any] = tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))
    return float(recipe.get("select", {}).get("held_out", 0.0))


def _leaked(folder: Path) -> pl.Series:
    files = sorted((folder / "leaked").rglob("*.parquet"))
    return pl.concat([pl.Series([], dtype=pl.String), *(pl.read_parquet(file)["candidate_id"] for file in files)])


def _write(work: Path, folder: Path, name: str, files: list[Path], counts: Counts, *, leave_out: bool) -> None:
    """Write a config shard by shard: a file that is published as it is, is a link to the run's."""
    ids: dict[str, list[pl.Series]] = {}
    samples: dict[str, set[str]] = {}
    shards = _derived(folder, name, files) if name in DERIVED else _own(folder, name, files)
    for split, file, rows in shards:
        found = scanned(rows)
        private = found["id"].unique()
        whole = file
        if leave_out and len(private):
            counts.left_out[name] += len(private)
            rows, whole = rows.filter(~pl.col("id").is_in(private.implode())), None  # noqa: PLW2901 - what is left
        else:
            counts.found += [{"config": name, **one} for one in found.to_dicts()]
        if rows.is_empty():
            continue
        _shard(work / "data" / name / split, rows, whole)
        ids.setdefault(split, []).append(rows["id"])
        samples.setdefault(split, set()).update(rows["sample_id" if "sample_id" in rows.columns else "id"])
        told = rows.group_by("source", "license").len()
        counts.licences.setdefault(name, Counter()).update({(one[0], one[1]): one[2] for one in told.iter_rows()})
    if ids:
        counts.rows[name] = {split: sum(map(len, ids[split])) for split in SPLITS if split in ids}
        counts.faults += _faults(name, ids, samples)


def _faults(name: str, ids: dict[str, list[pl.Series]], samples: dict[str, set[str]]) -> Iterator[str]:
    every = pl.concat([part for parts in ids.values() for part in parts])
    twice = every.filter(every.is_duplicated()).unique().sort()
    if len(twice):
        yield f"{name}: {len(twice):,} id(s) stand for several rows: {', '.join(twice.head(5))}"
    both = sorted(set.intersection(*samples.values())) if len(samples) > 1 else []
    if both:
        yield f"{name}: {len(both):,} sample(s) are in both splits: {', '.join(both[:5])}"


def _own(folder: Path, name: str, files: list[Path]) -> Iterator[tuple[str, Path, pl.DataFrame]]:
    """Give the shards of a table that is published as it is, with their splits."""
    for file in files:
        split = file.relative_to(folder / name).parts[0]
        yield split if split in SPLITS else "train", file, pl.read_parquet(file)


def _derived(folder: Path, name: str, files: list[Path]) -> Iterator[tuple[str, None, pl.DataFrame]]:
    """Give the candidates with their prompts and scores, or the comparisons, each split apart."""
    kept = pl.read_parquet(folder / "kept")
    apart = held_out_ids(kept, _share(folder))
    about = kept.select("prompt", "reference", "check", "source", "license", sample_id="id")
    leaked, scores = _leaked(folder), _scores(folder)
    for file in files:
        rows = pl.read_parquet(file)
        if name == "candidates":
            rows = rows.filter(~pl.col("id").is_in(leaked.implode())).join(scores, on="id", how="left")
            rows = rows.join(about, on="sample_id", maintain_order="left")
            first = ["id", "sample_id", "prompt", "text"]
        else:
            pair = pl.concat_str("a_id", "b_id", "judge", separator="-")
            either = pl.col("a_id").is_in(leaked.implode()) | pl.col("b_id").is_in(leaked.implode())
            rows = rows.filter(~either).with_columns(id=pair)
            rows = rows.join(about.select("sample_id", "source", "license"), on="sample_id", maintain_order="left")
            first = ["id", "sample_id"]
        held = pl.col("sample_id").is_in(apart.implode())
        ordered = rows.select(*first, pl.exclude(first))
        yield "train", None, ordered.filter(~held)
        yield "test", None, ordered.filter(held)


def _scores(folder: Path) -> pl.DataFrame:
    """Give every score of each candidate as a list: judge, score, status and why."""
    files = sorted((folder / "scores").rglob("*.parquet"))
    schema = {"id": pl.String, "judge": pl.String, "score": pl.Float64, "status": pl.String, "why": pl.String}
    told = [pl.read_parquet(file).select("judge", "score", "status", "why", id="candidate_id") for file in files]
    every = pl.concat([pl.DataFrame(schema=schema), *(one.select(*schema) for one in told)])
    one = pl.struct("judge", "score", "status", "why")
    return every.sort("id", "judge").group_by("id", maintain_order=True).agg(scores=one)


def _shard(folder: Path, rows: pl.DataFrame, whole: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{len(list(folder.iterdir())):05}.parquet"
    if whole is None:
        rows.write_parquet(file, compression="zstd")
    else:
        link_file(str(whole), str(file))
    sync(file)
