"""`./mill trace`: one row's whole life, from file and line to pair, whichever of its ids is named.

Every table is filtered by id as it is read; none is held whole.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from pipelines.finished import KNOWN, split_of, stages_of
from pipelines.store import MANIFEST, Stored, opened
from schemas.errors import GristmillError

Told = dict[str, Any]
AT = re.compile(r"(?P<file>.+):(?P<row>\d+)")
KINDS = {"kept": "sample", "dropped": "sample", "candidates": "candidate"}
SHOWN = 10  # rows that a beginning could mean, in an error
OF_A_ROW = {"sft": ["candidate_id"], "plain": ["candidate_id"], "unpaired": ["candidate_id"]}
OF_A_ROW |= {"preferences": ["chosen_id", "rejected_id"], "grpo": []}


@dataclass(frozen=True)
class Run:
    """A finished run's tables, each to be filtered as it is read."""

    folder: Path

    @cached_property
    def summary(self) -> Told:
        """What the run told of itself."""
        return dict(orjson.loads((self.folder / "summary.json").read_bytes()))

    def stage(self, name: str) -> Stored | None:
        """Give a stage's output; null where the run has none, or it was deleted since."""
        key = self.summary["stages"].get(name)
        folder = stages_of(self.folder) / str(key)
        return opened(folder, reused=True) if key and (folder / MANIFEST).is_file() else None

    def table(self, name: str, condition: pl.Expr) -> list[Told]:
        """Give the rows of one of the folder's tables that meet the condition, as far as its columns allow one."""
        return _filtered(self.folder / name, condition)

    def ids(self, name: str, condition: pl.Expr, sample: str) -> list[tuple[str, str]]:
        """Give `id` and sample of one of the folder's rows that meet the condition."""
        files = sorted((self.folder / name).rglob("*.parquet"))
        some = pl.scan_parquet(files).filter(condition).select("id", of=pl.col(sample)) if files else pl.LazyFrame()
        return some.collect().rows()

    def of_stage(self, stage: str, name: str, condition: pl.Expr) -> list[Told]:
        """Give the rows of a stage's table that meet the condition."""
        stored = self.stage(stage)
        return [] if stored is None else _filtered(stored.folder / name, condition)


def _filtered(folder: Path, condition: pl.Expr) -> list[Told]:
    found: list[Told] = []
    for file in sorted(folder.rglob("*.parquet")) if folder.is_dir() else []:
        found += pl.scan_parquet(file).filter(condition).collect().to_dicts()
    return found


def trace(folder: Path, named: str) -> Told:
    """Give what became of the row that `named` names: a sample's, candidate's, SFT row's or pair's id, or "file:row".

    The beginning of an id is enough where it means one sample. Raises `GristmillError` where nothing is so called, or
    several samples are.
    """
    run = Run(folder)
    found = list(_named(run, named))
    samples = sorted({one["sample"] for one in found if one["sample"]})
    if len(samples) > 1:
        lines = [f"  {one['kind']} {one['id']}{_of_sample(one)}" for one in found[:SHOWN]]
        more = [f"  and {len(found) - SHOWN:,} more"] if len(found) > SHOWN else []
        raise GristmillError("\n".join([f"{named!r} names {len(samples):,} samples in {folder}:", *lines, *more]))
    if not found:
        raise GristmillError(
            f"{named!r} names nothing in {folder}: expected is the id of a sample, candidate, SFT row or pair, or its "
            "beginning, or file:row with the row counted from 0, as the report shows them"
        )
    told: Told = {"run": run.summary["version"], "name": run.summary["name"], "asked": named, "found": found}
    if not samples:
        told["quarantined"] = [one["row"] for one in found]
        return told
    return told | _life(run, samples[0])


def _of_sample(one: Told) -> str:
    return "" if one["id"] == one["sample"] else f" of sample {one['sample']}"


def _named(run: Run, named: str) -> Iterator[Told]:
    """Find what a name means: `kind`, `id` and the `sample` that it belongs to, null for what was never one."""
    place = AT.fullmatch(named)
    if place:
        yield from _at(run, place["file"], int(place["row"]))
        return
    meant = pl.col("id").str.starts_with(named)
    tables = {"kept": "id", "dropped": "id", "candidates": "sample_id"}
    tables |= dict.fromkeys([name for name in KNOWN if name != "grpo"], "sample_id")  # whose ids are the samples'
    for name, column in tables.items():
        for row, sample in run.ids(name, meant, column):
            yield {"kind": KINDS.get(name, f"row of {name}"), "id": row, "sample": sample}


def _at(run: Run, file: str, row: int) -> Iterator[Told]:
    """Find what stood in a row of a file, which may be named by the end of its path."""
    own = pl.col("origin").struct
    there = (_is_at(own.field("file"), file)) & (own.field("row") == row)
    for name in ("kept", "dropped"):
        for one, sample in run.ids(name, there, "id"):
            yield {"kind": "sample", "id": one, "sample": sample}
    for bad in run.table("quarantined", _is_at(pl.col("file"), file) & (pl.col("row") == row)):
        yield {"kind": "record that was quarantined", "id": f"{bad['file']}:{row}", "sample": None, "row": bad}


def _is_at(column: pl.Expr, file: str) -> pl.Expr:
    return (column == file) | column.str.ends_with(f"/{file}")


def _life(run: Run, sample: str) -> Told:
    """Tell everything that the run knows of a sample."""
    own = pl.col("id") == sample
    of_it = pl.col("sample_id") == sample
    dropped = run.table("dropped", own)
    [row] = [*run.table("kept", own), *dropped]
    before = run.of_stage("ingest", "samples", own)
    return {
        "sample": row,
        "read": next((one for one in run.summary["files"] if one["file"] == row["origin"]["file"]), None),
        "before": before[0] if before else None,
        "edits": run.of_stage("edit", "edits", own),
        "grown": run.table("lineage", own),
        "children": [one["id"] for one in run.table("lineage", pl.col("parents").list.contains(sample))],
        "rules": [_measured(run, rule, sample) for rule in run.summary["rules"]],
        "dropped": dropped[0] if dropped else None,
        "candidates": sorted(run.table("candidates", of_it), key=lambda one: (one["sample"], one["id"])),
        "scores": run.table("scores", of_it),
        "comparisons": run.table("comparisons", of_it),
        "judgments": run.table("judgments", of_it),
        "leaked": run.table("leaked", of_it),
        "rows": list(_rows(run, sample)),
    }


def _measured(run: Run, rule: Mapping[str, Any], sample: str) -> Told:
    """Give what a rule measured of a sample, or whom it found to be like it."""
    told: Told = {key: rule[key] for key in ("rule", "kind", "minimum", "maximum")}
    curated = run.stage("curate")
    if curated is None:
        return told | {"gone": True}
    key = curated.facts["measured"].get(rule["rule"])
    place = curated.folder / "orders" if key is None else stages_of(run.folder) / key / "values"
    if rule["kind"] == "match":
        both = (pl.col("id") == sample) | (pl.col("other") == sample)
        found = sorted(_filtered(place, both), key=lambda one: -one["measured"])
        return told | {"matches": found, "gone": not place.is_dir()}
    meant = pl.col("id") == sample
    values = _filtered(place, meant & (pl.col("rule") == rule["rule"]) if key is None else meant)
    return told | {"value": values[0]["value"] if values else None, "gone": not place.is_dir()}


def _rows(run: Run, sample: str) -> Iterator[Told]:
    """Give the rows of the datasets that were made of a sample, with their split and the candidates in them."""
    for name, columns in OF_A_ROW.items():
        for file in sorted((run.folder / name).rglob("*.parquet")):
            table = pl.scan_parquet(file)
            there = set(table.collect_schema())
            of_it = pl.col("sample_id" if "sample_id" in there else "id") == sample
            more = [one for one in ("label", "score", "margin", "judge", "rule") if one in there]
            for row in table.filter(of_it).select("id", *columns, *more).collect().iter_rows(named=True):
                yield {"dataset": name, "split": split_of(file, run.folder), **row}
